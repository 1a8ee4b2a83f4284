package intake

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// paceWindow is how long a pace counts that a growing grant had: who sent much
// at first and then stops is behind soon after.
const paceWindow = 2 * time.Second

// Grant is memory for what a peer is sending. While others wait for memory it
// is cut if what it was granted for comes in too slowly. One goroutine uses
// it, but for Came and Late, and gives it back. What it is for is ended by its
// cut, which is called once at most, and must neither block nor use the grant.
type Grant struct {
	b    *Budget
	cut  func()
	got  atomic.Int64
	late atomic.Bool

	cutting sync.Mutex // held during a cut; a leaf, but for what cut itself locks
	over    bool       // it is not cut any more; under cutting

	want int64 // bytes asked for
	size int64 // bytes held: as many, but at most the whole budget

	// Under the budget's lock.
	since   time.Time
	before  int64 // of got, at since
	waits   bool  // for memory: what does not come then is our doing
	growing bool
}

// Open makes a grant of nothing, which grows with what comes in.
func (b *Budget) Open(cut func()) *Grant {
	g := &Grant{b: b, cut: cut, waits: true, growing: true} // nothing is held, so nothing is late
	b.mu.Lock()
	b.grants[g] = struct{}{}
	b.mu.Unlock()
	return g
}

// Frame is a grant for n bytes that are still to come. It blocks until they
// are free or ctx ends. What is larger than the whole budget takes all of it.
func (b *Budget) Frame(ctx context.Context, n int, cut func()) (*Grant, error) {
	g := &Grant{b: b, cut: cut}
	if err := g.acquire(ctx, int64(n)); err != nil {
		return nil, err
	}
	g.since = time.Now()
	b.mu.Lock()
	b.grants[g] = struct{}{}
	b.mu.Unlock()
	return g, nil
}

// Grow blocks until n bytes more are free or ctx ends, which its caller sees to:
// those who grow together may wait for each other.
func (g *Grant) Grow(ctx context.Context, n int) error {
	g.wait(true)
	defer g.wait(false)
	return g.acquire(ctx, int64(n))
}

func (g *Grant) acquire(ctx context.Context, n int64) error {
	more := min(g.want+n, g.b.size) - g.size
	if more > 0 {
		if err := g.b.acquire(ctx, more); err != nil {
			return err
		}
		g.size += more
	}
	g.want += n
	return nil
}

func (g *Grant) wait(on bool) {
	g.b.mu.Lock()
	defer g.b.mu.Unlock()
	if g.waits = on; !on {
		g.since, g.before = time.Now(), g.got.Load()
	}
}

// Shrink gives n bytes back.
func (g *Grant) Shrink(n int) {
	g.want -= int64(n)
	if less := g.size - min(g.want, g.b.size); less > 0 {
		g.size -= less
		g.b.release(less)
	}
}

// Came notes that n bytes have come. It is safe for concurrent use.
func (g *Grant) Came(n int) { g.got.Add(int64(n)) }

// Late reports whether it was cut.
func (g *Grant) Late() bool { return g.late.Load() }

// Whole says that all is here: it is not cut any more, and a cut that is under
// way has ended when Whole returns, so that what follows on the same link is not
// hit by it.
func (g *Grant) Whole() {
	g.b.mu.Lock()
	delete(g.b.grants, g)
	g.b.mu.Unlock()
	g.cutting.Lock()
	defer g.cutting.Unlock()
	g.over = true
}

// cutNow cuts it, unless all is here by now.
func (g *Grant) cutNow() {
	g.cutting.Lock()
	defer g.cutting.Unlock()
	if !g.over {
		g.late.Store(true)
		g.cut()
	}
}

// GiveBack gives all back. It is called once.
func (g *Grant) GiveBack() {
	g.Whole()
	g.b.release(g.size)
}

// behind reports whether it holds memory for what does not come. The budget's
// lock is held.
func (g *Grant) behind(now time.Time) bool {
	held := now.Sub(g.since) - grantGrace
	if g.waits || held <= 0 {
		return false
	}
	got := g.got.Load() - g.before
	if got < int64(held.Seconds()*grantRate) {
		return true
	}
	if g.growing && held >= paceWindow {
		g.since, g.before = now, g.got.Load()
	}
	return false
}
