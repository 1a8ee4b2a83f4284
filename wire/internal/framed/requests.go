package framed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/starlingp2p/starling/wire"
)

// ErrNoAnswer: the remote did not answer in time.
var ErrNoAnswer = errors.New("framed: no answer in time")

const (
	lateFor  = time.Minute // how long an answer that nobody waits for any more is still no fault
	lateMost = 256         // of which so many are remembered
)

// Outcome is what became of an answer.
type Outcome uint8

// The outcomes: somebody waited for the answer; somebody had asked and has
// given up; nobody asked, which is a fault (threat L-08).
const (
	Taken Outcome = iota
	Late
	Unasked
)

// Requests matches the answers of one remote with what it was asked. K is what
// a question and its answer have in common: an id that the protocol carries,
// or the hash that was asked for. All methods are safe for concurrent use.
type Requests[K comparable, V any] struct {
	places chan struct{} // one for each question under way
	closed chan struct{}

	mu     sync.Mutex // a leaf
	open   map[K]*question[V]
	late   []lateKey[K] // by time
	ending bool
}

type question[V any] struct {
	waiters  int
	answered chan struct{} // closed when value and err are set
	value    V
	err      error
}

type lateKey[K comparable] struct {
	key   K
	until time.Time
}

// NewRequests makes a table for at most inFlight questions at once, at least 1.
func NewRequests[K comparable, V any](inFlight int) *Requests[K, V] {
	return &Requests[K, V]{places: make(chan struct{}, max(inFlight, 1)), closed: make(chan struct{}), open: map[K]*question[V]{}}
}

// Pending is a question that is under way. Wait or Drop is called once for each.
type Pending[K comparable, V any] struct {
	r   *Requests[K, V]
	key K
	q   *question[V]
}

// Do asks and blocks for the answer, for timeout from when it was sent, or
// until ctx ends. It is Ask and Wait.
func (r *Requests[K, V]) Do(ctx context.Context, key K, timeout time.Duration, send func(context.Context) error) (value V, err error) {
	p, err := r.Ask(ctx, key, send)
	if err != nil {
		return value, err
	}
	return p.Wait(ctx, timeout)
}

// Ask puts a question: it blocks for a place among those in flight, and for
// send, which puts it on its way. Who asks what is being asked already shares
// the answer, and sends nothing. Places come back with answers, not with Wait,
// so one goroutine may ask many questions before it waits for any. It fails
// with wire.ErrClosed when the table is closed.
func (r *Requests[K, V]) Ask(ctx context.Context, key K, send func(context.Context) error) (*Pending[K, V], error) {
	if q := r.join(key); q != nil {
		return &Pending[K, V]{r, key, q}, nil
	}
	select {
	case r.places <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-r.closed:
		return nil, wire.ErrClosed
	}
	q, ours := r.begin(key)
	if !ours {
		<-r.places
	}
	if q == nil {
		return nil, wire.ErrClosed
	}
	p := &Pending[K, V]{r, key, q}
	if !ours {
		return p, nil // another was quicker
	}
	if err := send(ctx); err != nil {
		var none V
		r.settle(key, q, none, err)
		return nil, err
	}
	return p, nil
}

// Wait blocks for the answer, at most timeout, or until ctx ends. It fails with
// ErrNoAnswer after timeout and with wire.ErrClosed when the table is closed.
func (p *Pending[K, V]) Wait(ctx context.Context, timeout time.Duration) (value V, err error) {
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case <-p.q.answered:
		return p.q.value, p.q.err
	case <-late.C:
		err = ErrNoAnswer
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if p.r.leave(p.key, p.q) {
		return p.q.value, p.q.err // the answer came after all
	}
	return value, err
}

// Drop gives up waiting at once.
func (p *Pending[K, V]) Drop() { p.r.leave(p.key, p.q) }

// join shares a question that is under way; nil if there is none.
func (r *Requests[K, V]) join(key K) *question[V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.open[key]; q != nil {
		q.waiters++
		return q
	}
	return nil
}

// begin opens a question, for which there is a place, or joins one that is
// open by now; nil if the table is closed.
func (r *Requests[K, V]) begin(key K) (q *question[V], ours bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ending {
		return nil, false
	}
	if q := r.open[key]; q != nil {
		q.waiters++
		return q, false
	}
	q = &question[V]{waiters: 1, answered: make(chan struct{})}
	r.open[key] = q
	return q, true
}

// leave gives up waiting. It reports whether the answer is there. Once nobody
// waits, the question is over, though an answer may still come.
func (r *Requests[K, V]) leave(key K, q *question[V]) (answered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-q.answered:
		return true
	default:
	}
	if q.waiters--; q.waiters > 0 {
		return false
	}
	delete(r.open, key)
	<-r.places
	if len(r.late) == lateMost {
		r.late = append(r.late[:0], r.late[1:]...)
	}
	r.late = append(r.late, lateKey[K]{key, time.Now().Add(lateFor)})
	return false
}

// settle ends a question, unless it has ended.
func (r *Requests[K, V]) settle(key K, q *question[V], v V, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[key] == q {
		r.over(key, q, v, err)
	}
}

// over ends an open question. The lock is held.
func (r *Requests[K, V]) over(key K, q *question[V], v V, err error) {
	delete(r.open, key)
	q.value, q.err = v, err
	close(q.answered)
	<-r.places
}

// Answer hands an answer, or its error, to whoever asked. It never blocks.
func (r *Requests[K, V]) Answer(key K, v V, err error) Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.open[key]; q != nil {
		r.over(key, q, v, err)
		return Taken
	}
	now := time.Now()
	for i, l := range r.late {
		if l.key == key {
			r.late = append(r.late[:i], r.late[i+1:]...)
			if now.Before(l.until) {
				return Late
			}
			break
		}
	}
	return Unasked
}

// Pending reports whether a question is under way.
func (r *Requests[K, V]) Pending(key K) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[key] != nil
}

// Close ends every question with wire.ErrClosed, and fails those to come. It
// never blocks.
func (r *Requests[K, V]) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ending {
		return
	}
	r.ending = true
	close(r.closed)
	for key, q := range r.open { // each is ended alone: the order has no effect
		var none V
		r.over(key, q, none, wire.ErrClosed)
	}
}
