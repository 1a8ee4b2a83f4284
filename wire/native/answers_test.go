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

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// answering makes a bare host answer each request with that.
func answering(h libhost.Host, answer func(network.Stream)) {
	h.SetStreamHandler(codec.RequestProtocol, func(s network.Stream) {
		if _, err := codectest.Unpack(bufio.NewReader(s), codec.MaxRequest); err == nil {
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
		shared := a.node.Load().shared
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
			all, _ := shared.Used()
			for _, ses := range a.host.Sessions() {
				held, _ := ses.(*session).requests.Held()
				mostOfOne = max(mostOfOne, held)
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
		if mostOfOne > 16<<20 {
			t.Errorf("answers of one peer held %d bytes, want at most %d", mostOfOne, 16<<20)
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
			if held, _ := ses.(*session).requests.Held(); held != 0 {
				t.Errorf("after all has ended a peer's answers hold %d bytes", held)
			}
			ses.Close(peer.Requested)
		}
		for _, h := range hosts {
			h.Close()
		}
		time.Sleep(5 * time.Second)
		if held, shares := shared.Used(); held != 0 || shares != 0 {
			t.Errorf("%d bytes and %d shares were not given back", held, shares)
		}
		b.stop()
		a.stop()
	})
}
