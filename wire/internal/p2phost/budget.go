package p2phost

import (
	"context"
	"runtime/debug"

	"golang.org/x/sync/semaphore"
)

// DefaultBudget is how many bytes of inbound messages a node decodes at once:
// 256 MiB, or a quarter of the process's memory limit if that is less.
func DefaultBudget() int64 {
	const most = 256 << 20
	return min(most, max(debug.SetMemoryLimit(-1)/4, 1<<20))
}

// Budget grants memory to whoever is about to decode something that a peer
// sent. Waiters are served in order, so a large message is not starved by
// small ones. It is safe for concurrent use.
type Budget struct {
	size int64
	free *semaphore.Weighted
}

// NewBudget makes a budget of size bytes; 0: DefaultBudget.
func NewBudget(size int64) *Budget {
	if size <= 0 {
		size = DefaultBudget()
	}
	return &Budget{size: size, free: semaphore.NewWeighted(size)}
}

// Take blocks until n bytes are free or ctx ends. What is larger than the
// whole budget takes all of it. The func gives the bytes back, once.
func (b *Budget) Take(ctx context.Context, n int) (giveBack func(), err error) {
	w := min(int64(n), b.size)
	if err := b.free.Acquire(ctx, w); err != nil {
		return nil, err
	}
	return func() { b.free.Release(w) }, nil
}
