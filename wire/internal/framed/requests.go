package framed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/starlingp2p/starling/wire"
)

// Errors of a question that has no answer.
var (
	// ErrNoAnswer: the remote did not answer in time.
	ErrNoAnswer = errors.New("framed: no answer in time")
	// ErrUnsent: the question did not leave us in time. It says nothing of the
	// remote's answers.
	ErrUnsent error = ours("framed: the question did not leave in time")
)

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
//
// A question is open to answers from the moment in which the writer takes it:
// what comes earlier answers nothing, since keys can be guessed, and would be
// held for a question that may never leave. Whoever asks waits for the answer
// from when the question was written, so that no time in our own queue counts.
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
	going    bool          // the writer has taken it
	left     chan struct{} // closed when it was written; leftAt is set
	leftAt   time.Time
	answered chan struct{} // closed when value and err are set
	value    V
	err      error
}

// Mark follows a question through the queue of a Link, whose writer calls
// leaves and then left. Send of a Link takes it as Out.Mark.
type Mark struct {
	// leaves says that the message is about to be written. False: nobody waits
	// for an answer any more, so it is not written.
	leaves func() bool
	left   func() // it was written
}

type lateKey[K comparable] struct {
	key   K
	until time.Time
}

// NewRequests makes a table for at most inFlight questions at once, at least 1.
func NewRequests[K comparable, V any](inFlight int) *Requests[K, V] {
	return &Requests[K, V]{places: make(chan struct{}, max(inFlight, 1)), closed: make(chan struct{}), open: map[K]*question[V]{}}
}

// Pending is a question that is under way. Wait is called once for each: the
// value that came is the caller's.
type Pending[K comparable, V any] struct {
	r   *Requests[K, V]
	key K
	q   *question[V]
}

// Do asks and blocks for the answer, for timeout from when the question left,
// or until ctx ends. It is Ask and Wait.
func (r *Requests[K, V]) Do(ctx context.Context, key K, timeout time.Duration, send func(context.Context, *Mark) error) (value V, err error) {
	p, err := r.Ask(ctx, key, send)
	if err != nil {
		return value, err
	}
	return p.Wait(ctx, timeout)
}

// Ask puts a question: it blocks for a place among those in flight, and for
// send, which queues it with its Mark. Who asks what is being asked already
// shares the answer, and sends nothing. Places come back with answers, not with
// Wait, so one goroutine may ask many questions before it waits for any. It
// fails with wire.ErrClosed when the table is closed.
func (r *Requests[K, V]) Ask(ctx context.Context, key K, send func(context.Context, *Mark) error) (*Pending[K, V], error) {
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
	mark := &Mark{
		leaves: func() bool { return r.leaves(key, q) },
		left:   func() { r.wrote(q) },
	}
	if err := send(ctx, mark); err != nil && r.unsent(key, q, err) {
		return nil, err
	}
	return p, nil
}

// Wait blocks for the answer, at most timeout from when the question left, or
// from now if that was before, or until ctx ends. It tells ctx when that was
// (wire.Sent). It fails with ErrNoAnswer after timeout, with ErrUnsent if the
// question has not left by then, and with wire.ErrClosed when the table is
// closed.
func (p *Pending[K, V]) Wait(ctx context.Context, timeout time.Duration) (value V, err error) {
	late := time.NewTimer(timeout)
	defer late.Stop()
	left := p.q.left
	for err == nil {
		select {
		case <-left:
			left = nil
			wire.Sent(ctx, p.q.leftAt)
			late.Reset(timeout)
		case <-p.q.answered:
			return p.q.value, p.q.err
		case <-late.C:
			if err = ErrNoAnswer; left != nil {
				err = ErrUnsent
			}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if p.r.leave(p.key, p.q) {
		return p.q.value, p.q.err // the answer came after all
	}
	return value, err
}

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
	q = &question[V]{waiters: 1, left: make(chan struct{}), answered: make(chan struct{})}
	r.open[key] = q
	return q, true
}

// leaves opens a question to answers, as the writer is about to write it.
// False: it is over.
func (r *Requests[K, V]) leaves(key K, q *question[V]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[key] != q {
		return false
	}
	q.going = true
	return true
}

// wrote notes that a question was written.
func (r *Requests[K, V]) wrote(q *question[V]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q.leftAt = time.Now()
	close(q.left)
}

// leave gives up waiting. It reports whether the answer is there. Once nobody
// waits, the question is over, though an answer may still come if it has left.
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
	if !q.going {
		return false // it will not be written
	}
	if len(r.late) == lateMost {
		r.late = append(r.late[:0], r.late[1:]...)
	}
	r.late = append(r.late, lateKey[K]{key, time.Now().Add(lateFor)})
	return false
}

// unsent ends a question that could not be sent, for all who wait for it. False:
// it is answered, which send could not know.
func (r *Requests[K, V]) unsent(key K, q *question[V], err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[key] == q {
		var none V
		r.over(key, q, none, err)
		return true
	}
	return q.err != nil
}

// over ends an open question. The lock is held.
func (r *Requests[K, V]) over(key K, q *question[V], v V, err error) {
	delete(r.open, key)
	q.value, q.err = v, err
	close(q.answered)
	<-r.places
}

// Answer hands an answer, or its error, to whoever asked: the value is his if it
// is Taken, and the caller's to let go otherwise. It never blocks.
func (r *Requests[K, V]) Answer(key K, v V, err error) Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.open[key]; q != nil && q.going {
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
