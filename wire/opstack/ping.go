package opstack

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
)

// op-node pings every peer so often, one a second after a burst
// (op-node/p2p/pinger.go).
const (
	pingEvery = 3 * time.Minute
	pingTime  = 10 * time.Second
	pingRate  = 1
	pingBurst = 10
)

// keepPinging pings every session now and then: a connection whose other end
// is gone without a word is found out by that.
func (n *node) keepPinging() {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	limit := rate.NewLimiter(pingRate, pingBurst)
	for {
		select {
		case <-tick.C:
		case <-n.tasks.Ctx.Done():
			return
		}
		for _, s := range n.book.Sessions() {
			if limit.Wait(n.tasks.Ctx) != nil {
				return
			}
			n.tasks.Go(func() { n.ping(s, pingTime) })
		}
	}
}

// ping ends a session whose peer does not answer. An error before the deadline
// is a peer that speaks no ping, or a link that is about to end by itself.
func (n *node) ping(s *session, d time.Duration) {
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	_, err := n.p2p.Ping(ctx, s.link.Conn)
	if err == nil || s.ctx.Err() != nil {
		return
	}
	// The stream has the same deadline, and may be the first to say so.
	if p2phost.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		s.end(peer.Idle, false, "no answer to a ping")
	}
}
