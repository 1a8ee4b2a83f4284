package reqresp

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// Large answers of one peer come in one after the other, small ones beside
// them, and together they stay in the bounds of a peer whatever comes first.
func TestLargeAnswersOfOnePeerTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		as := newInbound(256 << 20).of()
		var high atomic.Int64
		note := func() {
			as.mu.Lock()
			defer as.mu.Unlock()
			high.Store(max(high.Load(), int64(as.held)))
		}
		one := func(frames ...int) func() error {
			return func() error {
				a := as.begin(context.Background(), func() {})
				defer a.done()
				for _, n := range frames {
					if err := a.Expect(n); err != nil {
						return err
					}
					for have := 0; have < n; { // as codec.ReadBody does
						size := min(n, max(256<<10, 4*have))
						if err := a.Grow(size); err != nil {
							return err
						}
						note()
						time.Sleep(10 * time.Millisecond)
						a.Shrink(have)
						have = size
					}
				}
				return nil
			}
		}
		var all errgroup.Group
		for range 8 {
			all.Go(one(10 << 20))
			all.Go(one(128<<10, 128<<10, 128<<10, 128<<10, 128<<10, 128<<10, 128<<10, 128<<10))
			all.Go(one(700<<10, 700<<10, 700<<10))
		}
		if err := all.Wait(); err != nil {
			t.Error(err)
		}
		// These stand in each other's way until some give up.
		var served atomic.Int32
		var odd errgroup.Group
		for range 8 {
			odd.Go(func() error {
				err := one(1<<20, 9<<20)()
				if err == nil {
					served.Add(1)
				} else if !errors.Is(err, errStarved) {
					return err
				}
				return nil
			})
		}
		if err := odd.Wait(); err != nil || served.Load() == 0 {
			t.Errorf("%d answers that grew large came in: %v", served.Load(), err)
		}
		if got := high.Load(); got > maxAnswers {
			t.Errorf("answers of one peer held %d bytes, want at most %d", got, maxAnswers)
		}
		if as.held != 0 || as.lead != nil || as.own != as.in.share {
			t.Errorf("%d bytes are held in the end, %d of the share are free", as.held, as.own)
		}
	})
}
