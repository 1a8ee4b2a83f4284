package framed

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

func TestWorkOfAClassKeepsItsOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := NewInbox(nil, Class{Name: "consensus"}, Class{Name: "serve", Workers: 4})
		var got []uint64
		for i := range uint64(50) {
			if !b.Put(0, Frame{Code: i}, func(f Frame) { got = append(got, f.Code); time.Sleep(time.Second) }) {
				t.Fatal("no room")
			}
		}
		var now, most atomic.Int64
		for range 20 {
			b.Put(1, Frame{}, func(Frame) {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Second)
				now.Add(-1)
			})
		}
		time.Sleep(time.Minute)
		b.Close()
		for i := range got {
			if got[i] != uint64(i) {
				t.Fatalf("order %v", got)
			}
		}
		if len(got) != 50 || most.Load() != 4 {
			t.Errorf("%d were done, and %d at once", len(got), most.Load())
		}
	})
}

// One class that stalls holds up no other, and what it holds is bounded, at
// the capacities 0 and 1 too.
func TestAStalledClassIsBounded(t *testing.T) {
	for _, tt := range []struct {
		bound Bound
		want  int // one under way, and what waits
	}{{Bound{Messages: -1}, 1}, {Bound{Messages: 1}, 2}, {Bound{Messages: 5}, 6}, {Bound{Bytes: 3 * frameTax}, 4}} {
		bubble(t, func(t *testing.T) {
			b := NewInbox(nil, Class{Queue: tt.bound}, Class{})
			release := make(chan struct{})
			took := 0
			for range 10 {
				if b.Put(0, Frame{}, func(Frame) { <-release }) {
					took++
				}
				synctest.Wait()
			}
			if took != tt.want || b.Dropped(0) != uint64(10-tt.want) {
				t.Errorf("%+v took %d and dropped %d, want %d taken", tt.bound, took, b.Dropped(0), tt.want)
			}
			done := make(chan struct{})
			b.Put(1, Frame{}, func(Frame) { close(done) })
			<-done
			close(release)
			b.Close()
			if b.Put(0, Frame{}, func(Frame) { t.Error("work after Close") }) {
				t.Error("Put after Close")
			}
		})
	}
}

// Frames give their memory back: when they are worked on, dropped or left.
func TestFramesOfAnInboxAreReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		budget := intake.NewBudget(1000)
		frame := func() Frame {
			g, err := budget.Frame(t.Context(), 100, nil)
			if err != nil {
				t.Fatal(err)
			}
			g.Whole()
			return Frame{mem: &memory{grant: g}}
		}
		b := NewInbox(func(error) {}, Class{Queue: Bound{Messages: 3}})
		release := make(chan struct{})
		for range 9 {
			b.Put(0, frame(), func(Frame) { <-release; panic("oh") })
			synctest.Wait()
		}
		time.AfterFunc(time.Second, func() { close(release) })
		b.Close()
		if _, err := budget.Take(t.Context(), 1000); err != nil {
			t.Error(err)
		}
	})
}

// Threat M-12: work that panics is the remote's fault, and the next goes on.
func TestAPanicInWorkIsCaught(t *testing.T) {
	bubble(t, func(t *testing.T) {
		faults := make(chan error, 1)
		b := NewInbox(func(err error) { faults <- err }, Class{Name: "gossip"})
		b.Put(0, Frame{}, func(Frame) { panic("oh") })
		done := make(chan struct{})
		b.Put(0, Frame{}, func(Frame) { close(done) })
		<-done
		var f *wire.Fault
		if err := <-faults; !errors.As(err, &f) || f.Offense != peer.BrokeHandler {
			t.Errorf("fault %v", err)
		}
		b.Close()
	})
}
