package ontology

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// Each session has a name of its own, whoever comes and goes in whatever order,
// and a name is free again once its session has ended.
func TestSessionsHaveNamesOfTheirOwn(t *testing.T) {
	n := &node{sessions: map[claim]*session{}, names: map[peer.ID]struct{}{}}
	n.identity.Store(&identity{nonce: 1})
	r := rand.New(rand.NewPCG(1, 2))
	var all []*session
	for step := range 5000 {
		if len(all) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(all))
			n.unclaim(all[i], nil)
			all = append(all[:i], all[i+1:]...)
		} else {
			s := &session{nonce: r.Uint64N(4), inbound: true, since: time.Unix(0, 0)}
			s.info = peer.Info{ID: idOf(s.nonce), Endpoint: netip.AddrPortFrom(ipOf(r.Uint64N(4)), 1)}
			if _, why := n.claim(s); why != peer.OK {
				t.Fatalf("step %d: %v", step, why)
			}
			all = append(all, s) // what it takes the place of ends later
		}
		if len(n.names) != len(n.sessions) {
			t.Fatalf("step %d: %d names of %d sessions", step, len(n.names), len(n.sessions))
		}
		for _, s := range n.sessions {
			if _, ok := n.names[s.info.ID]; !ok {
				t.Fatalf("step %d: %s is missing", step, s.info.ID)
			}
		}
	}
}
