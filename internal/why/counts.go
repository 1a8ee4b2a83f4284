package why

import (
	"cmp"
	"slices"
	"time"
)

// key is what is counted: a kind of thing, its reason, and the side.
type key struct {
	kind, reason string
	remote       bool
}

const (
	maxKeys = 512 // all are fixed texts; what is beyond is counted as "other"
	fine    = 10 * time.Second
	coarse  = time.Minute
	fines   = 61 // ten minutes, and the one under way
	coarses = 61 // an hour, and the one under way
)

// window counts one key over time, in slots that are used in turn.
type window struct {
	total  uint64
	first  time.Time // the first count
	last   time.Time
	fine   [fines]slot
	coarse [coarses]slot
}

// slot is the count of one span of time, by the span's number.
type slot struct {
	span int64
	n    uint64
}

// counts is every window. base is where spans are counted from.
type counts struct {
	base time.Time
	by   map[key]*window
}

func (c *counts) add(now time.Time, k key, n uint64) {
	if n == 0 {
		return
	}
	if c.by == nil {
		c.by, c.base = map[key]*window{}, now
	}
	w := c.by[k]
	if w == nil {
		if len(c.by) >= maxKeys {
			k.reason = "other"
			w = c.by[k]
		}
		if w == nil {
			w = &window{first: now}
			c.by[k] = w
		}
	}
	w.total, w.last = w.total+n, now
	bump(w.fine[:], c.span(now, fine), n)
	bump(w.coarse[:], c.span(now, coarse), n)
}

func (c *counts) span(now time.Time, d time.Duration) int64 { return max(int64(now.Sub(c.base)/d), 0) }

func bump(slots []slot, span int64, n uint64) {
	s := &slots[span%int64(len(slots))]
	if s.span != span {
		*s = slot{span: span}
	}
	s.n += n
}

// within sums the slots of the last few spans.
func within(slots []slot, span int64, spans int64) (n uint64) {
	for _, s := range slots {
		if s.span <= span && s.span > span-spans {
			n += s.n
		}
	}
	return n
}

// in is how often k was counted in the last d, as exactly as slots are fine.
func (c *counts) in(now time.Time, k key, d time.Duration) uint64 {
	w := c.by[k]
	switch {
	case w == nil:
		return 0
	case d <= (fines-1)*fine:
		return within(w.fine[:], c.span(now, fine), int64(d/fine)+1)
	}
	return within(w.coarse[:], c.span(now, coarse), int64(d/coarse)+1)
}

// since is when k was counted first, and last; zero if it never was.
func (c *counts) since(k key) (first, last time.Time) {
	if w := c.by[k]; w != nil {
		return w.first, w.last
	}
	return time.Time{}, time.Time{}
}

// list gives every count, what is frequent now first.
func (c *counts) list(now time.Time) []Count {
	out := []Count{}
	for k, w := range c.by { // sorted below
		out = append(out, Count{
			Kind: k.kind, Reason: k.reason, ByRemote: k.remote, Total: w.total,
			Minute: c.in(now, k, time.Minute), TenMinutes: c.in(now, k, 10*time.Minute), Hour: c.in(now, k, time.Hour),
		})
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(-cmp.Compare(a.TenMinutes, b.TenMinutes), -cmp.Compare(a.Hour, b.Hour), -cmp.Compare(a.Total, b.Total),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason), cmp.Compare(side(a.ByRemote), side(b.ByRemote)))
	})
	return out
}

// sorted gives a map's keys in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// total is how often k was counted since the start.
func (c *counts) total(k key) uint64 {
	if w := c.by[k]; w != nil {
		return w.total
	}
	return 0
}
