package reqresp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/starlingp2p/starling/wire/internal/intake"
)

// What answers to our requests may hold in memory while they come in. Memory
// is granted as bytes arrive, to the answers of one peer and to those of all.
const (
	maxAnswers     = 16 << 20 // bytes, of all answers of one peer
	besideLead     = 2 << 20  // bytes of them that are not the leading answer's
	leadAnswer     = maxAnswers - besideLead
	ordinaryAnswer = 1536 << 10       // bytes over which an answer must lead
	growTime       = 5 * time.Second  // longest wait for memory, while some is held
	leadTime       = 20 * time.Second // longest wait for other large answers of the peer
	maxShares      = 128              // sessions with a share of their own
	maxShare       = 512 << 10        // bytes of it
	sharesOf       = 4                // one part in so many of the decode budget is for shares
)

// errStarved: an answer was given up for want of memory. It is nobody's fault.
var errStarved = errors.New("reqresp: the decode budget has no memory for the answer")

// inbound is the memory of a node for answers to its requests. A part of the
// decode budget is cut into shares, one a session: so those who answer as one
// expects get on while others fill the rest.
type inbound struct {
	budget  *intake.Budget // shared with gossip
	share   int            // bytes of one share
	sharing atomic.Int64   // peers that have one
	taken   atomic.Int64   // bytes of shares that answers hold
	// large is held by the answer that passes leadAnswer: a large frame while
	// it is decompressed.
	large *semaphore.Weighted
}

// newInbound cuts up a decode budget of size bytes; 0: the default.
func newInbound(size int64) *inbound {
	if size <= 0 {
		size = intake.DefaultBudget()
	}
	share := min(size/sharesOf/maxShares, maxShare)
	return &inbound{
		budget: intake.NewBudget(max(size-share*maxShares, 1)),
		share:  int(share), large: semaphore.NewWeighted(1),
	}
}

// peerIn is what answers of one peer hold.
type peerIn struct {
	in *inbound

	mu      sync.Mutex // a leaf
	own     int        // bytes of the share that are free
	shared  bool       // it has a share
	active  int        // answers under way
	ended   bool       // the session has
	held    int        // bytes of all
	lead    *answerIn  // the one that may be large; nil: none
	leaders int        // answers that wait to lead
	grown   int        // of them such as hold memory already: they are first
	changed chan struct{}
}

func (in *inbound) of() *peerIn {
	a := &peerIn{in: in, changed: make(chan struct{})}
	if in.sharing.Add(1) <= maxShares {
		a.shared, a.own = true, in.share
	} else {
		in.sharing.Add(-1)
	}
	return a
}

// close says that the session has ended: the share goes back with the last
// answer.
func (as *peerIn) close() {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.ended = true
	as.unshare()
}

// unshare gives the share back when nobody uses it any more. The lock is held.
func (as *peerIn) unshare() {
	if as.ended && as.shared && as.active == 0 {
		as.shared, as.own = false, 0
		as.in.sharing.Add(-1)
	}
}

// answerIn is the memory of one answer. One goroutine uses it.
type answerIn struct {
	of    *peerIn
	ctx   context.Context
	grant *intake.Grant
	held  int  // bytes; changed under the lock of peerIn
	own   int  // of them from the share
	large bool // it holds inbound.large
}

var _ Memory = (*answerIn)(nil)

// begin makes the memory of an answer that lasts until done; cut ends the
// exchange and must not block.
func (as *peerIn) begin(ctx context.Context, cut func()) *answerIn {
	as.mu.Lock()
	as.active++
	as.mu.Unlock()
	return &answerIn{of: as, ctx: ctx, grant: as.in.budget.Open(cut)}
}

// Expect implements Memory: before a large frame, while it holds
// little, the answer waits for its turn to be large.
func (a *answerIn) Expect(n int) error {
	if a.held+n+n/4 <= ordinaryAnswer { // while it grows, a frame takes a quarter more
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(a.ctx, leadTime, errStarved)
	defer cancel()
	if _, err := a.of.take(ctx, a, 0, true); err != nil {
		return fmt.Errorf("reqresp: memory for a large answer: %w", err)
	}
	return nil
}

// Grow implements Memory.
func (a *answerIn) Grow(n int) error {
	ctx, cancel := context.WithTimeoutCause(a.ctx, growTime, errStarved)
	defer cancel()
	own, err := a.of.take(ctx, a, n, a.held+n > ordinaryAnswer)
	if err == nil && a.held > leadAnswer && !a.large {
		if err = a.of.in.large.Acquire(ctx, 1); err == nil {
			a.large = true
		} else {
			a.of.giveBack(a, n, own)
		}
	}
	if err == nil && own < n {
		if err = a.grant.Grow(ctx, n-own); err != nil {
			a.of.giveBack(a, n, own)
		}
	}
	if err != nil {
		return fmt.Errorf("reqresp: memory for an answer: %w", context.Cause(ctx))
	}
	a.own += own
	return nil
}

// Shrink implements Memory.
func (a *answerIn) Shrink(n int) {
	own := max(0, n-(a.held-a.own)) // the share is given back last
	a.grant.Shrink(n - own)
	a.own -= own
	a.of.giveBack(a, n, own)
	if a.large && a.held <= leadAnswer {
		a.large = false
		a.of.in.large.Release(1)
	}
}

// done gives all back.
func (a *answerIn) done() {
	a.Shrink(a.held)
	a.grant.GiveBack()
	a.of.end(a)
}

// take waits until n bytes more of an answer fit beside the peer's other ones,
// and gives how many of them are the share's. leads says that the answer is to
// be the large one.
func (as *peerIn) take(ctx context.Context, a *answerIn, n int, leads bool) (own int, err error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if leads {
		as.leaders++
		defer func() { as.leaders-- }()
		if a.held > 0 {
			as.grown++
			defer func() { as.grown-- }()
		}
	}
	for !as.fits(a, n, leads) {
		changed := as.changed
		as.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		as.mu.Lock()
		if err != nil {
			return 0, err
		}
	}
	if leads {
		as.lead = a
	}
	as.held += n
	a.held += n
	own = min(n, as.own)
	as.own -= own
	as.in.taken.Add(int64(own))
	return own, nil
}

// fits reports whether an answer may grow by n bytes. One at a time is large;
// it begins when the others hold little, and they do not grow much beside it,
// so it comes to its end. What grew large out of many small frames may find
// others in its way, and then waits for their end, or for growTime to end it.
// The lock is held.
func (as *peerIn) fits(a *answerIn, n int, leads bool) bool {
	switch {
	case as.lead == a, leads && as.lead == nil && a.held > 0:
		return as.held+n <= maxAnswers || as.held-a.held <= besideLead
	case leads:
		return as.lead == nil && as.grown == 0 && as.held <= besideLead
	case as.lead != nil:
		return as.held-as.lead.held+n <= besideLead
	case as.leaders > 0 && a.held == 0:
		return as.held+n <= besideLead
	}
	return as.held+n <= maxAnswers
}

func (as *peerIn) giveBack(a *answerIn, n, own int) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.held -= n
	a.held -= n
	as.own += own
	as.in.taken.Add(-int64(own))
	as.wake()
}

func (as *peerIn) end(a *answerIn) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.lead == a {
		as.lead = nil
	}
	as.active--
	as.unshare()
	as.wake()
}

// wake lets those who wait look again. The lock is held.
func (as *peerIn) wake() {
	close(as.changed)
	as.changed = make(chan struct{})
}
