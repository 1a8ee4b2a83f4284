package starling

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// VerdictKey names a counter of verdicts. All three are fixed texts, except
// that a chain may choose its reasons: a node keeps at most 256 keys and
// counts what is beyond them under the reason "other".
type VerdictKey struct{ Message, Action, Reason string }

// Bounds of the counters' keys. All are products of fixed texts.
const (
	maxVerdictKeys = 256
	maxReasonKeys  = 128
	maxRequestKeys = 128
	maxDropKeys    = 64
)

// counts are the node's own counters.
type counts struct {
	verdicts *meter.Tally[VerdictKey]
	dials    *meter.Tally[Outcome]
	accepts  *meter.Tally[Outcome]
	closes   *meter.Tally[Close]
	charges  *meter.Tally[peer.Offense]
	bans     *meter.Tally[string]
	drops    *meter.Tally[Drop]
	// unpublished are the messages of ours that nobody was told, by kind.
	unpublished *meter.Tally[string]
	requests    *meter.Histograms[Exchange]
	checks      *meter.Histograms[string]
	handshakes  [2]*meter.Histogram // inbound, outbound
	imports     *meter.Histogram

	imported    atomic.Uint64
	bansByScore atomic.Uint64
}

func newCounts() *counts {
	none := func(string) string { return "other" }
	outcome := func(o Outcome) Outcome { return Outcome{o.Result, "other"} }
	return &counts{
		verdicts:    meter.NewTally(maxVerdictKeys, func(k VerdictKey) VerdictKey { return VerdictKey{k.Message, k.Action, "other"} }),
		dials:       meter.NewTally(maxReasonKeys, outcome),
		accepts:     meter.NewTally(maxReasonKeys, outcome),
		closes:      meter.NewTally(maxReasonKeys, func(c Close) Close { return Close{"other", c.ByRemote} }),
		charges:     meter.NewTally(maxReasonKeys, func(peer.Offense) peer.Offense { return "other" }),
		bans:        meter.NewTally(maxReasonKeys, none),
		drops:       meter.NewTally(maxDropKeys, func(Drop) Drop { return Drop{"other", "other"} }),
		unpublished: meter.NewTally(maxDropKeys, none),
		requests:    meter.NewHistograms(maxRequestKeys, func(e Exchange) Exchange { return Exchange{e.Served, "other", "other"} }, netBuckets()),
		checks:      meter.NewHistograms(maxDropKeys, none, workBuckets()),
		handshakes: [2]*meter.Histogram{
			meter.NewHistogram(netBuckets()), meter.NewHistogram(netBuckets()),
		},
		imports: meter.NewHistogram(workBuckets()),
	}
}

// netBuckets are for what the network decides, workBuckets for what we do.
func netBuckets() []time.Duration {
	return []time.Duration{
		time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
		500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	}
}

func workBuckets() []time.Duration {
	return []time.Duration{
		100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond,
		500 * time.Millisecond, time.Second, 3 * time.Second,
	}
}

func (c *counts) verdict(m wire.Message, v chain.Verdict) {
	c.verdicts.Add(VerdictKey{Message: kindOf(m), Action: v.Action.String(), Reason: v.Reason}, 1)
}

// dialled counts how a dial ended.
func (c *counts) dialled(err error) { c.dials.Add(outcomeOf(err), 1) }

// outcomeOf tells how an attempt ended.
func outcomeOf(err error) Outcome {
	var refused *peer.RefusedError
	switch {
	case err == nil:
		return Outcome{Result: ResultOK}
	case errors.As(err, &refused) && refused.Remote:
		return Outcome{ResultRefused, refused.Reason}
	case errors.As(err, &refused):
		return Outcome{ResultFailed, refused.Reason}
	case errors.Is(err, context.DeadlineExceeded):
		return Outcome{ResultFailed, peer.DialTimeout}
	case errors.Is(err, context.Canceled), errors.Is(err, wire.ErrClosed):
		return Outcome{ResultFailed, peer.Stopping}
	}
	return Outcome{ResultFailed, peer.DialFailed}
}

// resultOf is the fixed name of how an exchange ended.
func resultOf(err error) string {
	var refusal *wire.Refusal
	var fault *wire.Fault
	switch {
	case err == nil:
		return ResultOK
	case errors.As(err, &refusal):
		return ResultRefused
	case errors.As(err, &fault):
		return ResultFault
	case errors.Is(err, wire.ErrClosed):
		return ResultClosed
	case errors.Is(err, wire.ErrUnsupported):
		return ResultUnsupported
	case errors.Is(err, context.DeadlineExceeded), timedOut(err):
		return ResultTimeout
	case errors.Is(err, context.Canceled):
		return ResultCancelled
	}
	return ResultFailed
}

// timedOut reports whether an error of a wire's own calls itself a timeout.
func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// arrivals remembers when links were admitted, so that the time until their
// session is open can be told. It is a leaf.
type arrivals struct {
	mu sync.Mutex
	at map[arrival]time.Time
}

type arrival struct {
	direction peer.Direction
	end       wire.Endpoint
}

// Links that no session came of are forgotten after arrivalFor, and more than
// maxArrivals are not remembered.
const (
	arrivalFor  = 30 * time.Second
	maxArrivals = 2048
)

// begin notes a link; the first admission of a link counts.
func (a *arrivals) begin(l wire.Link) {
	k := arrival{l.Direction, l.Endpoint}
	if !l.Endpoint.IsValid() || l.Direction == peer.Outbound && !l.Asked {
		return
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at = make(map[arrival]time.Time)
	}
	if at, ok := a.at[k]; ok && (l.ID != "" || now.Sub(at) < time.Second) {
		return
	}
	if len(a.at) >= maxArrivals {
		for old, at := range a.at {
			if now.Sub(at) > arrivalFor {
				delete(a.at, old)
			}
		}
		if len(a.at) >= maxArrivals {
			return
		}
	}
	a.at[k] = now
}

// end gives when the link of a session was admitted; false where that is not
// known. The side that made the session need not be the one that dialled.
func (a *arrivals) end(info peer.Info) (at time.Time, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range []peer.Direction{info.Direction, peer.Outbound - info.Direction} {
		k := arrival{d, info.Endpoint}
		if at, known = a.at[k]; known {
			delete(a.at, k)
			return at, time.Since(at) <= arrivalFor
		}
	}
	return at, false
}
