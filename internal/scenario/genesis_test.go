package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
)

// A node of another genesis is refused by both sides, each of which says why,
// and neither dials the other for a day. The others do not notice. (H-05)
func TestAnotherGenesisIsRefusedOnceADay(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		// The stranger dials 0 and 1; 2 has the stranger among its seeds.
		ours := []*node{l.start(0, spec{seeds: only(1)}), l.start(1, spec{seeds: only(0)}), l.start(2, spec{seeds: only(0, 3)})}
		stranger := l.add(3, spec{seeds: only(0, 1), toy: chaintest.NewChain(chaintest.Config{Seed: 99, BlockTime: interval})})
		stranger.run()
		ours[0].produce()
		l.awaitPeers(time.Minute, 2, ours...)
		l.awaitOneTip(time.Minute, 3, ours...)
		ours[0].stopProducing()
		time.Sleep(3 * time.Minute)
		// Both ends of each pair are told why, once or, where both dial, twice.
		told := func(n *node, of peer.ID) (count int) {
			for _, r := range events[starling.PeerRefused](n.log, time.Time{}) {
				if r.Reason == peer.WrongGenesis && (r.ID == of || strings.HasSuffix(r.Addr.Text, string(of))) {
					count++
				}
			}
			return count
		}
		for _, n := range ours {
			for _, pair := range [][2]*node{{n, stranger}, {stranger, n}} {
				if got := told(pair[0], pair[1].id); got < 1 || got > 3 {
					t.Errorf("node %d was told %d times that node %d has another genesis", pair[0].i, got, pair[1].i)
				}
			}
		}
		since := time.Now()
		if full() {
			time.Sleep(23*time.Hour + 30*time.Minute)
		} else {
			time.Sleep(4 * time.Hour)
		}
		for _, n := range l.nodes {
			for _, r := range events[starling.PeerRefused](n.log, since) {
				t.Errorf("node %d: %v %s was tried again: %s", n.i, r.Direction, r.Addr, r.Reason)
			}
		}
		if got := len(stranger.peers()); got != 0 {
			t.Errorf("the stranger has %d sessions", got)
		}
		for _, n := range ours {
			if got := len(n.peers()); got != 2 {
				t.Errorf("node %d has %d sessions, want 2", n.i, got)
			}
			for _, c := range events[starling.PeerClosed](n.log, time.Time{}) {
				t.Errorf("node %d lost %s: %s", n.i, l.name(c.ID), c.Reason)
			}
		}
		ours[0].produce()
		l.awaitOneTip(10*time.Second, 5, ours...)
	})
}
