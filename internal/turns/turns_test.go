package turns_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/starlingp2p/starling/internal/turns"
)

// Work on what is large leaves a processor for what is small.
func TestTurnsLeaveAProcessor(t *testing.T) {
	all := turns.New()
	var now, most atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			all.Do(func() {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched()
				now.Add(-1)
			})
		})
	}
	wg.Wait()
	if got, want := most.Load(), int64(max(runtime.GOMAXPROCS(0)-1, 1)); got > want {
		t.Errorf("%d worked at once, at most %d may", got, want)
	}
}

// One turn after another does not hold the processor: what is small and ready
// runs between any two.
func TestTurnsLetTheSmallPass(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	all := turns.New()
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				all.Do(func() { done.Add(1) })
			}
		})
	}
	longest := int64(0)
	for last := int64(0); last < 900; { // the last ones do not take turns with others
		runtime.Gosched() // behind all that are ready
		n := done.Load()
		longest = max(longest, n-last)
		last = n
	}
	wg.Wait()
	if longest > 3 {
		t.Errorf("%d turns were taken while a small one was ready", longest)
	}
}
