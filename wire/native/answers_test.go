package native

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/sync/errgroup"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/native/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// answering makes a bare host answer each request with that.
func answering(h libhost.Host, answer func(network.Stream)) {
	h.SetStreamHandler(codec.RequestProtocol, func(s network.Stream) {
		if _, err := codec.ReadPacked(bufio.NewReader(s), codec.MaxRequest); err == nil {
			answer(s)
		}
	})
}

// Threats B-04 and C-03: thirty-four peers that answer with most of a frame of ten
// megabytes and then stop hold no more than the decode budget between them and
// no more than 16 MiB each, and meanwhile an honest peer is synced from.
func TestAnswersUnderWayAreBounded(t *testing.T) {
	const (
		hostile = 34
		budget  = 24 << 20
		sent    = 5 << 20 // of each frame
	)
	inBubble(t, 5*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a := inBed(t, n, 1, nil, func(c *Config) { c.DecodeBudget = budget })
		served := wiretest.BlockOf(1, 32<<10)
		b := inBed(t, n, 2, &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
			return wire.Blocks{Blocks: []chain.Block{served}}, nil
		}})
		if err := a.Dial(within(t, 10*time.Second), b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		honest := a.host.Sessions()[0]
		part := append(binary.AppendUvarint(nil, 10<<20), make([]byte, sent)...) // of form "plain"
		var hosts []libhost.Host
		for i := range hostile {
			h := libp2pIn(t, n, 10+i)
			answering(h, func(s network.Stream) { s.Write(part) })
			shake(t, h, connect(t, h, a))
			hosts = append(hosts, h)
		}
		time.Sleep(time.Second)
		in := a.node.Load().inbound
		ask := wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 1}}
		ctx, cancel := context.WithCancel(context.Background())
		var asked sync.WaitGroup
		var starved atomic.Int32
		for _, ses := range a.host.Sessions() {
			if ses == honest {
				continue
			}
			for range 4 {
				asked.Go(func() {
					for ctx.Err() == nil {
						if _, err := ses.Request(ctx, ask); errors.Is(err, &wire.Refusal{Code: wire.RefusedBusy}) {
							starved.Add(1)
						}
						time.Sleep(200 * time.Millisecond)
					}
				})
			}
		}
		most, mostOfOne := 0, 0
		for range 40 {
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			all := int(in.budget.Used())
			for _, ses := range a.host.Sessions() {
				as := ses.(*session).answers
				as.mu.Lock()
				all += as.in.share - as.own
				mostOfOne = max(mostOfOne, as.held)
				as.mu.Unlock()
			}
			most = max(most, all)
			start := time.Now()
			resp, err := honest.Request(within(t, 10*time.Second), ask)
			if err != nil {
				t.Fatalf("the honest peer's answer: %v", err)
			}
			if got := len(resp.(wire.Blocks).Blocks); got != 1 {
				t.Errorf("%d blocks of the honest peer, want 1", got)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("the honest peer's answer took %v", took)
			}
		}
		cancel()
		asked.Wait()
		if most > budget || most < budget/2 {
			t.Errorf("answers held %d bytes, want at most %d and a fair part of it", most, budget)
		}
		if mostOfOne > maxAnswers {
			t.Errorf("answers of one peer held %d bytes, want at most %d", mostOfOne, maxAnswers)
		}
		if starved.Load() == 0 {
			t.Error("nobody was refused memory: the budget was not under pressure")
		}
		for _, o := range wiretest.Reports[wire.Offended](a.host) {
			if o.Session == honest {
				t.Errorf("the honest peer is charged: %+v", o)
			}
		}
		for _, ses := range a.host.Sessions() {
			if as := ses.(*session).answers; as.held != 0 || as.lead != nil || as.leaders != 0 || as.active != 0 {
				t.Errorf("after all has ended a peer's answers hold %d bytes, lead %v", as.held, as.lead != nil)
			}
			ses.Close(peer.Requested)
		}
		for _, h := range hosts {
			h.Close()
		}
		time.Sleep(5 * time.Second)
		if !in.shares.TryAcquire(maxShares) {
			t.Error("shares were not given back")
		}
		b.stop()
		a.stop()
	})
}

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
