package framed

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/wire"
)

func TestKeeperMeasuresRoundTrips(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := NewKeeper()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		var pings atomic.Int64
		ping := func() {
			pings.Add(1)
			time.AfterFunc(7*time.Second, func() { k.Ponged() })
		}
		go k.Run(ctx, 3*time.Second, ping)
		time.Sleep(20 * time.Second)
		if k.RTT() != 7*time.Second {
			t.Errorf("RTT = %v, want 7s", k.RTT())
		}
		d, err := k.Ping(ctx, nil, func() error { ping(); return nil })
		if d != 7*time.Second || err != nil {
			t.Errorf("Ping = %v, %v", d, err)
		}
		<-ctx.Done()
		if n := pings.Load(); n < 34 || n > 36 {
			t.Errorf("%d pings in 100 s", n)
		}
		time.Sleep(10 * time.Second)
		if k.Ponged() {
			t.Error("a pong for nothing counts")
		}
	})
}

func TestPingEndsWithoutAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := NewKeeper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := k.Ping(ctx, nil, func() error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ping = %v", err)
		}
		done := make(chan struct{})
		close(done)
		if _, err := k.Ping(t.Context(), done, func() error { return nil }); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("Ping = %v", err)
		}
		if _, err := k.Ping(t.Context(), nil, func() error { return wire.ErrQueueFull }); !errors.Is(err, wire.ErrQueueFull) {
			t.Errorf("Ping = %v", err)
		}
		for range 1000 {
			go k.Ping(t.Context(), done, func() error { return nil })
		}
		synctest.Wait()
		if len(k.waiting) > 3*pingsLost {
			t.Errorf("%d wait", len(k.waiting))
		}
	})
}

// Threat R-06: more than a ping a second is a flood; the real peers' pace,
// one in 3 s and a few more when blocks come, is none.
func TestPingFloodIsSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := NewKeeper()
		for range 1000 {
			if !k.Pinged() {
				t.Fatal("one in 3 s is a flood")
			}
			time.Sleep(3 * time.Second)
		}
		ok := 0
		for range 1000 {
			if k.Pinged() {
				ok++
			}
			time.Sleep(100 * time.Millisecond)
		}
		if ok < 100 || ok > 115 {
			t.Errorf("%d of 1000 pings in 100 s were let through", ok)
		}
	})
}

func TestTallyCountsByTheMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c Tally
		for i := range 5 {
			if n := c.Add(); n != i+1 {
				t.Errorf("Add = %d, want %d", n, i+1)
			}
		}
		time.Sleep(time.Minute)
		if n := c.Add(); n != 1 {
			t.Errorf("Add after a minute = %d", n)
		}
	})
}
