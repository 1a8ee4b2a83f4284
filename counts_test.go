package starling

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Threat C-09: a chain or a handler may make a reason out of what a peer sent;
// the keys are bounded all the same.
func TestKeysOfCountersAreBounded(t *testing.T) {
	c := newCounts()
	for i := range 10_000 {
		text := "peer's own text " + strconv.Itoa(i)
		c.verdict(wire.App{}, chain.Ignored(text))
		c.dialled(&peer.RefusedError{Reason: peer.Reason(text)})
		c.accepts.Add(Outcome{ResultFailed, peer.Reason(text)}, 1)
		c.closes.Add(Close{Reason: peer.Reason(text)}, 1)
		c.charges.Add(peer.Offense(text), 1)
		c.bans.Add(text, 1)
		c.drops.Add(Drop{text, "full"}, 1)
		c.requests.Observe(Exchange{Kind: text}, time.Second)
		c.checks.Observe(text, time.Second)
	}
	for name, n := range map[string]int{
		"verdicts": len(c.verdicts.Counts()), "dials": len(c.dials.Counts()), "accepts": len(c.accepts.Counts()),
		"closes": len(c.closes.Counts()), "charges": len(c.charges.Counts()), "bans": len(c.bans.Counts()),
		"drops": len(c.drops.Counts()), "requests": len(c.requests.Distributions()), "checks": len(c.checks.Distributions()),
	} {
		if n > maxVerdictKeys+4 {
			t.Errorf("%s has %d keys", name, n)
		}
	}
	if got := c.verdicts.Counts()[VerdictKey{"app", "ignore", "other"}]; got != 10_000-maxVerdictKeys {
		t.Errorf("%d verdicts are other, want %d", got, 10_000-maxVerdictKeys)
	}
}

func TestOutcomesAndResults(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Outcome
	}{
		{nil, Outcome{ResultOK, ""}},
		{&peer.RefusedError{Reason: peer.TooManyPeers, Remote: true}, Outcome{ResultRefused, peer.TooManyPeers}},
		{fmt.Errorf("dial: %w", peer.Refuse(peer.Banned)), Outcome{ResultFailed, peer.Banned}},
		{context.DeadlineExceeded, Outcome{ResultFailed, peer.DialTimeout}},
		{wire.ErrClosed, Outcome{ResultFailed, peer.Stopping}},
		{errors.New("?"), Outcome{ResultFailed, peer.DialFailed}},
	} {
		if got := outcomeOf(tt.err); got != tt.want {
			t.Errorf("outcome of %v = %v, want %v", tt.err, got, tt.want)
		}
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ResultOK},
		{&wire.Refusal{}, ResultRefused},
		{&wire.Fault{Err: errors.New("?")}, ResultFault},
		{fmt.Errorf("request: %w", wire.ErrClosed), ResultClosed},
		{wire.ErrUnsupported, ResultUnsupported},
		{context.DeadlineExceeded, ResultTimeout},
		{context.Canceled, ResultCancelled},
		{errors.New("?"), ResultFailed},
	} {
		if got := resultOf(tt.err); got != tt.want {
			t.Errorf("result of %v = %q, want %q", tt.err, got, tt.want)
		}
	}
}

// Links that no session comes of take a bounded memory, and an old one's time
// is not taken for a new one's.
func TestArrivalsAreBoundedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a arrivals
		link := func(i int) wire.Link {
			return wire.Link{Direction: peer.Inbound, Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 2, byte(i >> 8), byte(i)}), 1)}
		}
		info := func(l wire.Link) peer.Info { return peer.Info{Direction: l.Direction, Endpoint: l.Endpoint} }
		for i := range 3 * maxArrivals {
			a.begin(link(i))
		}
		if len(a.at) != maxArrivals {
			t.Errorf("%d arrivals are remembered, want %d", len(a.at), maxArrivals)
		}
		began := time.Now()
		time.Sleep(3 * time.Second)
		if at, ok := a.end(info(link(1))); !ok || !at.Equal(began) {
			t.Errorf("link 1 began at %v (%v), want %v", at, ok, began)
		}
		if _, ok := a.end(info(link(1))); ok {
			t.Error("a link ended twice")
		}
		time.Sleep(arrivalFor)
		if _, ok := a.end(info(link(2))); ok {
			t.Error("a link of long ago is still on its way")
		}
		for i := range 3 { // two took the places of those that ended
			a.begin(link(5*maxArrivals + i))
		}
		if len(a.at) != 3 {
			t.Errorf("%d arrivals are remembered, want the fresh ones only", len(a.at))
		}
		again := link(5 * maxArrivals)
		time.Sleep(2 * time.Second)
		a.begin(again) // the same port, anew
		again.ID = "known"
		time.Sleep(2 * time.Second)
		a.begin(again) // the same link, proven
		if at, _ := a.end(info(again)); time.Since(at) != 2*time.Second {
			t.Errorf("the link began %v ago, want 2 s", time.Since(at))
		}
	})
}

func TestTracingThatIsOffCostsNothing(t *testing.T) {
	tr := newTracer(nil)
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		_, sp := tr.start(ctx, spanValidate)
		sp.set("peer", "x")
		sp.count("blocks", 1)
		sp.end(nil)
		tr.since(ctx, spanHandshake, time.Time{}).end(nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
