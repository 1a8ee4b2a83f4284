package scenario

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/native"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Bytes that flip on the way, on real Noise and yamux, end links; nobody is
// charged for it, and when it is over the nodes find each other and have one
// chain. Threat rows M-06, M-13.
func TestFlippedBytesChargeNobody(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		var nodes []*node
		for i := range 4 {
			nodes = append(nodes, l.start(i, spec{seeds: only(0, 1), wire: func(c *native.Config) {
				c.Libp2pOptions = []libp2p.Option{bed.Bubble(l.net.Host(addr(i)), true)}
			}}))
		}
		l.awaitPeers(time.Minute, 3, nodes...)
		nodes[0].produce()
		l.awaitOneTip(time.Minute, 3, nodes...)
		since := time.Now()
		corrupt := func(share float64) {
			for i := range nodes {
				for j := range nodes {
					if i != j {
						l.net.Corrupt(addr(i), addr(j), share)
					}
				}
			}
		}
		corrupt(0.02)
		time.Sleep(2 * time.Minute)
		corrupt(0)
		ends := 0
		for _, n := range nodes {
			ends += len(events[starling.PeerClosed](n.log, since))
		}
		if ends < 10 {
			t.Errorf("only %d links ended: next to nothing was corrupted", ends)
		}
		l.awaitPeers(2*time.Minute, 3, nodes...)
		l.awaitOneTip(time.Minute, nodes[0].head().Number+1, nodes...)
	})
}

// A block that everybody has, told again when gossip has forgotten it, is
// ignored and counted, not imported again, not passed on, and no fault. Threat
// row G-05.
func TestKnownBlockIsIgnoredAndCounted(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		nodes := l.many(0, 3, 0)
		nodes[0].produce()
		l.awaitPeers(time.Minute, 2, nodes...)
		l.awaitOneTip(time.Minute, 3, nodes...)
		known := nodes[1].toy.Head()
		v := l.villain(9, nodes[1].toy, &wiretest.Host{})
		delete(l.hostile, v.id) // it does no wrong
		// The node may have met it first, in which case the dial is a duplicate.
		l.await(time.Minute, "a session", func() bool { return v.host.Session(nodes[1].id) != nil || v.dial(nodes[1]) == nil })
		imported := nodes[1].toy.Counts().Imported
		at := nodes[1].head().Number
		ignored := func(n *node) (all uint64) {
			for k, count := range n.client.Verdicts() {
				if k.Message == "block" && k.Action == "ignore" {
					all += count
				}
			}
			return all
		}
		before := ignored(nodes[1])
		for range 3 {
			time.Sleep(3 * time.Minute)
			v.publish(wire.Block{Block: known})
		}
		time.Sleep(10 * time.Second)
		if got := ignored(nodes[1]) - before; got != 3 {
			t.Errorf("%d blocks were ignored, want the 3 that were told again: %v", got, nodes[1].client.Verdicts())
		}
		for _, n := range []*node{nodes[0], nodes[2]} {
			if got := ignored(n); got != 0 {
				t.Errorf("node %d was passed %d blocks that it has", n.i, got)
			}
		}
		if got, want := nodes[1].toy.Counts().Imported-imported, int(nodes[1].head().Number-at); int(got) != want {
			t.Errorf("%d blocks were imported for %d of the chain", got, want)
		}
	})
}

// picky is a chain that finds out only by executing a block that it is wrong.
type picky struct {
	*chaintest.Chain
	wrong   func(chain.Block) bool
	refused *atomic.Int64
}

func (p picky) Import(ctx context.Context, blocks []chain.Block) (int, error) {
	for i, b := range blocks {
		if !p.wrong(b) {
			continue
		}
		p.refused.Add(1)
		n, err := p.Chain.Import(ctx, blocks[:i])
		if err != nil {
			return n, err
		}
		return n, fmt.Errorf("execution of %s: %w", b.Ref(), chain.ErrInvalid)
	}
	return p.Chain.Import(ctx, blocks)
}

// A relay passes on what its check lets through; whoever executes it and finds
// it wrong does not charge the relay, which could not know. Threat row E-13.
func TestRelayIsNotChargedForWhatItCouldNotCheck(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		wrong := func(b chain.Block) bool { return len(b.Body) == 999 }
		var refused atomic.Int64
		over := func(c *chaintest.Chain) chain.Chain { return picky{c, wrong, new(atomic.Int64)} }
		first := l.start(0, spec{over: over})
		relay := l.start(1, spec{seeds: only(0), over: over})
		atLast := func(c *chaintest.Chain) chain.Chain { return picky{c, wrong, &refused} }
		last := l.start(2, spec{static: only(1), over: atLast, config: func(c *starling.Config) { c.MaxPeers = 1 }})
		nodes := []*node{first, relay, last}
		l.awaitPeers(time.Minute, 1, nodes...)
		first.produce()
		l.awaitOneTip(time.Minute, 3, nodes...)
		v := l.villain(9, first.toy, &wiretest.Host{})
		l.await(time.Minute, "the villain's session", func() bool { return v.host.Session(relay.id) != nil || v.dial(relay) == nil })
		time.Sleep(2 * time.Second)
		for i := range 3 {
			bad := relay.toy.Next(relay.toy.Head().Header, chaintest.Make{Branch: uint64(100 + i), Size: 999})
			v.publish(wire.Block{Block: bad})
			l.await(10*time.Second, "the block passed on", func() bool {
				last.log.mu.Lock()
				defer last.log.mu.Unlock()
				_, ok := last.log.seen[bad.Ref()]
				return ok
			})
			time.Sleep(10 * time.Second)
		}
		if refused.Load() < 3 {
			t.Errorf("the last one executed %d of the 3 wrong blocks", refused.Load())
		}
		for _, c := range events[starling.PeerCharged](last.log, time.Time{}) {
			t.Errorf("the last one charged %s: %s (%s)", l.name(c.ID), c.Offense, c.Detail)
		}
		if !last.has(relay) {
			t.Error("the last one let go of its relay")
		}
		l.awaitOneTip(time.Minute, first.head().Number+1, nodes...)
	})
}

// Who subscribes to events and does not read them keeps the oldest, is told
// how many it lost, and slows nobody down. Threat row Z-08.
func TestSubscriberThatDoesNotReadLosesTheNewest(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		nodes := []*node{l.start(0, spec{}), l.start(1, spec{seeds: only(0)})}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		reader := nodes[1].client.Subscribe(ctx, 1<<16)
		asleep := nodes[1].client.Subscribe(ctx, 8)
		many := make([]*starling.Subscription, 200)
		for i := range many {
			many[i] = nodes[1].client.Subscribe(ctx, 1)
		}
		nodes[0].produce()
		l.awaitOneTip(5*time.Minute, 100, nodes...)
		nodes[0].stopProducing()
		time.Sleep(2 * time.Second)
		cancel()
		collect := func(s *starling.Subscription) (out []string) {
			for ev := range s.C() {
				out = append(out, fmt.Sprintf("%T%+v", ev, ev))
			}
			return out
		}
		all, kept := collect(reader), collect(asleep)
		if reader.Dropped() != 0 || len(all) < 100 {
			t.Errorf("the reader got %d events and lost %d", len(all), reader.Dropped())
		}
		if len(kept) != 8 || !slices.Equal(kept, all[:8]) {
			t.Errorf("who slept kept %v, want the oldest 8: %v", kept, all[:8])
		}
		if got, want := asleep.Dropped(), uint64(len(all)-8); got != want {
			t.Errorf("who slept is told of %d lost events, want %d", got, want)
		}
		for _, s := range many {
			if got, want := s.Dropped(), uint64(len(all)-1); got != want {
				t.Fatalf("a buffer of one lost %d events, want %d", got, want)
			}
		}
	})
}

// pooled is a chain with a pool of transactions.
type pooled struct {
	*chaintest.Chain
	*chaintest.Pool
}

// Transactions cross each link at most once, in one direction, though every
// node of the network tells of what is new to it. Threat row T-08.
func TestTransactionsDoNotGoInCircles(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		var nodes []*node
		for i := range 2 {
			pool := chaintest.NewPool()
			nodes = append(nodes, l.start(i, spec{seeds: only(0), over: func(c *chaintest.Chain) chain.Chain { return pooled{c, pool} }}))
		}
		l.awaitPeers(time.Minute, 1, nodes...)
		time.Sleep(3 * time.Second)
		const each = 50
		for i := range each {
			for _, n := range nodes {
				if _, err := n.client.PublishTxs(context.Background(), []chain.Tx{chaintest.NewTx(fmt.Appendf(nil, "transaction %d of %d", i, n.i))}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		for _, n := range nodes {
			heard := uint64(0)
			for k, count := range n.client.Verdicts() {
				if k.Message == "txs" || k.Message == "tx" {
					heard += count
				}
			}
			if heard != each {
				t.Errorf("node %d heard of %d transactions of the other's %d: %v", n.i, heard, each, n.client.Verdicts())
			}
		}
	})
}
