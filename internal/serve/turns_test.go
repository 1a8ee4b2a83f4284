package serve_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/serve"
	"github.com/starlingp2p/starling/wire"
)

// readers is a chain that counts who reads blocks at once.
type readers struct {
	fakeChain
	now, most atomic.Int64
}

func (c *readers) Block(ctx context.Context, ref chain.Ref) (chain.Block, error) {
	if n := c.now.Add(1); n > c.most.Load() {
		c.most.Store(n)
	}
	defer c.now.Add(-1)
	return c.fakeChain.Block(ctx, ref)
}

// peers that ask for the most there is stand in line, which is served in
// turn; who asks for little waits for none of them.
func TestSmallRequestOvertakesLargeOnes(t *testing.T) {
	const greedy, each = 25, 4
	synctest.Test(t, func(t *testing.T) {
		c := &readers{fakeChain: fakeChain{head: 200, size: 4 << 10, takes: time.Millisecond}}
		s := serve.New(serve.Config{Chain: c, MaxWait: time.Minute, ServeTime: time.Minute, Budget: serve.Budget{Off: true}})
		var hashes []chain.Hash
		for n := range uint64(128) {
			hashes = append(hashes, hash(n))
		}
		var wg sync.WaitGroup
		ends := make([]time.Duration, greedy)
		began := time.Now()
		for i := range greedy {
			wg.Go(func() {
				for range each {
					resp, err := s.Serve(t.Context(), from(fmt.Sprint("greedy", i), "127.0.0.1"), wire.GetBodies{Hashes: hashes})
					if err != nil || len(resp.(wire.Bodies).Bodies) != len(hashes) {
						t.Errorf("Serve = %T, %v", resp, err)
					}
				}
				ends[i] = time.Since(began)
			})
		}
		asked := 0
		for s.Counters().Served["bodies"] < greedy*each/2 {
			before := time.Now()
			if _, err := s.Serve(t.Context(), from("innocent", "127.0.0.1"), wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 1}}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(before); took != c.takes {
				t.Fatalf("a header took %v, of which reading it is %v", took, c.takes)
			}
			asked++
			time.Sleep(2 * time.Millisecond)
		}
		wg.Wait()
		if want := int64(max(runtime.GOMAXPROCS(0)-1, 1)); c.most.Load() > want {
			t.Errorf("%d read a large answer at once, at most %d may", c.most.Load(), want)
		}
		if asked < 100 {
			t.Errorf("the innocent peer asked %d times", asked)
		}
		if least, most := slices.Min(ends), slices.Max(ends); least < most/2 {
			t.Errorf("one greedy peer had all after %v, another after %v", least, most)
		}
	})
}

// A turn that waits for a disk holds up nobody for long.
func TestTurnThatDoesNotComputeIsPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(serve.Config{Chain: &fakeChain{}})
		var wg sync.WaitGroup
		stuck := make(chan struct{})
		places := max(runtime.GOMAXPROCS(0)-1, 1)
		for range places {
			wg.Go(func() { s.Turn(func() { <-stuck }) })
		}
		synctest.Wait()
		began := time.Now()
		s.Turn(func() {})
		if took := time.Since(began); took == 0 || took > 100*time.Millisecond {
			t.Errorf("the next turn began after %v", took)
		}
		close(stuck)
		wg.Wait()
		for range places { // all places are there again
			s.Turn(func() {})
		}
	})
}
