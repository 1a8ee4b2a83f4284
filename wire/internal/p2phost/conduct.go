package p2phost

import (
	"fmt"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

const (
	// mostAtOnce bounds what one second of bad conduct costs, in charges.
	mostAtOnce = 4
	maxConduct = 1024 // peers whose charges are remembered
)

// conduct turns what pubsub counts of a peer's bad conduct (a GRAFT during
// back-off, a promise of IHAVE that was not kept) into charges: its own score
// alone would only end gossip with the peer. The first behaviourSlack are free,
// since they happen to honest peers that are short of time.
type conduct struct {
	charge func(id libpeer.ID, detail string)

	mu   sync.Mutex // a leaf
	paid map[libpeer.ID]int
}

func newConduct(charge func(libpeer.ID, string)) *conduct {
	return &conduct{charge: charge, paid: map[libpeer.ID]int{}}
}

// look compares the counts with what was charged. pubsub's counts fade, and
// with them what was charged for.
func (c *conduct) look(all map[libpeer.ID]*pubsub.PeerScoreSnapshot) {
	due := map[libpeer.ID]int{}
	c.mu.Lock()
	for id := range c.paid {
		if s := all[id]; s == nil || s.BehaviourPenalty <= behaviourSlack {
			delete(c.paid, id)
		}
	}
	for id, s := range all { // each alone: the order has no effect
		over := int(s.BehaviourPenalty - behaviourSlack)
		if over <= c.paid[id] || c.paid[id] == 0 && len(c.paid) >= maxConduct {
			continue
		}
		due[id] = min(over-c.paid[id], mostAtOnce)
		c.paid[id] += due[id]
	}
	c.mu.Unlock()
	for id, n := range due {
		for range n {
			c.charge(id, fmt.Sprintf("gossip: %d grafts in back-off or promises not kept of late, %d are free", int(all[id].BehaviourPenalty), behaviourSlack))
		}
	}
}

// tooManyProtocols is what is wrong with a peer's identify message; empty: nothing.
func tooManyProtocols(n int) string {
	if n <= maxProtocols {
		return ""
	}
	return fmt.Sprintf("identify: %d protocols, at most %d", n, maxProtocols)
}
