package bed

import (
	"time"
)

// Epoch is the instant at which every queue starts. It is also the one at
// which a bubble of testing/synctest starts, so that both beds tell the same
// time.
func Epoch() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// Queue is a list of calls ordered by virtual time; calls for the same instant
// run in the order in which they were added. Nothing runs by itself: Step, Run
// and Drain do. The zero value starts at Epoch. It is not safe for concurrent
// use.
type Queue struct {
	base time.Time // zero: Epoch
	now  int64     // nanoseconds since base
	seq  uint64    // of the next call
	heap []call
	ran  func(at int64) // told of each call before it runs; nil: nobody
}

// call is one entry of the heap.
type call struct {
	at  int64
	seq uint64
	fn  func()
}

func (c *call) before(d *call) bool {
	return c.at < d.at || c.at == d.at && c.seq < d.seq
}

// Now is the virtual time: that of the call that runs or ran last, or the end
// of the last Run.
func (q *Queue) Now() time.Time { return q.time(q.now) }

// Len is the number of calls that wait.
func (q *Queue) Len() int { return len(q.heap) }

// At adds fn for the instant t; an instant that has passed means now.
func (q *Queue) At(t time.Time, fn func()) { q.at(q.nanos(t), fn) }

// After adds fn for d from now; a negative d means now.
func (q *Queue) After(d time.Duration, fn func()) { q.at(q.now+int64(d), fn) }

// Next is the instant of the first call, or the zero time if there is none.
func (q *Queue) Next() time.Time {
	if len(q.heap) == 0 {
		return time.Time{}
	}
	return q.time(q.heap[0].at)
}

// Step moves the time to the first call and runs it. It reports whether there
// was one.
func (q *Queue) Step() bool {
	if len(q.heap) == 0 {
		return false
	}
	c := q.pop()
	q.now = c.at
	if q.ran != nil {
		q.ran(c.at)
	}
	c.fn()
	return true
}

// Run runs every call up to and including the instant until, calls added
// meanwhile included, and leaves the time there. An instant that has passed
// runs nothing.
func (q *Queue) Run(until time.Time) { q.run(q.nanos(until)) }

// RunFor is Run until d from now.
func (q *Queue) RunFor(d time.Duration) { q.run(q.now + int64(d)) }

// Drain runs calls until none is left or limit have run, and reports whether
// none is left. Cores that ask to be woken for ever never drain: use Run.
func (q *Queue) Drain(limit int) bool {
	for ; limit > 0 && q.Step(); limit-- {
	}
	return len(q.heap) == 0
}

func (q *Queue) run(until int64) {
	for len(q.heap) > 0 && q.heap[0].at <= until {
		q.Step()
	}
	q.now = max(q.now, until)
}

func (q *Queue) time(at int64) time.Time {
	if q.base.IsZero() {
		return Epoch().Add(time.Duration(at))
	}
	return q.base.Add(time.Duration(at))
}

func (q *Queue) nanos(t time.Time) int64 {
	if q.base.IsZero() {
		return int64(t.Sub(Epoch()))
	}
	return int64(t.Sub(q.base))
}

// at adds fn for the instant at, nanoseconds since base.
func (q *Queue) at(at int64, fn func()) {
	c := call{at: max(at, q.now), seq: q.seq, fn: fn}
	q.seq++
	q.heap = append(q.heap, c)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !c.before(&q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = c
}

// pop takes the first call off the heap, which is not empty.
func (q *Queue) pop() call {
	first := q.heap[0]
	end := len(q.heap) - 1
	last := q.heap[end]
	q.heap[end] = call{} // let go of the closure
	q.heap = q.heap[:end]
	if end == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= end {
			break
		}
		if r := down + 1; r < end && q.heap[r].before(&q.heap[down]) {
			down = r
		}
		if !q.heap[down].before(&last) {
			break
		}
		q.heap[i] = q.heap[down]
		i = down
	}
	q.heap[i] = last
	return first
}
