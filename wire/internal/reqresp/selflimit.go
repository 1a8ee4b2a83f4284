package reqresp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/starlingp2p/starling/wire"
)

const (
	selfShare    = 0.9             // of an announced rate that we use
	selfBackOff  = 0.75            // of the rate, after "limited"
	selfRecover  = 1.05            // of the rate, every selfStep without a refusal
	selfStep     = 2 * time.Second //
	selfFloor    = 64 << 10        // bytes a second that we never go below
	defaultQuiet = time.Second     // after "limited" without a time
	rateWeight   = 0.25            // of a new measurement of an answer's rate
)

// SelfLimiter keeps us, as an asker, under what one peer serves: the budget
// that its Status announced, and what its refusals teach. Without either it
// never waits. Its methods are safe for concurrent use; make one per peer with
// NewSelfLimiter.
type SelfLimiter struct {
	mu        sync.Mutex // a leaf: nobody waits under it
	announced float64    // bytes a second that we may take; 0: not known
	rate      float64    // bytes a second that we take now; 0: no bound
	burst     float64    // bytes
	tokens    float64    // may go below 0: owed
	at        time.Time  // of tokens
	grown     time.Time  // when rate last changed
	quiet     time.Time  // nothing is sent before
	seen      float64    // bytes a second that answers came at
}

// NewSelfLimiter makes a limiter that does not limit yet.
func NewSelfLimiter() *SelfLimiter { return &SelfLimiter{} }

// Announced takes in the peer's budget: bytes a second, and burst in bytes; a
// rate of 0 changes nothing.
func (l *SelfLimiter) Announced(rate, burst uint64) {
	if rate == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.fill(now)
	was := l.announced
	l.announced = max(float64(rate)*selfShare, selfFloor)
	if was == 0 || l.rate > l.announced || l.rate == was {
		l.rate, l.grown = l.announced, now
	}
	l.burst = max(float64(burst)*selfShare, l.rate)
	if was == 0 {
		l.tokens = l.burst
	}
}

// Wait blocks until a request whose answer is about cost bytes may be sent. If
// that is not before the deadline of ctx, it fails at once with a
// *wire.Refusal by "self-limit", so that the caller asks elsewhere.
func (l *SelfLimiter) Wait(ctx context.Context, cost int) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	deadline, bounded := ctx.Deadline()
	delay, ok := l.reserve(time.Now(), cost, deadline, bounded)
	if !ok {
		return &wire.Refusal{Code: wire.RefusedLimit, Limit: "self-limit", RetryAfter: delay}
	}
	if delay <= 0 {
		return nil
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		l.Settle(cost, 0, 0, nil)
		return context.Cause(ctx)
	}
}

// reserve takes the tokens, unless the delay that this needs ends after the deadline.
func (l *SelfLimiter) reserve(now time.Time, cost int, deadline time.Time, bounded bool) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fill(now)
	delay := l.quiet.Sub(now)
	if l.rate > 0 {
		c := min(float64(cost), l.burst)
		if lack := c - l.tokens; lack > 0 {
			delay = max(delay, time.Duration(lack/l.rate*float64(time.Second)))
		}
	}
	if bounded && delay > 0 && now.Add(delay).After(deadline) {
		return delay, false
	}
	if l.rate > 0 {
		l.tokens -= float64(cost)
	}
	return delay, true
}

// Settle tells how a request ended for which Wait gave way: cost as told to
// Wait, the bytes of its answer, how long that took, and its error.
func (l *SelfLimiter) Settle(cost, got int, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.fill(now)
	if l.rate > 0 {
		l.tokens = min(l.tokens+float64(cost-got), l.burst)
	}
	if got > 0 && took > 0 {
		r := float64(got) / took.Seconds()
		if l.seen == 0 {
			l.seen = r
		}
		l.seen += (r - l.seen) * rateWeight
	}
	var why *wire.Refusal
	if !errors.As(err, &why) || why.Code != wire.RefusedLimit {
		return
	}
	after := why.RetryAfter
	if after <= 0 {
		after = defaultQuiet
	}
	if until := now.Add(after); until.After(l.quiet) {
		l.quiet = until
	}
	switch {
	case l.rate > 0:
		l.rate = max(l.rate*selfBackOff, selfFloor)
	default:
		l.rate = max(l.seen*selfBackOff, selfFloor)
		l.burst, l.tokens = l.rate, 0
	}
	l.grown = l.quiet
	l.tokens = min(l.tokens, 0)
}

// AckEvery is a fit Limits.AckEvery for the rate at which answers came: small
// on slow links, where bulk must not stand in the way for long.
func (l *SelfLimiter) AckEvery() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.seen > 0 && l.seen < 256<<10:
		return minAckEvery
	case l.seen > 0 && l.seen < 2<<20:
		return defaultAckEvery / 2
	}
	return defaultAckEvery
}

// fill brings tokens, and a rate that was cut, up to now.
func (l *SelfLimiter) fill(now time.Time) {
	if l.rate > 0 && !l.at.IsZero() {
		l.tokens = min(l.tokens+l.rate*now.Sub(l.at).Seconds(), l.burst)
	}
	l.at = now
	for l.rate > 0 && now.Sub(l.grown) >= selfStep {
		l.grown = l.grown.Add(selfStep)
		l.rate *= selfRecover
		if l.announced > 0 && l.rate >= l.announced {
			l.rate, l.grown = l.announced, now
			return
		}
		if l.announced == 0 && l.rate > 1<<30 { // learned long ago
			l.rate, l.quiet = 0, time.Time{}
		}
	}
}
