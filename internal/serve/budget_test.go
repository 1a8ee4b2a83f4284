package serve_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/internal/serve"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// a peer gets its budget, no more; what comes after a refusal is
// charged, what was under way when it was told is not.
func TestFloodingPeerIsHeldToItsBudgetAndCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ch charges
		s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 10 << 10}, Charge: ch.charge, Budget: budget()})
		bytes, refused := 0, 0
		began := time.Now()
		for time.Since(began) < 20*time.Second {
			resp, err := s.Serve(t.Context(), alice, getBlocks(1, 5))
			if err == nil {
				for _, b := range resp.(wire.Blocks).Blocks {
					bytes += b.Size()
				}
				continue
			}
			why := wantRefusal(t, err, wire.RefusedLimit, serve.PeerBytes)
			if why.RetryAfter <= 0 {
				t.Fatalf("refusal without a time: %v", why)
			}
			refused++
			time.Sleep(10 * time.Millisecond)
		}
		if most := 22 * 100 << 10; bytes > most || bytes < most/2 {
			t.Errorf("served %d bytes in 20 s, want about %d", bytes, most)
		}
		_ = refused
		ch.none(t) // one request at a time is only slowed down

		// 100 at once, again and again: refused, and charged from the 17th early one.
		for range 20 {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() { s.Serve(t.Context(), alice, getBlocks(1, 50)) })
			}
			wg.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		if got := ch.of("alice", peer.RequestFlood); got < 50 {
			t.Errorf("charged %d times, want 50 and more", got)
		}
	})
}

// An honest client never has more than 16 requests under way, stays away as
// long as it is told, and is never charged.
func TestPeerThatHeedsRefusalsIsNeverCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ch charges
		s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 10 << 10}, Charge: ch.charge, Budget: budget()})
		var mu sync.Mutex
		var quiet time.Time
		var wg sync.WaitGroup
		refused := 0
		for range 16 {
			wg.Go(func() {
				for range 100 {
					mu.Lock()
					wait := time.Until(quiet)
					mu.Unlock()
					time.Sleep(wait)
					_, err := s.Serve(t.Context(), alice, getBlocks(1, 5))
					time.Sleep(100 * time.Millisecond) // the way back
					var why *wire.Refusal
					if errors.As(err, &why) {
						mu.Lock()
						refused++
						if until := time.Now().Add(why.RetryAfter); until.After(quiet) {
							quiet = until
						}
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		if refused == 0 {
			t.Error("the budget was never reached: the test shows nothing")
		}
		ch.none(t)
	})
}

// D1: whoever waits for its own budget holds nobody else up.
func TestThrottledPeerStallsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 10 << 10}, Budget: budget()})
		var wg sync.WaitGroup
		for range 15 {
			wg.Go(func() { s.Serve(t.Context(), alice, getBlocks(1, 4)) })
		}
		synctest.Wait()
		began := time.Now()
		if _, err := s.Serve(t.Context(), from("bob", "198.51.100.1"), getBlocks(1, 4)); err != nil || time.Since(began) != 0 {
			t.Errorf("an innocent request: %v after %v", err, time.Since(began))
		}
		wg.Wait()
		if s.Counters().Waited == 0 {
			t.Error("nobody waited: the test shows nothing")
		}
	})
}

// R-02, D2: 50 identities on one prefix share its budget; an honest peer
// elsewhere sees nothing of it.
func TestPrefixHoldsManyIdentities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ch charges
		s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 10 << 10, takes: 5 * time.Millisecond}, Charge: ch.charge, Budget: budget()})
		honest := from("honest", "198.51.100.7")
		measure := func() time.Duration {
			var took []time.Duration
			for range 40 {
				began := time.Now()
				if _, err := s.Serve(t.Context(), honest, getBlocks(1, 1)); err != nil {
					t.Fatal(err)
				}
				took = append(took, time.Since(began))
				time.Sleep(250 * time.Millisecond)
			}
			slices.Sort(took)
			return took[len(took)*95/100]
		}
		alone := measure()

		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := 0
		for i := range 50 {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					// A fresh identity each time: it brings no fresh burst.
					evil := from(fmt.Sprintf("evil-%d-%d", i, n), fmt.Sprintf("192.0.2.%d", i+1))
					if resp, err := s.Serve(ctx, evil, getBlocks(1, 4)); err == nil {
						mu.Lock()
						got += 4 * resp.(wire.Blocks).Blocks[0].Size()
						mu.Unlock()
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		crowded := measure()
		stop()
		wg.Wait()
		if crowded > 2*alone {
			t.Errorf("honest p95 = %v under the flood, %v alone", crowded, alone)
		}
		if most := 13 * 200 << 10; got > most { // about 10 s, and the burst
			t.Errorf("the prefix got %d bytes, want at most %d", got, most)
		}
		if s.Counters().Refused[serve.PrefixBytes] == 0 {
			t.Error("the prefix was never refused")
		}
	})
}

func TestPrefixRuleSparesLoopbackUnlessAsked(t *testing.T) {
	for _, counted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := budget()
			b.CountLoopback, b.GlobalRate, b.GlobalBurst = counted, 1<<30, 1<<30
			s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 10 << 10}, Budget: b, MaxWait: -1})
			refused := 0
			for i := range 4 { // each takes its own burst
				if _, err := s.Serve(t.Context(), from(fmt.Sprint("id", i), "127.0.0.1"), getBlocks(1, 9)); err != nil {
					wantRefusal(t, err, wire.RefusedLimit, serve.PrefixBytes)
					refused++
				}
			}
			if (refused > 0) != counted {
				t.Errorf("counted=%v: %d refused", counted, refused)
			}
		})
	}
}

func TestGlobalBudgetHoldsManyPrefixes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 10 << 10}, Budget: budget(), MaxWait: -1})
		served := 0
		for i := range 20 {
			_, err := s.Serve(t.Context(), from(fmt.Sprint("id", i), fmt.Sprintf("203.%d.113.1", i)), getBlocks(1, 9))
			if err == nil {
				served++
				continue
			}
			wantRefusal(t, err, wire.RefusedLimit, serve.GlobalBytes)
		}
		if served < 3 || served > 4 { // of 90 KiB each, out of 400
			t.Errorf("served %d, want 4", served)
		}
	})
}

// LRU churn brings no fresh budget: with the tables full of accounts that
// still matter, newcomers share one.
func TestChurnBringsNoFreshBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget()
		b.GlobalRate, b.GlobalBurst = 1<<30, 1<<30
		s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 10 << 10}, Budget: b, MaxWait: -1, MaxPeers: 10, MaxPrefixes: 10})
		served := 0
		for i := range 1000 {
			if _, err := s.Serve(t.Context(), from(fmt.Sprint("id", i), fmt.Sprintf("203.%d.%d.1", i/250, i%250)), getBlocks(1, 9)); err == nil {
				served++
			}
		}
		if served > 2*(10+1) {
			t.Errorf("1000 newcomers were served %d times, want at most %d", served, 2*(10+1))
		}
		time.Sleep(time.Minute) // all is paid: rows are free again
		if _, err := s.Serve(t.Context(), from("new", "198.51.100.1"), getBlocks(1, 9)); err != nil {
			t.Errorf("a newcomer later: %v", err)
		}
	})
}

// What an answer really took is settled: a lean estimate is no way around.
func TestCostIsSettledByWhatWasServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 90 << 10}, Budget: budget(), MaxWait: -1})
		if _, err := s.Serve(t.Context(), alice, getBlocks(1, 5)); err != nil { // guessed at 80 KiB, takes 450
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		_, err := s.Serve(t.Context(), alice, getBlocks(1, 1))
		wantRefusal(t, err, wire.RefusedLimit, serve.PeerBytes)
		time.Sleep(2 * time.Second)
		if _, err := s.Serve(t.Context(), alice, getBlocks(1, 1)); err != nil {
			t.Errorf("after paying: %v", err)
		}
	})
}

// look-ups that find nothing are not free.
func TestNotFoundPays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(serve.Config{Chain: &fakeChain{head: 1}, Budget: budget(), MaxWait: -1})
		for n := range 1000 {
			if _, err := s.Serve(t.Context(), alice, wire.GetBlocksByHash{}); err != nil {
				wantRefusal(t, err, wire.RefusedLimit, serve.PeerBytes)
				if n < 20 || n > 30 {
					t.Errorf("refused at %d, want at 25", n)
				}
				return
			}
		}
		t.Error("never refused")
	})
}

func TestBudgetOffLimitsNoBytes(t *testing.T) {
	b := budget()
	b.Off = true
	s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 100 << 10}, Budget: b})
	for range 50 {
		if _, err := s.Serve(t.Context(), alice, getBlocks(1, 10)); err != nil {
			t.Fatal(err)
		}
	}
}

// C-04: however many ask, only the callers' goroutines wait, and of
// one peer at most its queue.
func TestQueuesAreBoundedAndStartNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(serve.Config{Chain: &fakeChain{head: 10, takes: time.Hour}, ServeTime: time.Minute})
		before := runtime.NumGoroutine()
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() { s.Serve(ctx, alice, getBlocks(1, 1)) })
		}
		synctest.Wait()
		for range 1000 - 16 { // none waits, or the test would for ever
			s.Serve(ctx, alice, getBlocks(1, 1))
		}
		if n := runtime.NumGoroutine(); n > before+16 {
			t.Errorf("%d goroutines, %d before: want the callers in the peer's queue of 16 and no more", n, before)
		}
		if got := s.Counters().Refused[serve.PeerStreams]; got != 1000-16 {
			t.Errorf("refused %d, want all but 16", got)
		}
		stop()
		wg.Wait()
	})
}

// Slow application handlers take nothing from the chain's workers, and one
// peer's slow requests leave places for others.
func TestSlowHandlersStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		s := serve.New(serve.Config{
			Chain: &fakeChain{head: 10}, Workers: 4, AppWorkers: 4,
			App: func(ctx context.Context, id peer.ID, _ wire.AppRequest) ([]byte, error) {
				if id == "alice" {
					<-slow // deaf to ctx
				}
				return nil, nil
			},
		})
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() { s.Serve(t.Context(), alice, wire.AppRequest{}) })
		}
		synctest.Wait()
		began := time.Now()
		bob := from("bob", "198.51.100.1")
		if _, err := s.Serve(t.Context(), bob, getBlocks(1, 1)); err != nil || time.Since(began) > 0 {
			t.Errorf("blocks beside slow handlers: %v after %v", err, time.Since(began))
		}
		if _, err := s.Serve(t.Context(), bob, wire.AppRequest{}); err != nil || time.Since(began) > 0 {
			t.Errorf("another's application request: %v after %v", err, time.Since(began))
		}
		time.Sleep(2 * time.Second)
		if got := s.Counters().Refused[serve.Workers]; got != 15 {
			t.Errorf("%d waited in vain for a worker, want 15", got)
		}
		close(slow)
		wg.Wait()
	})
}

// Capacities 0 and 1: no queue, one worker, one row.
func TestLeastCapacitiesServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(serve.Config{
			Chain: &fakeChain{head: 10, takes: time.Millisecond}, Workers: 1, AppWorkers: 1, QueuePerPeer: -1, MaxPeers: 1, MaxPrefixes: 1,
			App: func(context.Context, peer.ID, wire.AppRequest) ([]byte, error) { return nil, nil },
		})
		for i := range 20 {
			id := from(fmt.Sprint("id", i), fmt.Sprintf("203.0.%d.1", i))
			if _, err := s.Serve(t.Context(), id, getBlocks(1, 1)); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			if _, err := s.Serve(t.Context(), id, wire.AppRequest{}); err != nil {
				t.Fatalf("application request %d: %v", i, err)
			}
		}
		var wg sync.WaitGroup
		codes := make(chan error, 2)
		for range 2 {
			wg.Go(func() { _, err := s.Serve(t.Context(), alice, getBlocks(1, 1)); codes <- err })
		}
		wg.Wait()
		if a, b := <-codes, <-codes; (a == nil) == (b == nil) {
			t.Errorf("two at once: %v and %v; want one served, one refused", a, b)
		}
	})
}

// Whoever gives up while it waits leaves no trace.
func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(serve.Config{Chain: &fakeChain{head: 1000, size: 10 << 10}, Budget: budget()})
		if _, err := s.Serve(t.Context(), alice, getBlocks(1, 9)); err != nil {
			t.Fatal(err)
		}
		why := errors.New("gone")
		for range 100 {
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error, 1)
			go func() { _, err := s.Serve(ctx, alice, getBlocks(1, 5)); done <- err }()
			synctest.Wait()
			cancel(why)
			if err := <-done; !errors.Is(err, why) {
				t.Fatalf("Serve = %v, want %v", err, why)
			}
		}
		time.Sleep(2 * time.Second)
		if _, err := s.Serve(t.Context(), alice, getBlocks(1, 9)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
