package wiretest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func sessionChecks() []Check {
	goodbye := func(c wire.Caps, _ World) bool { return c.Goodbye }
	return []Check{
		{Name: "DialOpensOneSession", Rule: "when Dial returns nil the Host has taken one session, and soon so has the other side", run: dialOpens},
		{Name: "CloseReachesBothSides", Rule: "a session that is closed is reported Closed exactly once on each side, with its reason", run: closeReaches},
		{Name: "CloseTellsWhy", Rule: "the other side learns the reason of a close", run: closeTells, needs: goodbye},
		{Name: "CloseIsIdempotent", Rule: "Close never blocks, its first reason counts, Done is closed, and what comes later fails", run: closeIdempotent},
		{Name: "SimultaneousDialsLeaveOne", Rule: "two peers that dial each other at once have one session within 2 s, and nobody is charged (H-08)", run: simultaneous},
		{Name: "ReconnectAfterClose", Rule: "a peer can be dialled again as soon as its session is closed", run: reconnect},
		{Name: "IdleSessionsStay", Rule: "a session without traffic stays open (Z-07)", run: idleStays},
	}
}

func dialOpens(l *lab) error {
	a, err := l.start(1, nil)
	if err != nil {
		return err
	}
	b, err := l.start(2, nil)
	if err != nil {
		return err
	}
	if err := l.dial(a, b); err != nil {
		return fmt.Errorf("Dial: %w", err)
	}
	if n := len(a.host.Sessions()); n != 1 {
		return fmt.Errorf("Dial returned nil and the Host has %d sessions, want 1", n)
	}
	if err := l.until("a session at the listener", func() bool { return len(b.host.Sessions()) == 1 }, b); err != nil {
		return err
	}
	pa, pb := a.host.Sessions()[0].Peer(), b.host.Sessions()[0].Peer()
	if pa.Direction != peer.Outbound || pb.Direction != peer.Inbound {
		return fmt.Errorf("directions are %v at the dialler and %v at the listener", pa.Direction, pb.Direction)
	}
	caps := a.wire.Caps()
	if pa.Wire != caps.Name || pa.Proven != caps.ProvenIdentity || pa.ID == "" || pb.ID == "" || pa.ID == pb.ID {
		return fmt.Errorf("peers are %+v and %+v", pa, pb)
	}
	for _, i := range []struct {
		w  wire.Wire
		id peer.ID
	}{{b.wire, pa.ID}, {a.wire, pb.ID}} {
		if self, ok := i.w.(wire.Identified); ok && self.Self() != i.id {
			return fmt.Errorf("session with %q, whose Self is %q", i.id, self.Self())
		}
	}
	for _, n := range []*node{a, b} {
		if got := n.host.Opened()[0].Claims.Genesis; got != genesis && !got.IsZero() {
			return fmt.Errorf("claims have genesis %s, want %s", got, genesis)
		}
	}
	return l.stays("one session on each side", time.Second, func() bool {
		return len(a.host.Opened()) == 1 && len(b.host.Opened()) == 1 && len(a.host.Sessions()) == 1 && len(b.host.Sessions()) == 1
	})
}

func closeReaches(l *lab) error {
	a, b, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	a.host.Sessions()[0].Close(peer.Requested)
	if err := l.until("Closed on both sides", func() bool {
		return len(Reports[wire.Closed](a.host)) > 0 && len(Reports[wire.Closed](b.host)) > 0
	}, a, b); err != nil {
		return err
	}
	if err := l.stays("one Closed on each side", 2*time.Second, func() bool {
		return len(Reports[wire.Closed](a.host)) == 1 && len(Reports[wire.Closed](b.host)) == 1
	}); err != nil {
		return err
	}
	ca, cb := Reports[wire.Closed](a.host)[0], Reports[wire.Closed](b.host)[0]
	if ca.Reason != peer.Requested || ca.ByRemote {
		return fmt.Errorf("Closed = %q by remote %v at the side that closed, want %q, false", ca.Reason, ca.ByRemote, peer.Requested)
	}
	if !cb.ByRemote {
		return errors.New("Closed is not ByRemote at the side that was closed")
	}
	return nil
}

func closeTells(l *lab) error {
	a, b, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	b.host.Sessions()[0].Close(peer.Useless)
	if err := l.until("Closed at the other side", func() bool { return len(Reports[wire.Closed](a.host)) > 0 }, a); err != nil {
		return err
	}
	if c := Reports[wire.Closed](a.host)[0]; c.Reason != peer.Useless {
		return fmt.Errorf("Closed = %q, want %q", c.Reason, peer.Useless)
	}
	return nil
}

func closeIdempotent(l *lab) error {
	a, _, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	s := a.host.Sessions()[0]
	start := time.Now()
	var wg sync.WaitGroup
	s.Close(peer.Requested)
	for range 8 {
		wg.Go(func() { s.Close(peer.Useless) })
	}
	wg.Wait()
	if took := time.Since(start); took > 500*time.Millisecond {
		return fmt.Errorf("Close blocked for %v", took)
	}
	late := time.NewTimer(soon)
	defer late.Stop()
	select {
	case <-s.Done():
	case <-late.C:
		return errors.New("Done is not closed though the session is")
	}
	if err := l.until("Closed", func() bool { return len(Reports[wire.Closed](a.host)) > 0 }, a); err != nil {
		return err
	}
	if c := Reports[wire.Closed](a.host)[0]; c.Reason != peer.Requested {
		return fmt.Errorf("Closed = %q, want the first reason, %q", c.Reason, peer.Requested)
	}
	start = time.Now()
	if _, err := s.Request(l.ctx, wire.GetAddrs{Max: 1}); err == nil {
		return errors.New("Request on a closed session = nil")
	}
	if err := s.Send(l.ctx, wire.LaneConsensus, wire.Consensus{Bytes: []byte("late")}); err == nil {
		return errors.New("Send on a closed session = nil")
	}
	if took := time.Since(start); took > time.Second {
		return fmt.Errorf("Request and Send on a closed session took %v", took)
	}
	return nil
}

func simultaneous(l *lab) error {
	a, err := l.start(1, nil)
	if err != nil {
		return err
	}
	b, err := l.start(2, nil)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { l.dial(a, b) })
	wg.Go(func() { l.dial(b, a) })
	wg.Wait()
	if err := l.stays("one session on each side", 2*time.Second, func() bool {
		return len(a.host.Sessions()) == 1 && len(b.host.Sessions()) == 1
	}); err != nil {
		return err
	}
	if l.world.Patience > 0 {
		if err := l.stays("the same session", l.world.Patience, func() bool {
			return len(a.host.Sessions()) == 1 && len(b.host.Sessions()) == 1
		}); err != nil {
			return err
		}
	}
	for _, n := range []*node{a, b} {
		if o := Reports[wire.Offended](n.host); len(o) > 0 {
			return fmt.Errorf("charged with %s: %s", o[0].Offense, o[0].Detail)
		}
	}
	return nil
}

func reconnect(l *lab) error {
	a, b, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	for i := range 3 {
		a.host.Sessions()[0].Close(peer.Requested)
		if err := l.until("Closed at the other side", func() bool { return len(Reports[wire.Closed](b.host)) == i+1 }, b); err != nil {
			return err
		}
		if err := l.join(a, b); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
	}
	return nil
}

func idleStays(l *lab) error {
	a, b, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	return l.stays("the session", 3*l.world.Patience+time.Second, func() bool {
		return len(a.host.Sessions()) == 1 && len(b.host.Sessions()) == 1 && len(Reports[wire.Offended](a.host))+len(Reports[wire.Offended](b.host)) == 0
	})
}
