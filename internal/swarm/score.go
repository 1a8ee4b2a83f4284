package swarm

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// The scale of reputation.
const (
	halfLife     = 10 * time.Minute
	disconnectAt = -20.0
	banAt        = -50.0
	worst        = -100.0
	bestCredit   = 10.0 // what deliveries can add; it never weighs against faults
	ringSize     = 64   // recent faults kept apart; 64 of the least make a ban
)

// fault is one charge.
type fault struct {
	at     time.Time
	points float64 // negative
}

// standing is what one peer has done. Faults of the last half-life count in
// full, so that thresholds are met exactly; older ones count half at one
// half-life of age, a quarter at two. Deliveries earn credit, which the public
// score shows and the thresholds ignore.
type standing struct {
	recent   []fault // oldest first, none older than halfLife
	base     float64 // older faults, as they counted at baseAt
	baseAt   time.Time
	credit   float64
	creditAt time.Time
	seen     time.Time // last fault, or last session; retained retainFor after it
}

func decay(v float64, age time.Duration) float64 {
	if age <= 0 {
		return v
	}
	return v * math.Exp2(-float64(age)/float64(halfLife))
}

// fold moves faults that are no longer recent into the base.
func (s *standing) fold(now time.Time) {
	n := 0
	for n < len(s.recent) && (now.Sub(s.recent[n].at) >= halfLife || len(s.recent)-n > ringSize) {
		n++
	}
	if n == 0 {
		return
	}
	s.base = decay(s.base, now.Sub(s.baseAt))
	for _, f := range s.recent[:n] {
		s.base += decay(f.points, now.Sub(f.at))
	}
	s.base, s.baseAt = max(s.base, worst), now
	s.recent = slices.Clone(s.recent[n:])
}

// charge adds a fault and returns the sum that the thresholds look at.
func (s *standing) charge(now time.Time, sev peer.Severity) float64 {
	s.recent = append(slices.Clip(s.recent), fault{at: now, points: float64(sev)})
	s.seen = now
	s.fold(now)
	return s.faults(now)
}

// faults is the sum that the thresholds look at, from -100 to 0.
func (s *standing) faults(now time.Time) float64 {
	sum := decay(s.base, now.Sub(s.baseAt))
	for _, f := range s.recent {
		age := now.Sub(f.at)
		if age < halfLife {
			sum += f.points
		} else {
			sum += decay(f.points, age)
		}
	}
	return min(max(sum, worst), 0)
}

// score is the public score, from -100 to 100.
func (s *standing) score(now time.Time) float64 {
	return max(s.faults(now)+decay(s.credit, now.Sub(s.creditAt)), worst)
}

// earn adds credit for deliveries.
func (s *standing) earn(now time.Time, points float64) {
	s.credit = min(decay(s.credit, now.Sub(s.creditAt))+points, bestCredit)
	s.creditAt = now
}

// idle reports whether nothing is left worth remembering.
func (s *standing) idle(now time.Time) bool {
	return now.Sub(s.seen) >= retainFor
}

// clone is a copy that shares nothing.
func (s *standing) clone() standing {
	c := *s
	c.recent = slices.Clone(s.recent)
	return c
}

// board is every standing.
type board struct {
	by      map[subject]*standing
	low     map[subject]bool // those whose score was under the least one, when last looked at
	touched []subject        // changed since the shell last looked
}

func newBoard() board {
	return board{by: map[subject]*standing{}, low: map[subject]bool{}}
}

func (b *board) touch(s subject) {
	if len(b.touched) < maxStandings {
		b.touched = append(b.touched, s)
	}
}

// of gives the standing of s, made if there is none.
func (b *board) of(now time.Time, s subject) *standing {
	st := b.by[s]
	if st == nil {
		if len(b.by) >= maxStandings {
			b.evict(now)
		}
		st = &standing{seen: now, baseAt: now, creditAt: now}
		b.by[s] = st
	}
	return st
}

// evict makes room by letting the least telling standings go: those closest to
// nought, the longest unseen first.
func (b *board) evict(now time.Time) {
	type row struct {
		s    subject
		f    float64
		seen time.Time
	}
	rows := make([]row, 0, len(b.by))
	for s, st := range b.by {
		rows = append(rows, row{s, st.faults(now), st.seen})
	}
	slices.SortFunc(rows, func(x, y row) int {
		return cmp.Or(-cmp.Compare(x.f, y.f), x.seen.Compare(y.seen), cmp.Compare(x.s, y.s))
	})
	for _, r := range rows[:max(1, len(rows)/8)] {
		b.drop(r.s)
	}
}

func (b *board) drop(s subject) {
	delete(b.by, s)
	delete(b.low, s)
	b.touch(s)
}

// expire forgets standings that are past their time, and those of low that
// have recovered. It reports whether low changed.
func (b *board) expire(now time.Time, least float64, connected map[subject]bool) (changed bool) {
	for _, s := range sortedKeys(b.by) {
		st := b.by[s]
		if connected[s] {
			st.seen = now
		}
		st.fold(now)
		if st.idle(now) {
			changed = changed || b.low[s]
			b.drop(s)
			continue
		}
		if b.low[s] && st.faults(now) >= least {
			delete(b.low, s)
			changed = true
		}
	}
	return changed
}

// sortedKeys gives a map's keys in order, so that no map order reaches an effect.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
