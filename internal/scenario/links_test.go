package scenario

import (
	"slices"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
)

// delays gives, for each block that from made since a time and each of the
// nodes, how long it took to get there; missing counts those that did not.
func delays(from *node, since time.Time, nodes []*node) (took []time.Duration, missing int) {
	from.log.mu.Lock()
	made := map[chain.Ref]time.Time{}
	for r, at := range from.log.submits {
		if !at.Before(since) {
			made[r] = at
		}
	}
	from.log.mu.Unlock()
	for _, n := range nodes {
		if n == from {
			continue
		}
		n.log.mu.Lock()
		for r, at := range made { // sorted below
			if seen, ok := n.log.seen[r]; ok {
				took = append(took, seen.Sub(at))
			} else {
				missing++
			}
		}
		n.log.mu.Unlock()
	}
	slices.Sort(took)
	return took, missing
}

// delivered checks that of the blocks that from made since a time at least
// that share reached the nodes in time.
func (l *lab) delivered(from *node, since time.Time, nodes []*node, share float64, within time.Duration) {
	l.t.Helper()
	took, missing := delays(from, since, nodes)
	all := len(took) + missing
	late, _ := slices.BinarySearch(took, within+1)
	if all == 0 {
		l.t.Fatal("no block was made")
	}
	l.t.Logf("%d deliveries: median %v, 99 %% within %v, %d missing", all, took[len(took)/2], took[len(took)*99/100], missing)
	if got := float64(late) / float64(all); got < share {
		l.t.Errorf("%.2f %% of %d deliveries took at most %v, want %.2f %%", 100*got, all, within, 100*share)
	}
}

// 30 % loss, which on streams shows as delay, among nodes that know only a few
// of the others, with blocks of many segments. (K-01)
func TestGossipAndSyncSurviveHeavyLoss(t *testing.T) {
	cfg := bed.Config{Seed: 3, Link: bed.Link{Latency: 30 * time.Millisecond, Jitter: 40 * time.Millisecond, Loss: 0.3}}
	virtual(t, cfg, func(l *lab) {
		old := chaintest.NewChain(chaintest.Config{BlockTime: interval})
		old.Extend(100)
		few := func(c *starling.Config) { c.MaxPeers = 5 }
		nodes := []*node{l.start(0, spec{seeds: only(1), toy: old, config: few})}
		for i := 1; i < 10; i++ {
			nodes = append(nodes, l.start(i, spec{seeds: only(0, 1), config: few}))
		}
		l.awaitPeers(2*time.Minute, 2, nodes...)
		large := chaintest.Make{Size: 16 << 10}
		nodes[0].produceLike(large)
		l.awaitOneTip(2*time.Minute, 101, nodes...)
		since, lost := time.Now(), nodes[0].host.Traffic().Resent
		time.Sleep(5 * time.Minute)
		nodes[0].stopProducing()
		time.Sleep(10 * time.Second)
		if nodes[0].host.Traffic().Resent < lost+100 {
			t.Error("the links lost next to nothing")
		}
		l.delivered(nodes[0], since, nodes, 0.99, 6*time.Second)
		nodes[0].produceLike(large)
		// An answer that is lost behind the newcomer's share of the gossip can
		// be the third in a row, or drip in: faults that must not add up.
		l.excused[peer.NoAnswer], l.excused[peer.SlowFrame] = true, true
		late := l.start(10, spec{seeds: only(0, 1, 2, 3, 4, 5)})
		l.awaitOneTip(10*time.Minute, nodes[0].head().Number+1, append(nodes, late)...)
		for _, n := range l.nodes {
			for _, c := range events[starling.PeerClosed](n.log, time.Time{}) {
				if c.Reason == peer.BadScore {
					t.Errorf("node %d dropped %s for its score", n.i, l.name(c.ID))
				}
			}
		}
	})
}

// A round trip of 600 ms is no fault: nobody times out, nobody is charged,
// and sync and gossip go on. (K-06)
func TestLongLinksCauseNoFalseTimeouts(t *testing.T) {
	virtual(t, bed.Config{Seed: 4, Link: bed.Link{Latency: 300 * time.Millisecond}}, func(l *lab) {
		nodes := l.many(0, 6, 0, 1)
		nodes[0].toy.Extend(300)
		l.awaitPeers(time.Minute, 4, nodes...)
		nodes[0].produce()
		l.awaitOneTip(time.Minute, 301, nodes...)
		since := time.Now()
		time.Sleep(5 * time.Minute)
		nodes[0].stopProducing()
		time.Sleep(5 * time.Second)
		l.delivered(nodes[0], since, nodes, 1, 3*time.Second)
		for _, n := range nodes {
			for _, c := range events[starling.PeerClosed](n.log, since) {
				t.Errorf("node %d lost %s: %s", n.i, l.name(c.ID), c.Reason)
			}
			for _, r := range events[starling.PeerRefused](n.log, time.Time{}) {
				if r.Reason == peer.DialTimeout || r.Reason == peer.HandshakeSlow {
					t.Errorf("node %d: %s %s: %s", n.i, l.name(r.ID), r.Reason, r.Detail)
				}
			}
		}
	})
}

// A newcomer syncs from genesis while gossip goes on around it.
func TestLateJoinerSyncsFromGenesis(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		nodes := l.many(0, 5, 0, 1)
		nodes[0].toy.Extend(500)
		l.awaitPeers(time.Minute, 4, nodes...)
		nodes[0].produce()
		l.awaitOneTip(time.Minute, 501, nodes...)
		since := time.Now()
		late := l.start(5, spec{seeds: only(1, 2)})
		l.await(30*time.Second, "the newcomer at 501", func() bool { return late.head().Number >= 501 })
		l.awaitOneTip(10*time.Second, 503, append(nodes, late)...)
		time.Sleep(20 * time.Second)
		nodes[0].stopProducing()
		time.Sleep(2 * time.Second)
		l.delivered(nodes[0], since, nodes, 1, 2*time.Second)
	})
}

// A node that was off the network for two minutes closes its gap.
func TestNodeCutOffForTwoMinutesClosesItsGap(t *testing.T) {
	for name, mode := range map[string]bed.Mode{"broken": bed.Break, "silent": bed.Silent} {
		t.Run(name, func(t *testing.T) {
			virtual(t, ordinary(), func(l *lab) {
				nodes := l.many(0, 5, 0, 1)
				nodes[0].produce()
				l.awaitPeers(time.Minute, 4, nodes...)
				l.awaitOneTip(time.Minute, 3, nodes...)
				cut := nodes[4]
				cut.host.Cut(mode)
				time.Sleep(2 * time.Minute)
				if behind := nodes[0].head().Number - cut.head().Number; behind < 55 {
					t.Errorf("the node is only %d blocks behind", behind)
				}
				cut.host.Restore()
				l.awaitOneTip(30*time.Second, nodes[0].head().Number, nodes...)
				l.awaitPeers(time.Minute, 4, nodes...)
			})
		})
	}
}
