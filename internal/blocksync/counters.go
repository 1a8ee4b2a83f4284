package blocksync

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/internal/meter"
)

// counts are what the owner has done, for anybody to read.
type counts struct {
	steps      *meter.Loop
	pulse      chan struct{}
	gapsFound  atomic.Uint64
	gapsClosed atomic.Uint64
	reorgs     atomic.Uint64
}

func newCounts() counts {
	return counts{pulse: make(chan struct{}), steps: meter.NewLoop([]time.Duration{
		100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 500 * time.Millisecond, time.Second,
	})}
}

func (c *counts) count(e Event) {
	switch e.(type) {
	case GapFound:
		c.gapsFound.Add(1)
	case GapClosed:
		c.gapsClosed.Add(1)
	case Reorg:
		c.reorgs.Add(1)
	}
}

// Counters are sums since the start, and levels.
type Counters struct {
	GapsFound, GapsClosed, Reorgs uint64
	Offers                        int // offered blocks that wait for the owner
	Events                        int // events that wait for their reader
	Loop                          meter.LoopStat
}

// Counters never waits for the owner.
func (s *Sync) Counters() Counters {
	return Counters{
		GapsFound: s.gapsFound.Load(), GapsClosed: s.gapsClosed.Load(), Reorgs: s.reorgs.Load(),
		Offers: s.mail.waiting(), Events: s.events.waiting(), Loop: s.steps.Stat(),
	}
}

// Alive blocks until the owner has answered: nil, or why it has not by the end
// of ctx. Before Run it waits for it; after it, it fails with ErrClosed.
func (s *Sync) Alive(ctx context.Context) error {
	select {
	case s.pulse <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return ErrClosed
	}
}
