package intake

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
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

	mu     sync.Mutex // a leaf
	frames map[*Grant]struct{}
}

// Grant is memory for a frame that is coming in. Came and Late are safe for
// concurrent use.
type Grant struct {
	b     *Budget
	size  int64
	since time.Time
	got   atomic.Int64 // bytes that have come
	late  atomic.Bool  // it was cut
	cut   func()       // ends the frame; must not block
}

// NewBudget makes a budget of size bytes; 0: DefaultBudget.
func NewBudget(size int64) *Budget {
	if size <= 0 {
		size = DefaultBudget()
	}
	return &Budget{size: size, free: semaphore.NewWeighted(size), frames: map[*Grant]struct{}{}}
}

// Take blocks until n bytes are free or ctx ends. What is larger than the
// whole budget takes all of it. The func gives the bytes back, once.
func (b *Budget) Take(ctx context.Context, n int) (giveBack func(), err error) {
	w := min(int64(n), b.size)
	if err := b.acquire(ctx, w); err != nil {
		return nil, err
	}
	return func() { b.free.Release(w) }, nil
}

// Size is the whole budget in bytes.
func (b *Budget) Size() int64 { return b.size }

// Frame is Take for n bytes that are still to come: cut may be called, once,
// if they come too slowly while others wait. It must not block.
func (b *Budget) Frame(ctx context.Context, n int, cut func()) (*Grant, error) {
	g := &Grant{b: b, size: min(int64(n), b.size), cut: cut}
	if err := b.acquire(ctx, g.size); err != nil {
		return nil, err
	}
	g.since = time.Now()
	b.mu.Lock()
	b.frames[g] = struct{}{}
	b.mu.Unlock()
	return g, nil
}

// Came notes that n more bytes of the frame are here.
func (g *Grant) Came(n int) { g.got.Add(int64(n)) }

// Late reports whether the frame was cut.
func (g *Grant) Late() bool { return g.late.Load() }

// Whole says that all of the frame is here: it is not cut any more.
func (g *Grant) Whole() {
	g.b.mu.Lock()
	defer g.b.mu.Unlock()
	delete(g.b.frames, g)
}

// GiveBack gives the memory back. It is called once.
func (g *Grant) GiveBack() {
	g.Whole()
	g.b.free.Release(g.size)
}

// acquire waits for memory, and meanwhile cuts the frames that hold some idly.
func (b *Budget) acquire(ctx context.Context, w int64) error {
	if b.free.TryAcquire(w) {
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
	return err
}

// cutIdle cuts every frame that is behind its pace.
func (b *Budget) cutIdle(now time.Time) {
	var idle []*Grant
	b.mu.Lock()
	for g := range b.frames { // each is looked at alone: the order has no effect
		if held := now.Sub(g.since) - grantGrace; held > 0 && g.got.Load() < int64(held.Seconds()*grantRate) {
			delete(b.frames, g)
			idle = append(idle, g)
		}
	}
	b.mu.Unlock()
	for _, g := range idle {
		g.late.Store(true)
		g.cut()
	}
}
