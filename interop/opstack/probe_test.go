package opstack

import (
	"context"
	"testing"

	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// A stranger meets op-node, by its multiaddr and by its node record: identify
// tells the chain, the first blocks tell genesis and the interval, and the
// newest block is found by that.
func TestAStrangerMeetsOpNode(t *testing.T) {
	n := newNetwork(t, codec.V4, 40, 1, 100)
	op := runOpNode(t, newest, n.start(map[string]any{"head": 39, "discovery": true}))
	for _, address := range []string{op.Addrs[0], op.ENR} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		p, err := opstack.Probe(ctx, address, "prober")
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		for _, s := range p.Steps {
			t.Logf("%s: %v after %v", s.Name, s.Err, s.Took)
			if s.Err != nil {
				t.Errorf("%s: %v", s.Name, s.Err)
			}
		}
		if string(p.Peer.ID) != op.Peer || p.Claims.Network != "904" || p.Claims.Genesis != n.blocks[0].Ref().Hash || p.RTT <= 0 {
			t.Errorf("it is %+v, it claims %+v", p.Peer, p.Claims)
		}
		if head := p.Claims.Head; head.Number < 2 || head.Number >= uint64(len(n.blocks)) || head != n.blocks[head.Number].Ref() {
			t.Errorf("its newest block is %+v", head)
		}
		t.Logf("%q speaks %v, newest block %d, ping %v", p.Peer.Agent, p.Peer.Protocols, p.Claims.Head.Number, p.RTT)
	}
}
