package meter

import (
	"slices"
	"sync/atomic"
	"time"
)

// Distribution is how durations spread. Counts has one more entry than Bounds:
// entry i counts what was at most Bounds[i] and over the one before it, the last
// what was over all of them.
type Distribution struct {
	Bounds []time.Duration
	Counts []uint64
	Sum    time.Duration
}

// Count is how many durations there were.
func (d Distribution) Count() (n uint64) {
	for _, c := range d.Counts {
		n += c
	}
	return n
}

// Histogram counts durations in buckets. Observing takes no lock and no
// allocation.
type Histogram struct {
	bounds []time.Duration
	counts []atomic.Uint64
	sum    atomic.Int64
}

// NewHistogram makes a histogram with these upper bounds, which rise.
func NewHistogram(bounds []time.Duration) *Histogram {
	return &Histogram{bounds: slices.Clone(bounds), counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Distribution is a copy. What is observed meanwhile may be in one of its
// numbers and not yet in another.
func (h *Histogram) Distribution() Distribution {
	d := Distribution{Bounds: slices.Clone(h.bounds), Counts: make([]uint64, len(h.counts)), Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		d.Counts[i] = h.counts[i].Load()
	}
	return d
}

// Histograms are one histogram for each key, all with the same bounds. Keys are
// bounded as those of a Tally are.
type Histograms[K comparable] struct{ by *keyed[K, Histogram] }

// NewHistograms makes a set; see NewTally for max and fold, which must not be nil.
func NewHistograms[K comparable](max int, fold func(K) K, bounds []time.Duration) *Histograms[K] {
	return &Histograms[K]{newKeyed(max, fold, func() *Histogram { return NewHistogram(bounds) })}
}

// Observe counts one duration under k.
func (s *Histograms[K]) Observe(k K, d time.Duration) { s.by.at(k).Observe(d) }

// Distributions is a copy.
func (s *Histograms[K]) Distributions() map[K]Distribution {
	return copied(s.by, (*Histogram).Distribution)
}
