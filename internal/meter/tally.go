package meter

import "sync/atomic"

// Tally counts by key. At most max keys get a counter of their own; what comes
// under others is counted under the key that fold makes of them, which must be
// one of few. Adding to a key that is known takes no allocation.
type Tally[K comparable] struct{ by *keyed[K, atomic.Uint64] }

// NewTally makes a tally. A nil fold counts all that is over max under the zero key.
func NewTally[K comparable](max int, fold func(K) K) *Tally[K] {
	if fold == nil {
		fold = func(K) (zero K) { return zero }
	}
	return &Tally[K]{newKeyed(max, fold, func() *atomic.Uint64 { return new(atomic.Uint64) })}
}

// Add counts n under k. It never blocks for long.
func (t *Tally[K]) Add(k K, n uint64) { t.by.at(k).Add(n) }

// Counts is a copy.
func (t *Tally[K]) Counts() map[K]uint64 { return copied(t.by, (*atomic.Uint64).Load) }
