package framed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
)

func TestMessagesArriveBothWays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{Latency: 10 * time.Millisecond})
		a, b := run(t, ca, Config{}), run(t, cb, Config{})
		for i := range 200 {
			send(t, a, wire.LaneSync, out(1, strings.Repeat("x", i*100)))
			send(t, b, wire.LaneTx, out(2, fmt.Sprint(i)))
		}
		for i := range 200 {
			if f := <-b.got; f.Code != 1 || len(f.Payload) != i*100 {
				t.Fatalf("message %d is %d bytes of code %d", i, len(f.Payload), f.Code)
			}
			if f := <-a.got; string(f.Payload) != fmt.Sprint(i) {
				t.Fatalf("message %d is %q", i, f.Payload)
			}
		}
		a.Close(peer.Useless)
		a.Close(peer.Idle) // the first counts
		if e := a.ends(t); e.Reason != peer.Useless || e.ByRemote {
			t.Errorf("a ended with %+v", e)
		}
		if e := b.ends(t); e.Reason != peer.LinkLost || !e.ByRemote {
			t.Errorf("b ended with %+v", e)
		}
		if err := a.Send(t.Context(), wire.LaneTx, out(1, "late")); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("Send on an ended link = %v", err)
		}
		if n := len(a.charged()) + len(b.charged()); n > 0 {
			t.Errorf("%d faults", n)
		}
	})
}

func TestContextEndsALinkAsQuitting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		ctx, cancel := context.WithCancel(t.Context())
		a := prepare(ca, Config{})
		a.start(ctx)
		cancel()
		if e := a.ends(t); e.Reason != peer.Stopping {
			t.Errorf("ended with %+v", e)
		}
		drain(cb)
		cb.Close()
	})
}

func TestALinkThatWasClosedBeforeRunClosesItsConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		a := prepare(ca, Config{})
		send(t, a, wire.LaneTx, out(1, "never sent, or sent"))
		a.CloseWith(peer.TooManyPeers, out(9, "sorry"))
		a.start(t.Context())
		got := drain(cb)
		cb.Close()
		if !strings.HasSuffix(string(got), string(sealed(9, "sorry"))) {
			t.Errorf("the last message is missing from %q", got)
		}
		if e := a.ends(t); e.Reason != peer.TooManyPeers {
			t.Errorf("ended with %+v", e)
		}
	})
}

// A last message arrives though the other side was sending, which would reset
// a connection that is closed at once.
func TestFarewellArrives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{Latency: 50 * time.Millisecond})
		a := run(t, ca, Config{})
		var b *side
		b = run(t, cb, Config{Handle: func(f Frame) error {
			f.Release()
			if f.Code == 9 {
				b.CloseByRemote(peer.TooManyPeers, string(f.Payload))
			}
			return nil
		}})
		for range 50 {
			send(t, b, wire.LaneSync, out(1, strings.Repeat("x", 10000)))
			send(t, a, wire.LaneSync, out(1, strings.Repeat("x", 10000)))
		}
		a.CloseWith(peer.TooManyPeers, out(9, "full\x00"))
		if e := b.ends(t); e.Reason != peer.TooManyPeers || !e.ByRemote || e.Detail != "full?" {
			t.Errorf("b ended with %+v", e)
		}
		a.ends(t)
	})
}

// Threat Z-02: who does not read is bounded, and goes after 20 s.
func TestWhoDoesNotReadIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{Queue: 64 << 10, Buffer: 64 << 10, Rate: 1 << 20})
		a := run(t, ca, Config{})
		start := time.Now()
		payload := strings.Repeat("x", 100<<10)
		for range 300 {
			send(t, a, wire.LaneTx, out(1, payload)) // never waits
		}
		if err := sendWithin(a, wire.LaneConsensus, payload, 100); !errors.Is(err, wire.ErrQueueFull) {
			t.Errorf("consensus: %v, want ErrQueueFull", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		for range 100 {
			if err = a.Send(ctx, wire.LaneSync, out(1, payload)); err != nil {
				break
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("sync: %v, want its context's end", err)
		}
		if n := a.lost(wire.LaneTx); n < 200 {
			t.Errorf("%d transactions were dropped, counted", n)
		}
		if e := a.ends(t); e.Reason != peer.Slow || e.ByRemote {
			t.Errorf("ended with %+v", e)
		}
		if took := time.Since(start); took < 19*time.Second || took > 25*time.Second {
			t.Errorf("the end came after %v", took)
		}
		if got := a.charged(); !slices.Equal(got, []peer.Offense{peer.NotReading}) {
			t.Errorf("charged %v", got)
		}
		cb.Close()
	})
}

func sendWithin(s *side, l wire.Lane, payload string, most int) (err error) {
	for range most {
		if err = s.Send(context.Background(), l, out(1, payload)); err != nil {
			return err
		}
	}
	return nil
}

// A peer that reads a little now and then gets away with nothing either.
func TestWhoReadsInDripsIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{Queue: 64 << 10, Buffer: 64 << 10})
		a := run(t, ca, Config{})
		for range 10 {
			send(t, a, wire.LaneSync, out(1, strings.Repeat("x", 200<<10)))
		}
		drip := make([]byte, 10)
		for range 60 {
			cb.Read(drip)
			time.Sleep(time.Second)
		}
		if e := a.ends(t); e.Reason != peer.Slow {
			t.Errorf("ended with %+v", e)
		}
		cb.Close()
	})
}

// Threat M-12: a handler that panics is the remote's fault, not our end.
func TestAPanicInAHandlerIsCaught(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		got := make(chan uint64, 2)
		a := run(t, ca, Config{Handle: func(f Frame) error {
			if f.Code == 1 {
				panic("oh")
			}
			got <- f.Code
			return nil
		}})
		cb.Write(sealed(1, "boom"))
		cb.Write(sealed(2, "fine"))
		if c := <-got; c != 2 {
			t.Errorf("got %d", c)
		}
		if got := a.charged(); !slices.Equal(got, []peer.Offense{peer.BrokeHandler}) {
			t.Errorf("charged %v", got)
		}
		cb.Close()
		a.ends(t)
	})
}

// Threat M-12.
func TestAPanicInACodecEndsTheLink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		a := run(t, ca, Config{})
		cb.Write(sealed(253, "boom"))
		if e := a.ends(t); e.Reason != peer.BadScore || !slices.Equal(a.charged(), []peer.Offense{peer.BrokeHandler}) {
			t.Errorf("ended with %+v, charged %v", e, a.charged())
		}
		cb.Close()
	})
}

func TestAHandlersErrorEndsTheLink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		a := run(t, ca, Config{Handle: func(f Frame) error {
			return fmt.Errorf("handler: %w", &wire.Fault{Offense: peer.BadEncoding, Err: errors.New("nonsense")})
		}})
		cb.Write(sealed(1, "x"))
		if e := a.ends(t); e.Reason != peer.BadScore || e.ByRemote || !strings.Contains(e.Detail, "nonsense") {
			t.Errorf("ended with %+v", e)
		}
		if got := a.charged(); !slices.Equal(got, []peer.Offense{peer.BadEncoding}) {
			t.Errorf("charged %v", got)
		}
		cb.Close()
	})
}

// A full pipe in both directions is no deadlock, at any capacity.
func TestNoCapacityDeadlocks(t *testing.T) {
	for _, most := range []int{-1, 1, 2} {
		bubble(t, func(t *testing.T) {
			ca, cb := pair(t, bed.Link{Latency: time.Millisecond, Queue: 32 << 10, Buffer: 32 << 10})
			var cfg Config
			for i := range cfg.Queue {
				cfg.Queue[i] = Bound{Messages: most, Bytes: 1}
			}
			a, b := run(t, ca, cfg), run(t, cb, cfg)
			const count = 100
			var wg sync.WaitGroup
			for _, s := range []*side{a, b} {
				wg.Go(func() {
					for range count {
						s.Send(context.Background(), wire.LaneSync, out(3, strings.Repeat("y", 50<<10)))
					}
				})
				wg.Go(func() {
					for range count {
						s.Send(context.Background(), wire.LaneConsensus, out(1, "vote"))
						s.Send(context.Background(), wire.LaneTx, out(2, "tx"))
						time.Sleep(time.Millisecond)
					}
				})
			}
			for _, s := range []*side{a, b} {
				for n := 0; n < count; {
					if f := <-s.got; f.Code == 3 {
						n++
					}
				}
			}
			wg.Wait()
			a.Close(peer.Requested)
			a.ends(t)
			b.ends(t)
		})
	}
}

// Consensus is not behind bulk: what is queued waits for one batch at most.
func TestConsensusOvertakesBulk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{Latency: 10 * time.Millisecond, Rate: 1 << 20, Queue: 64 << 10, Window: -1})
		a, b := run(t, ca, Config{}), run(t, cb, Config{})
		for range 100 {
			send(t, a, wire.LaneSync, out(3, strings.Repeat("y", 32<<10)))
		}
		send(t, a, wire.LaneConsensus, out(1, "vote"))
		for n := 0; ; n++ {
			if f := <-b.got; f.Code == 1 {
				if n > 8 {
					t.Errorf("%d bulk messages came first", n)
				}
				break
			}
		}
		a.Close(peer.Requested)
		a.ends(t)
		b.ends(t)
	})
}

func TestACodecThatFailsIsOurTrouble(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		a := run(t, ca, Config{})
		send(t, a, wire.LaneSync, out(1, strings.Repeat("x", testMax+1)))
		if e := a.ends(t); e.Reason != peer.Internal || len(a.charged()) > 0 {
			t.Errorf("ended with %+v, charged %v", e, a.charged())
		}
		cb.Close()
	})
}

// blocked is a connection whose Write fails while its Read waits.
type blocked struct{ net.Conn }

func (b blocked) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// When the other side closes, what it said last is the reason, though a write
// fails first.
func TestTheReaderHasTheBetterReason(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{Latency: 100 * time.Millisecond})
		var a *side
		a = prepare(blocked{ca}, Config{Handle: func(f Frame) error {
			a.CloseByRemote(peer.TooManyPeers, "")
			return nil
		}})
		a.start(t.Context())
		send(t, a, wire.LaneTx, out(1, "x"))
		cb.Write(sealed(9, "full"))
		if e := a.ends(t); e.Reason != peer.TooManyPeers || !e.ByRemote {
			t.Errorf("ended with %+v", e)
		}
		cb.Close()

		ca, cb = pair(t, bed.Link{})
		a = prepare(blocked{ca}, Config{})
		a.start(t.Context())
		send(t, a, wire.LaneTx, out(1, "x"))
		if e := a.ends(t); e.Reason != peer.LinkLost || !strings.Contains(e.Detail, "broken pipe") {
			t.Errorf("ended with %+v", e)
		}
		cb.Close()
	})
}
