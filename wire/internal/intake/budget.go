package intake

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/internal/turns"
	"github.com/starlingp2p/starling/wire"
)

// While somebody waits for memory, a frame that holds some must come in at
// grantRate, a second after its grant; else it is cut. A length costs a hostile
// peer nothing, and twenty of them would fill the budget for minutes.
const (
	grantGrace = time.Second
	grantRate  = 512 << 10 // bytes a second
	cutEvery   = 250 * time.Millisecond
)

// DefaultBudget is how many bytes of inbound messages a node decodes at once:
// 256 MiB, or a quarter of the process's memory limit if that is less (threat C-03).
func DefaultBudget() int64 {
	const most = 256 << 20
	return min(most, max(env.MemoryLimit()/4, 1<<20))
}

// Budget grants memory to whoever is about to decode something that a peer
// sent. Waiters are served in order, so a large message is not starved by
// small ones. It is safe for concurrent use.
type Budget struct {
	size int64
	free *semaphore.Weighted
	used atomic.Int64  // bytes that are granted
	over chan struct{} // a token for whoever takes more than there is

	scratch scratch
	turn    func(work func())

	mu     sync.Mutex // a leaf
	grants map[*Grant]struct{}
}

// NewBudget makes a budget of size bytes; 0: DefaultBudget.
func NewBudget(size int64) *Budget {
	if size <= 0 {
		size = DefaultBudget()
	}
	return &Budget{
		size: size, free: semaphore.NewWeighted(size), over: make(chan struct{}, 1), grants: map[*Grant]struct{}{}, turn: turns.New().Do,
	}
}

// Take blocks until n bytes are free or ctx ends. What is larger than the
// whole budget takes all of it. The func gives the bytes back, once.
func (b *Budget) Take(ctx context.Context, n int) (giveBack func(), err error) {
	w := min(int64(n), b.size)
	if err := b.acquire(ctx, w); err != nil {
		return nil, err
	}
	return func() { b.release(w) }, nil
}

// More is Take for whoever holds memory of the budget already and cannot give it
// back first, as a decoder of what it has read. If all who hold some waited for
// more there would be no end to it, so one at a time takes what is not there.
func (b *Budget) More(ctx context.Context, n int) (giveBack func(), err error) {
	w := min(int64(n), b.size)
	over, err := b.acquireMore(ctx, w)
	switch {
	case err != nil:
		return nil, err
	case over:
		return func() { b.repay(w) }, nil
	}
	return func() { b.release(w) }, nil
}

// acquireMore is acquire for More; over: the bytes are not the budget's, and
// repay ends that.
func (b *Budget) acquireMore(ctx context.Context, w int64) (over bool, err error) {
	if b.free.TryAcquire(w) {
		b.used.Add(w)
		return false, nil
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	got := make(chan error, 1)
	go func() { got <- b.acquire(within, w) }()
	select {
	case err := <-got:
		return false, err
	case b.over <- struct{}{}:
	}
	cancel()
	if err := <-got; err == nil { // both at once
		<-b.over
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		<-b.over
		return false, err
	}
	b.used.Add(w)
	return true, nil
}

// repay gives back what the budget did not have.
func (b *Budget) repay(w int64) {
	b.used.Add(-w)
	<-b.over
}

// Used is how many bytes are granted now; what More takes may be above Size.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) release(w int64) {
	b.used.Add(-w)
	b.free.Release(w)
}

// Size is the whole budget in bytes.
func (b *Budget) Size() int64 { return b.size }

// acquire waits for memory, and meanwhile cuts who holds some idly.
func (b *Budget) acquire(ctx context.Context, w int64) error {
	if b.free.TryAcquire(w) {
		b.used.Add(w)
		return nil
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(cutEvery)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				b.cutIdle(now)
			case <-done:
				return
			}
		}
	})
	err := b.free.Acquire(ctx, w)
	close(done)
	wg.Wait()
	if err == nil {
		b.used.Add(w)
	}
	return err
}

// cutIdle cuts every grant that is behind its pace.
func (b *Budget) cutIdle(now time.Time) {
	var idle []*Grant
	b.mu.Lock()
	for g := range b.grants { // each is looked at alone: the order has no effect
		if g.behind(now) {
			delete(b.grants, g)
			idle = append(idle, g)
		}
	}
	b.mu.Unlock()
	for _, g := range idle {
		g.cutNow()
	}
}

// Share has turns taken with all others of the Host's, where it gives any,
// instead of with those of the budget alone. It is called before the budget is
// used.
func (b *Budget) Share(h wire.Host) {
	if t, ok := h.(wire.Turner); ok {
		b.turn = t.Turn
	}
}

// Turn does work that only computes, on something large, when it is its turn
// (package turns). It blocks until it is done. It is safe for concurrent use.
func (b *Budget) Turn(work func()) { b.turn(work) }
