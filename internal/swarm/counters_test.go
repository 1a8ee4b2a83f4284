package swarm

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Metrics and health ask while the owner hangs: the first is answered at once
// and tells of it, the second fails at its deadline.
func TestCountersNeverWaitForTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stall atomic.Bool
		gate := make(chan struct{})
		s := start(t, Config{Dial: func(context.Context, peer.Addr) error { return nil }, OnEvent: func(Event) {
			if stall.Load() {
				<-gate
			}
		}})
		if err := s.Alive(t.Context()); err != nil {
			t.Fatalf("Alive = %v", err)
		}
		stall.Store(true)
		s.Report(wire.Lost{ID: "x"})
		synctest.Wait()
		time.Sleep(5 * time.Second)
		began := time.Now()
		c := s.Counters()
		if took := time.Since(began); took != 0 || c.Loop.Step != 5*time.Second || c.Loop.Ratio < 0.9 {
			t.Errorf("after %v: %+v, want a step of 5 s at once", took, c.Loop)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Alive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Alive of an owner that hangs = %v, want the end of its context", err)
		}
		stall.Store(false)
		close(gate)
		synctest.Wait()
		if c := s.Counters(); c.Loop.Steps.Count() == 0 || c.Loop.Step != 0 {
			t.Errorf("afterwards %+v, want steps and rest", c.Loop)
		}
	})
}
