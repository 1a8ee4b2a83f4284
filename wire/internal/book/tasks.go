package book

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
)

// Tasks are the goroutines of one run of a wire, and the parts that it brought
// up. They are safe for concurrent use.
type Tasks struct {
	Ctx  context.Context // ends with End
	stop context.CancelFunc

	mu   sync.Mutex // so that nothing slips in after End
	wg   sync.WaitGroup
	down []func()
}

// NewTasks makes those of a run, whose Ctx has ctx's values but does not end
// with it: a run says goodbye first.
func NewTasks(ctx context.Context) *Tasks {
	t := &Tasks{}
	t.Ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	return t
}

// Go starts a goroutine that End waits for; false: the run has ended.
func (t *Tasks) Go(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Ctx.Err() != nil {
		return false
	}
	t.wg.Go(f)
	return true
}

// AtEnd has End, which comes later, take down a part that is up.
func (t *Tasks) AtEnd(down func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.down = append(t.down, down)
}

// End ends Ctx, takes down what is up, the last first, and returns when all
// goroutines have ended. Nothing starts after it.
func (t *Tasks) End() {
	t.mu.Lock()
	t.stop()
	down := t.down
	t.down = nil
	t.mu.Unlock()
	for _, f := range slices.Backward(down) {
		f()
	}
	t.wg.Wait()
}

// Handle makes a stream handler one of the tasks. A panic costs the peer a
// charge and the process nothing.
func (t *Tasks) Handle(f func(network.Stream), charge func(network.Conn, peer.Offense, string)) network.StreamHandler {
	return func(s network.Stream) {
		t.mu.Lock()
		if t.Ctx.Err() != nil {
			t.mu.Unlock()
			s.Reset()
			return
		}
		t.wg.Add(1)
		t.mu.Unlock()
		defer t.wg.Done()
		defer func() {
			if p := recover(); p != nil {
				s.Reset()
				charge(s.Conn(), peer.BrokeHandler, fmt.Sprintf("%s: panic: %v", s.Protocol(), p))
			}
		}()
		f(s)
	}
}
