package relay

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling/sim/bed"
)

func ethLike(p Policy) CoreConfig {
	return CoreConfig{Policy: p, AnnounceTxs: true, PushBlocks: true, AnnounceBlocks: true}
}

// Whatever the policy and the graph, every transaction reaches every node, and
// no body goes twice over a link.
// Threat T-08: each transaction is sent at most once over a link.
func TestEveryTransactionReachesAllOncePerLink(t *testing.T) {
	for _, tt := range []struct {
		policy Policy
		degree int
	}{{Geth(), 6}, {Geth(), 25}, {Frugal(), 6}, {Frugal(), 25}, {Frugal(), 2}, {Flood(), 6}} {
		for seed := range uint64(2) {
			cfg := ethLike(tt.policy)
			cfg.AnnounceTxs = tt.policy.Name != "flood"
			w := newWorld(t, seed, 26, bed.Link{Rate: 6e6, Latency: 50 * time.Millisecond}, cfg)
			w.mesh(tt.degree)
			w.load(100, 20*time.Millisecond, 300)
			w.sim.RunFor(time.Minute)
			if n := w.missing(); n > 0 {
				t.Errorf("%s, degree %d, seed %d: %d deliveries are missing", tt.policy.Name, tt.degree, seed, n)
			}
			if tt.policy.Name != "flood" {
				w.sentOnce(tt.policy.Name)
			}
		}
	}
}

// A star and a bridge: topologies in which a policy that counts on others to
// tell must still tell all by itself.
func TestStarAndBridgeAreServed(t *testing.T) {
	for _, p := range []Policy{Geth(), Frugal()} {
		star := newWorld(t, 1, 26, bed.Link{Rate: 6e6, Latency: 50 * time.Millisecond}, ethLike(p))
		for _, n := range star.nodes[1:] {
			star.connect(star.nodes[0], n)
		}
		bridge := newWorld(t, 1, 12, bed.Link{Rate: 6e6, Latency: 50 * time.Millisecond}, ethLike(p))
		for i, a := range bridge.nodes {
			for _, b := range bridge.nodes[i+1:] {
				if (i < 6) == (b.addr.As4()[2] < 6) {
					bridge.connect(a, b)
				}
			}
		}
		bridge.connect(bridge.nodes[0], bridge.nodes[6])
		for _, w := range []*world{star, bridge} {
			w.load(100, 50*time.Millisecond, 300)
			w.sim.RunFor(time.Minute)
			if n := w.missing(); n > 0 {
				t.Errorf("%s: %d deliveries are missing", p.Name, n)
			}
		}
	}
}
