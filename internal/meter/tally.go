package meter

import (
	"sync"
	"sync/atomic"
)

// Tally counts by key. At most max keys get a counter of their own; what comes
// under others is counted under the key that fold makes of them, which must be
// one of few. Adding to a key that is known takes no allocation.
type Tally[K comparable] struct {
	max  int
	fold func(K) K

	mu sync.RWMutex // a leaf
	by map[K]*atomic.Uint64
}

// NewTally makes a tally. A nil fold counts all that is over max under the zero key.
func NewTally[K comparable](max int, fold func(K) K) *Tally[K] {
	if fold == nil {
		fold = func(K) (zero K) { return zero }
	}
	return &Tally[K]{max: max, fold: fold, by: make(map[K]*atomic.Uint64)}
}

// Add counts n under k. It never blocks for long.
func (t *Tally[K]) Add(k K, n uint64) {
	t.mu.RLock()
	c := t.by[k]
	t.mu.RUnlock()
	if c == nil {
		c = t.counter(k)
	}
	c.Add(n)
}

func (t *Tally[K]) counter(k K) *atomic.Uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[k] == nil && len(t.by) >= t.max {
		k = t.fold(k)
	}
	c := t.by[k]
	if c == nil {
		c = new(atomic.Uint64)
		t.by[k] = c
	}
	return c
}

// Counts is a copy.
func (t *Tally[K]) Counts() map[K]uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make(map[K]uint64, len(t.by))
	for k, c := range t.by {
		out[k] = c.Load()
	}
	return out
}
