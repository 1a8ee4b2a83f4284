package reqresp_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

// ask takes what Wait gives for a while and tells how much that was.
func askFor(t *testing.T, l *reqresp.SelfLimiter, cost int, d time.Duration) (bytes int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for {
		began := time.Now()
		if err := l.Wait(ctx, cost); err != nil {
			return bytes
		}
		time.Sleep(time.Millisecond)
		l.Settle(cost, cost, time.Since(began), nil)
		bytes += cost
	}
}

func TestSelfLimiterStaysUnderTheAnnouncedBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := reqresp.NewSelfLimiter()
		l.Announced(1<<20, 2<<20)
		if got := askFor(t, l, 64<<10, 20*time.Second); got > 22<<20 || got < 17<<20 {
			t.Errorf("took %d KiB in 20 s of 1 MiB/s", got>>10)
		}
		l.Announced(4<<20, 4<<20) // more later: taken up
		if got := askFor(t, l, 64<<10, 10*time.Second); got < 30<<20 {
			t.Errorf("took %d KiB in 10 s of 4 MiB/s", got>>10)
		}
	})
}

func TestSelfLimiterWithoutABudgetNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := reqresp.NewSelfLimiter()
		l.Announced(0, 0)
		began := time.Now()
		for range 1000 {
			if err := l.Wait(t.Context(), 10<<20); err != nil {
				t.Fatal(err)
			}
			l.Settle(10<<20, 10<<20, time.Second, nil)
		}
		if time.Since(began) != 0 {
			t.Errorf("waited %v", time.Since(began))
		}
	})
}

// After "limited" nothing is sent for as long as it says, then less than
// before, and with time as much again.
func TestSelfLimiterHeedsRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := reqresp.NewSelfLimiter()
		l.Announced(1<<20, 1<<20)
		limited := &wire.Refusal{Code: wire.RefusedLimit, Limit: "peer-bytes", RetryAfter: 3 * time.Second}
		if err := l.Wait(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
		l.Settle(1000, 0, 0, limited)
		began := time.Now()
		if err := l.Wait(t.Context(), 1000); err != nil || time.Since(began) < 3*time.Second {
			t.Errorf("Wait = %v after %v, want 3s", err, time.Since(began))
		}
		// Whoever has no time for that is told so at once.
		l.Settle(1000, 0, 0, limited)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		err := l.Wait(ctx, 1000)
		var why *wire.Refusal
		if !errors.As(err, &why) || why.Limit != "self-limit" || why.RetryAfter < 2*time.Second || time.Since(began) != 0 {
			t.Errorf("Wait = %v after %v", err, time.Since(began))
		}
		time.Sleep(3 * time.Second)
		if got := askFor(t, l, 16<<10, 4*time.Second); got > 3<<20 {
			t.Errorf("took %d KiB in 4 s after two refusals", got>>10)
		}
		time.Sleep(time.Minute)
		if got := askFor(t, l, 16<<10, 10*time.Second); got < 9<<20 {
			t.Errorf("took %d KiB in 10 s a minute later, want it recovered", got>>10)
		}
	})
}

// A peer that announces nothing teaches its budget by refusing.
func TestSelfLimiterLearnsFromRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := reqresp.NewSelfLimiter()
		for range 20 {
			l.Settle(0, 1<<20, time.Second, nil) // 1 MiB/s
		}
		l.Settle(0, 0, 0, &wire.Refusal{Code: wire.RefusedLimit})
		if got := askFor(t, l, 16<<10, 10*time.Second); got > 11<<20 || got < 5<<20 {
			t.Errorf("took %d KiB in 10 s, want somewhat under 1 MiB/s", got>>10)
		}
	})
}

func TestSelfLimiterWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := reqresp.NewSelfLimiter()
		l.Settle(0, 0, 0, &wire.Refusal{Code: wire.RefusedLimit, RetryAfter: time.Minute})
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("gone")
		done := make(chan error, 1)
		go func() { done <- l.Wait(ctx, 1000) }()
		synctest.Wait()
		cancel(why)
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("Wait = %v, want %v", err, why)
		}
	})
}

// On slow links acknowledgements come oftener, so that bulk comes in smaller pieces.
func TestAcknowledgementsFollowTheRate(t *testing.T) {
	for rate, want := range map[int]int{0: 32 << 10, 100 << 10: 4 << 10, 1 << 20: 16 << 10, 100 << 20: 32 << 10} {
		l := reqresp.NewSelfLimiter()
		l.Settle(0, rate, time.Second, nil)
		if got := l.AckEvery(); got != want {
			t.Errorf("at %d bytes/s: %d, want %d", rate, got, want)
		}
	}
}
