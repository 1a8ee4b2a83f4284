package scenario

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling/sim/bed"
)

// The network is cut in two for ten minutes. Both halves live on; one has the
// producer. Within 30 s of healing there is one tip. (K-03)
func TestPartitionOfTenMinutesHealsToOneTip(t *testing.T) {
	count := 8
	if full() {
		count = 20
	}
	for name, mode := range map[string]bed.Mode{"broken": bed.Break, "silent": bed.Silent} {
		t.Run(name, func(t *testing.T) {
			virtual(t, ordinary(), func(l *lab) {
				nodes := l.many(0, count, 0, count-1)
				ours, theirs := nodes[:count/2], nodes[count/2:]
				nodes[0].produce()
				l.awaitPeers(time.Minute, 4, nodes...)
				l.awaitOneTip(time.Minute, 3, nodes...)

				l.net.Partition(mode, addrs(0, count/2))
				time.Sleep(9 * time.Minute)
				stood := theirs[0].head()
				time.Sleep(time.Minute)
				for _, n := range ours {
					if len(n.peers()) < len(ours)-1 {
						t.Errorf("node %d has %d sessions in its half of %d", n.i, len(n.peers()), len(ours))
					}
				}
				for _, n := range theirs {
					if len(n.peers()) < len(theirs)-1 {
						t.Errorf("node %d has %d sessions in its half of %d", n.i, len(n.peers()), len(theirs))
					}
					if n.head() != stood {
						t.Errorf("node %d went on to %v without the producer", n.i, n.head())
					}
				}
				if got := ours[1].head().Number; got < stood.Number+250 {
					t.Errorf("the producer's half stands at %d, the other at %d", got, stood.Number)
				}

				l.net.Heal()
				l.awaitOneTip(30*time.Second, nodes[0].head().Number+1, nodes...)
				// And it stays so: the other half hears what is new.
				l.awaitOneTip(30*time.Second, nodes[0].head().Number+10, nodes...)
			})
		})
	}
}

// A partition in which both halves make blocks leaves two branches. The
// lighter half takes the other's.
func TestPartitionWithTwoBranchesHealsToTheHeavier(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		nodes := l.many(0, 6, 0, 5)
		nodes[0].produce()
		l.awaitPeers(time.Minute, 4, nodes...)
		l.awaitOneTip(time.Minute, 3, nodes...)
		l.net.Partition(bed.Silent, addrs(0, 3))
		time.Sleep(10 * time.Second)
		nodes[0].stopProducing()
		for range 5 { // fewer than the other half makes
			time.Sleep(interval)
			if err := nodes[5].makeBlock(l.t.Context(), branch(1)); err != nil {
				t.Fatal(err)
			}
		}
		nodes[0].produce()
		time.Sleep(time.Minute)
		lighter := nodes[5].head()
		l.net.Heal()
		l.awaitOneTip(30*time.Second, nodes[0].head().Number+1, nodes...)
		if b, err := nodes[5].toy.Header(l.t.Context(), ref(lighter.Number)); err != nil || b.Ref == lighter {
			t.Errorf("block %d is %v, %v; want the other branch's", lighter.Number, b.Ref, err)
		}
	})
}
