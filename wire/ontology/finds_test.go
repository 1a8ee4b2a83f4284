package ontology

import (
	"bytes"
	"testing"
	"time"

	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Who asks for one identity after the other is answered ten times, and then as
// time passes; the rest costs nobody anything, and is counted.
func TestAFloodOfFindNodeIsDropped(t *testing.T) {
	public, private := worked(t)
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, func(c *Config) { c.NodeKey = private })
		p := shaken(t, n, public)
		for i := range byte(30) {
			p.put("findnode", bytes.Repeat([]byte{i}, 20))
		}
		p.put("ping", make([]byte, 8))
		p.get("pong") // all before it have been looked at
		dropped := 0
		for _, d := range wiretest.Reports[wire.Dropped](a.host) {
			if d.Queue == "findnode" {
				dropped += d.Count
			}
		}
		if dropped != 30-maxFinds {
			t.Errorf("%d of 30 are dropped, want %d", dropped, 30-maxFinds)
		}
		time.Sleep(tellEvery / maxFinds)
		last := bytes.Repeat([]byte{99}, 20)
		p.put("findnode", last)
		for !bytes.HasPrefix(p.get("findnodeack"), last) {
		}
		if all := wiretest.Reports[wire.Offended](a.host); len(all) > 0 {
			t.Errorf("charged: %+v", all)
		}
	})
}
