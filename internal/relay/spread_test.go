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
			for link, n := range w.sent {
				if n > 1 && tt.policy.Name != "flood" {
					t.Fatalf("%s: a body went %d times over link %.5s", tt.policy.Name, n, link)
				}
			}
			for _, n := range w.nodes {
				for h, asks := range n.asks {
					if asks > 1 {
						t.Fatalf("%s: %s asked for %s %d times", tt.policy.Name, n.id, h.Short(), asks)
					}
				}
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

// What frugal saves, and what it costs: in virtual time, so that the figures
// repeat: at most 0.6 of the bytes, at most 3 times the p99.
func TestFrugalSavesBytes(t *testing.T) {
	for _, size := range []uint32{300, 1024} {
		type figures struct {
			bytes    float64
			p50, p99 time.Duration
		}
		run := func(p Policy) figures {
			w := newWorld(t, 7, 26, bed.Link{Rate: 6e6, Latency: 50 * time.Millisecond}, ethLike(p))
			w.mesh(25)
			w.load(250, 20*time.Millisecond, size)
			w.sim.RunFor(2 * time.Minute)
			if n := w.missing(); n > 0 {
				t.Errorf("%s: %d deliveries are missing", p.Name, n)
			}
			d := w.delays()
			return figures{w.received(), d[len(d)/2], d[len(d)*99/100]}
		}
		geth, frugal := run(Geth()), run(Frugal())
		t.Logf("%d B: geth %.0f B/node p50 %v p99 %v; frugal %.0f B/node p50 %v p99 %v; bytes %.2f, p99 %.2f", size,
			geth.bytes, geth.p50, geth.p99, frugal.bytes, frugal.p50, frugal.p99, frugal.bytes/geth.bytes, float64(frugal.p99)/float64(geth.p99))
		if frugal.bytes > 0.6*geth.bytes || frugal.p99 > 3*geth.p99 {
			t.Errorf("%d B: bytes %.2f of geth's, want at most 0.6; p99 %.2f times, want at most 3", size, frugal.bytes/geth.bytes, float64(frugal.p99)/float64(geth.p99))
		}
	}
}
