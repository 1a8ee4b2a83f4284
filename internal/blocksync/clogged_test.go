package blocksync

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/wire"
)

// leaving tells that each request leaves at once.
func leaving(ctx context.Context, _ wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
	wire.Sent(ctx, time.Now())
	return honest()
}

// twoOfWhichOneTurns gives a node that is in sync with two proven peers, of which
// the better one is as turned says from now on, and 600 blocks more.
func twoOfWhichOneTurns(t *testing.T, turned func(context.Context, wire.Request, func() (wire.Response, error)) (wire.Response, error)) (n *node, better, other *fakePeer) {
	full, fresh := source(600)
	n = start(t, fresh, func(c *Config) { c.Caps.TellsSent = true })
	better, other = newFake("better", full), newFake("other", full)
	better.rtt, other.rate = time.Millisecond, 256<<10
	turn := make(chan struct{})
	better.lie = func(ctx context.Context, rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
		select {
		case <-turn:
			return turned(ctx, rq, honest)
		default:
			return leaving(ctx, rq, honest)
		}
	}
	other.lie = leaving
	n.join(better, other)
	n.reaches(600, time.Minute)
	time.Sleep(5 * time.Second)
	close(turn)
	full.Extend(600)
	for _, p := range []*fakePeer{better, other} {
		n.Claimed(p.id, full.Status())
	}
	return n, better, other
}

// Who reads so slowly that our requests do not leave pays nothing,
// since it may be our own queue, but another leads meanwhile.
func TestWhoDoesNotReadDoesNotLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, better, other := twoOfWhichOneTurns(t, never)
		if took := n.reaches(1200, time.Minute); took > 20*time.Second {
			t.Errorf("synced after %v", took)
		}
		n.innocent(better, other)
	})
}

// A request that asks for page after page is given a bounded time.
func TestPagesHaveOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, other := twoOfWhichOneTurns(t, func(ctx context.Context, _ wire.Request, _ func() (wire.Response, error)) (wire.Response, error) {
			page := time.NewTicker(time.Second)
			defer page.Stop()
			for {
				select {
				case <-page.C:
					wire.Sent(ctx, time.Now())
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}
		})
		n.reaches(1200, 2*maxDeadline)
		n.innocent(other)
	})
}

// What fails for want of something of ours ranks nobody down.
func TestOurOwnTroubleIsNoRefusal(t *testing.T) {
	full := chaintest.NewChain(chaintest.Config{Seed: 1})
	full.Extend(20)
	fresh := chaintest.NewChain(chaintest.Config{Seed: 1})
	core := NewCore(CoreConfig{Caps: nativeCaps})
	now := time.Unix(1000, 0)
	core.Step(now, Ready{Status: fresh.Status(), Head: fresh.Genesis().Header})
	todo := core.Step(now, Joined{Peer: "p", Claims: full.Status()})
	failed := 0
	for range 100 {
		now = now.Add(50 * time.Millisecond)
		var next []Effect
		for _, e := range todo {
			if ask, ok := e.(Ask); ok {
				failed++
				next = append(next, core.Step(now, Answered{ID: ask.ID, Err: fmt.Errorf("no memory: %w", wire.ErrOurs)})...)
			}
		}
		todo = append(next, core.Step(now, Tick{})...)
	}
	if p := core.byID["p"]; failed < 3 || failed > 12 || p.refusals != 0 || p.standing() == failing {
		t.Errorf("after %d failures in 5 s: %d refusals, standing %v", failed, p.refusals, p.standing())
	}
}
