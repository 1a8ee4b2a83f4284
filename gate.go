package starling

import (
	"context"
	"sync"

	"github.com/starlingp2p/starling/peer"
)

// Why a message was not looked at.
const (
	quotaReason   = "validation-quota"
	timeoutReason = "validation-timeout"
)

// gate is a bounded pool in which callers do their own work: at most a number
// of them at once, and at most a quota of one peer's inside or waiting. Its
// mutex is a leaf; callers wait on the channel, never under it.
type gate struct {
	room  chan struct{}
	quota int

	mu     sync.Mutex
	inside map[peer.ID]int
}

func newGate(workers, quota int) *gate {
	return &gate{room: make(chan struct{}, workers), quota: quota, inside: make(map[peer.ID]int)}
}

// enter waits for room until ctx ends. It refuses at once a peer that is at
// its quota, so that one peer never fills the queue for the others.
func (g *gate) enter(ctx context.Context, id peer.ID) (leave func(), why string) {
	g.mu.Lock()
	full := g.inside[id] >= g.quota
	if !full {
		g.inside[id]++
	}
	g.mu.Unlock()
	if full {
		return nil, quotaReason
	}
	select {
	case g.room <- struct{}{}:
		return func() { <-g.room; g.forget(id) }, ""
	case <-ctx.Done():
		g.forget(id)
		return nil, timeoutReason
	}
}

// waiting is how many are inside or wait for it.
func (g *gate) waiting() (sum int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.inside {
		sum += n
	}
	return sum
}

func (g *gate) forget(id peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside[id]--; g.inside[id] == 0 {
		delete(g.inside, id)
	}
}
