package blocksync

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

func TestCountersTellGapsAndSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(50)
		var asked atomic.Int32
		n := start(t, fresh, func(c *Config) {
			c.Ask = func(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
				asked.Add(1)
				return s.Request(ctx, r)
			}
		})
		if err := n.Alive(t.Context()); err != nil {
			t.Fatalf("Alive = %v", err)
		}
		p := newFake("p", full)
		n.join(p)
		n.reaches(50, time.Minute)
		last := full.Extend(4)[3]
		n.Offer(p, last)
		n.reaches(54, time.Minute)
		time.Sleep(time.Second)
		c := n.Counters()
		if c.GapsFound == 0 || c.GapsFound != c.GapsClosed || c.Reorgs != 0 || c.Offers != 0 {
			t.Errorf("counters = %+v, want gaps found and as many closed", c)
		}
		if c.Loop.Steps.Count() == 0 || c.Loop.Step != 0 || asked.Load() == 0 {
			t.Errorf("loop = %+v after %d requests, want steps and rest", c.Loop, asked.Load())
		}
	})
}

// An owner that hangs, in a callback that breaks its promise, is seen.
func TestAnOwnerThatHangsIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(10)
		gate := make(chan struct{})
		var hung atomic.Bool
		n := start(t, fresh, func(c *Config) {
			c.Charge = func(wire.Session, peer.Offense, string) {
				if hung.CompareAndSwap(false, true) {
					<-gate
				}
			}
		})
		p := newFake("p", full)
		p.lie = func(context.Context, wire.Request, func() (wire.Response, error)) (wire.Response, error) {
			return nil, &wire.Fault{Offense: peer.BadEncoding, Err: errors.New("no answer of any kind")}
		}
		n.join(p)
		time.Sleep(time.Minute)
		if !hung.Load() {
			t.Fatal("nobody was charged")
		}
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.Alive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Alive = %v, want the end of its context", err)
		}
		if c := n.Counters(); c.Loop.Step < 3*time.Second {
			t.Errorf("loop = %+v, want a step of some seconds", c.Loop)
		}
		close(gate)
		synctest.Wait()
		if err := n.Alive(t.Context()); err != nil {
			t.Errorf("afterwards Alive = %v", err)
		}
	})
}
