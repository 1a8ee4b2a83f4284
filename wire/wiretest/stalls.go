package wiretest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

func stallChecks() []Check {
	topics := func(c wire.Caps, _ World) bool { return c.Gossip == wire.GossipTopics }
	return []Check{
		{Name: "StalledServe", Rule: "a Host.Serve that blocks stops neither consensus nor keep-alive", run: stalledServe},
		{Name: "StalledCheck", Rule: "a Host.Check of gossip that blocks stops neither consensus, requests nor keep-alive", run: stalledCheck, needs: topics},
		{Name: "StalledConsensus", Rule: "a Host.Check of consensus that blocks stops neither requests nor keep-alive, and Send errs instead of waiting", run: stalledConsensus},
	}
}

// alive checks that consensus moves and the session stays, while something is
// stalled.
func (l *lab) alive(a, b *node, consensus bool) error {
	if consensus {
		err := a.host.Sessions()[0].Send(l.ctx, wire.LaneConsensus, l.consensus("vote"))
		if errors.Is(err, wire.ErrUnsupported) {
			return l.alive(a, b, false)
		}
		if err != nil {
			return fmt.Errorf("Send: %w", err)
		}
		if err := l.until("the consensus message", func() bool { return len(consensusOf(b.host)) > 0 }, b); err != nil {
			return err
		}
	}
	return l.stays("the session", l.world.Patience+time.Second, func() bool {
		return len(a.host.Sessions()) == 1 && len(b.host.Sessions()) == 1
	})
}

func stalledServe(l *lab) error {
	release := make(chan struct{})
	in := make(chan struct{}, 256)
	a, b, err := l.pair(nil, stuck(release, func() { in <- struct{}{} }))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(l.ctx)
	var wg sync.WaitGroup
	for range a.wire.Caps().MaxInFlight {
		wg.Go(func() { a.host.Sessions()[0].Request(ctx, l.someRequest(a.wire.Caps())) })
	}
	defer wg.Wait()
	defer cancel()
	defer close(release)
	if err := arrives(l, in, "a request at Host.Serve"); err != nil {
		return err
	}
	return l.alive(a, b, true)
}

// stalled is a pair of which b serves requests and, until release is called,
// judges no message that stalls.
func (l *lab) stalled(stalls func(wire.Message) bool) (a, b *node, release func(), err error) {
	released := make(chan struct{})
	hb := l.server(func() wire.Caps {
		return wire.Caps{Skeleton: true, ByNumber: true, ByHash: true, MaxBatch: wire.Batch{Bodies: 1, Blocks: 1, Txs: 1}}
	})
	hb.OnCheck = func(ctx context.Context, _ wire.Session, m wire.Message) chain.Verdict {
		if stalls(m) {
			select {
			case <-released:
			case <-ctx.Done():
			}
		}
		return chain.Accepted()
	}
	a, b, err = l.pair(nil, hb)
	return a, b, func() { close(released) }, err
}

func stalledCheck(l *lab) error {
	a, b, release, err := l.stalled(func(m wire.Message) bool { _, ok := m.(wire.Block); return ok })
	if err != nil {
		return err
	}
	defer release()
	if err := l.heard(a, b); err != nil {
		return err
	}
	for n := range byte(40) {
		if _, err := a.wire.(wire.Publisher).Publish(l.ctx, wire.Block{Block: l.block(n+1, 100)}); err != nil {
			return fmt.Errorf("Publish: %w", err)
		}
	}
	if _, err := a.host.Sessions()[0].Request(l.ctx, l.someRequest(a.wire.Caps())); err != nil {
		return fmt.Errorf("Request while Check is stalled: %w", err)
	}
	return l.alive(a, b, true)
}

func stalledConsensus(l *lab) error {
	a, b, release, err := l.stalled(func(wire.Message) bool { return true })
	if err != nil {
		return err
	}
	defer release()
	s := a.host.Sessions()[0]
	large := l.consensus(string(make([]byte, 64<<10)))
	for range 2000 {
		start := time.Now()
		err := s.Send(l.ctx, wire.LaneConsensus, large)
		if took := time.Since(start); took > 2*time.Second {
			return fmt.Errorf("Send waited %v", took)
		}
		if err != nil {
			break
		}
	}
	if _, err := s.Request(l.ctx, l.someRequest(a.wire.Caps())); err != nil {
		return fmt.Errorf("Request while consensus is stalled: %w", err)
	}
	return l.stays("the session", 5*time.Second, func() bool { return len(a.host.Sessions()) == 1 && len(b.host.Sessions()) == 1 })
}
