package meter

import (
	"sync"
	"sync/atomic"
	"time"
)

// Loop measures one owner loop: how much of the time it works, and how long its
// steps take. The owner calls Wake when its select has returned and Rest before
// it waits again, which costs two readings of the monotonic clock; everybody
// may read.
type Loop struct {
	base  time.Time
	busy  atomic.Int64 // nanoseconds of the steps that have ended
	woken atomic.Int64 // nanoseconds from base to the start of the step, and one; 0: it rests
	steps *Histogram

	mu      sync.Mutex // a leaf; of readers only
	samples []sample   // the oldest first
}

// sample is what a reader saw.
type sample struct{ at, busy time.Duration }

// ratioOver is over how long Ratio looks back at the least, once there is as
// much, and sampleEvery how often a sample is kept for it.
const (
	ratioOver   = 10 * time.Second
	sampleEvery = time.Second
)

// NewLoop makes a loop that rests, with these bounds for its steps.
func NewLoop(bounds []time.Duration) *Loop {
	return &Loop{base: time.Now(), steps: NewHistogram(bounds)}
}

// Wake says that a step begins.
func (l *Loop) Wake() { l.woken.Store(int64(time.Since(l.base)) + 1) }

// Rest says that the step has ended. Without a Wake before it, it does nothing.
func (l *Loop) Rest() {
	began := l.woken.Load()
	if began == 0 {
		return
	}
	took := time.Since(l.base) - time.Duration(began-1)
	l.busy.Add(int64(took))
	l.woken.Store(0)
	l.steps.Observe(took)
}

// LoopStat is what a loop has done.
type LoopStat struct {
	Busy  time.Duration // the step under way included
	Ratio float64       // of the last ten seconds or more, 0 to 1
	Step  time.Duration // how long the step under way has taken; 0: it rests
	Steps Distribution
}

// Stat is a snapshot. It never waits for the loop.
func (l *Loop) Stat() LoopStat {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.base)
	st := LoopStat{Busy: time.Duration(l.busy.Load()), Steps: l.steps.Distribution()}
	if began := time.Duration(l.woken.Load()); began > 0 && now > began {
		st.Step = now - began + 1
		st.Busy += st.Step
	}
	since := sample{}
	for i := len(l.samples) - 1; i >= 0; i-- {
		if now-l.samples[i].at >= ratioOver {
			since = l.samples[i]
			l.samples = l.samples[i:] // nobody looks further back
			break
		}
	}
	if span := now - since.at; span > 0 {
		st.Ratio = min(max(float64(st.Busy-since.busy)/float64(span), 0), 1)
	}
	if n := len(l.samples); n == 0 || now-l.samples[n-1].at >= sampleEvery {
		l.samples = append(l.samples, sample{now, st.Busy})
	}
	return st
}
