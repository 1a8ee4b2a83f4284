package scenario

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
)

// Many nodes start at one moment and know one seed, or two. A minute later
// each has four sessions at least. (K-12)
func TestManyNodesThatStartTogetherFindEachOther(t *testing.T) {
	count := 10
	if full() {
		count = 100
	}
	for name, seeds := range map[string][]int{"one seed": {0}, "two seeds": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			virtual(t, ordinary(), func(l *lab) {
				nodes := l.many(0, count, seeds...)
				l.awaitPeers(time.Minute, 4, nodes...)
				nodes[0].produce()
				l.awaitOneTip(time.Minute, 3, nodes...)
			})
		})
	}
}

// Nodes that are each other's seeds dial at the same moment. Two seconds later
// each pair has exactly one session, on which both agree, and it stays. (H-08)
func TestSimultaneousDialsLeaveOneSessionAPair(t *testing.T) {
	const count = 5
	seeds := 10
	if full() {
		seeds = 1000
	}
	for seed := range seeds {
		cfg := bed.Config{Seed: uint64(seed) + 1, Link: bed.Link{
			Latency: time.Duration(5+seed%60) * time.Millisecond, Jitter: time.Duration(seed%7) * 10 * time.Millisecond,
		}}
		virtual(t, cfg, func(l *lab) {
			for i := range count {
				var others []int
				for j := range count {
					if j != i {
						others = append(others, j)
					}
				}
				l.start(i, spec{seeds: only(others...), config: func(c *starling.Config) { c.Seed = uint64(seed*count+i) + 1 }})
			}
			check := func() {
				t.Helper()
				for _, n := range l.nodes {
					if got := len(n.peers()); got != count-1 {
						t.Errorf("seed %d: node %d has %d sessions after %v, want %d", seed, n.i, got, time.Since(n.log.began), count-1)
					}
					for _, m := range l.nodes {
						if m.i <= n.i {
							continue
						}
						ours, theirs := n.direction(m.id), m.direction(n.id)
						if ours == theirs {
							t.Errorf("seed %d: nodes %d and %d both call their session %s", seed, n.i, m.i, ours)
						}
					}
				}
			}
			time.Sleep(2 * time.Second)
			check()
			since := time.Now()
			time.Sleep(time.Minute)
			check()
			for _, n := range l.nodes {
				for _, c := range events[starling.PeerClosed](n.log, since) {
					t.Errorf("seed %d: node %d lost %s: %s", seed, n.i, l.name(c.ID), c.Reason)
				}
			}
		})
	}
}

// direction is that of the session with a peer; empty if there is none.
func (n *node) direction(id peer.ID) string {
	for _, p := range n.client.Peers() {
		if p.Info.ID == id {
			return p.Info.Direction.String()
		}
	}
	return ""
}

// A node that stops tells each peer so.
func TestStoppingNodeSaysThatItIsQuitting(t *testing.T) {
	for _, latency := range []time.Duration{latency, 600 * time.Millisecond} {
		virtual(t, bed.Config{Seed: 6, Link: bed.Link{Latency: latency}}, func(l *lab) {
			nodes := l.many(0, 6, 0, 1)
			nodes[0].produce()
			l.awaitPeers(time.Minute, 5, nodes...)
			since := time.Now()
			nodes[2].stop()
			if took := time.Since(since); took > stopWithin {
				t.Errorf("the stop took %v", took)
			}
			time.Sleep(5 * time.Second)
			for _, n := range nodes {
				closed := events[starling.PeerClosed](n.log, since)
				if n == nodes[2] {
					if len(closed) != 5 {
						t.Errorf("the node that stopped saw %d sessions end, want 5", len(closed))
					}
					continue
				}
				if len(closed) != 1 || closed[0].ID != nodes[2].id || closed[0].Reason != peer.Stopping || !closed[0].ByRemote {
					t.Errorf("node %d: %+v, want one session that the other side ended, quitting", n.i, closed)
				}
			}
		})
	}
}
