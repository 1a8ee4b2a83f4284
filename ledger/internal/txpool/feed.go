package txpool

import (
	"context"
	"sync"
)

// Feed hands values to subscribers. A subscriber that lags loses the oldest. It
// is safe for concurrent use and starts no goroutine.
type Feed[T any] struct {
	queue int

	mu   sync.Mutex // never held while a send waits: none does
	subs map[int]chan T
	next int
}

// NewFeed makes a feed whose subscribers may lag behind by queue values, at
// least 1.
func NewFeed[T any](queue int) *Feed[T] {
	return &Feed[T]{queue: max(queue, 1), subs: map[int]chan T{}}
}

// Subscribe gives all values from now on, until ctx ends and the channel is
// closed.
func (f *Feed[T]) Subscribe(ctx context.Context) <-chan T {
	c := make(chan T, f.queue)
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.next
	f.next++
	f.subs[id] = c
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subs, id)
		close(c)
	})
	return c
}

// Publish hands a value to each subscriber, and gives those that were lost. It
// does not block.
func (f *Feed[T]) Publish(v T) (lost []T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.subs { // each gets the same
		for sent := false; !sent; {
			select {
			case c <- v:
				sent = true
			default:
				select {
				case old := <-c:
					lost = append(lost, old)
				default:
				}
			}
		}
	}
	return lost
}
