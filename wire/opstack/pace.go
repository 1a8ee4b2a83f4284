package opstack

import (
	"context"
	"sync"

	"golang.org/x/time/rate"

	"github.com/starlingp2p/starling/internal/pause"
)

// What op-node serves one peer: four blocks a second after a burst of 15
// (op-node/p2p/sync.go). To ask for more brings no more, and makes a server
// keep its other peers waiting.
const (
	askRate   = 4
	askBurst  = 15
	leastRate = 0.5
)

// pace keeps our requests to one peer within what it serves. A peer that says
// that it is asked too fast, or does not answer, is asked half as often, and
// with each answer a little more often again.
type pace struct {
	limit *rate.Limiter

	mu  sync.Mutex // a leaf
	now rate.Limit
}

func newPace() *pace { return &pace{limit: rate.NewLimiter(askRate, askBurst), now: askRate} }

// wait blocks until one more request may be sent, or ctx ends.
func (p *pace) wait(ctx context.Context) error {
	r := p.limit.Reserve()
	err := pause.For(ctx, r.Delay())
	if err != nil {
		r.Cancel()
	}
	return err
}

// answered takes in that a request was answered, whatever the answer.
func (p *pace) answered() { p.set(func(l rate.Limit) rate.Limit { return min(l+0.25, askRate) }) }

// throttled takes in that it was not.
func (p *pace) throttled() { p.set(func(l rate.Limit) rate.Limit { return max(l/2, leastRate) }) }

func (p *pace) set(f func(rate.Limit) rate.Limit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := f(p.now); l != p.now {
		p.now = l
		p.limit.SetLimit(l)
	}
}
