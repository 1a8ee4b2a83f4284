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
