package scenario

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// A peer that gossips invalid transactions is disconnected at the second and
// banned at the fifth; nobody relays them. Threat row T-01.
func TestInvalidTransactionsDisconnectAtTheSecondAndBanAtTheFifth(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		var nodes []*node
		for i := range 3 {
			pool := chaintest.NewPool()
			nodes = append(nodes, l.start(i, spec{seeds: only(0, 1), over: func(c *chaintest.Chain) chain.Chain { return pooled{c, pool} }}))
		}
		l.awaitPeers(time.Minute, 2, nodes...)
		victim := nodes[2]
		v := l.villain(9, victim.toy, &wiretest.Host{})
		start := time.Now()
		for i := 1; i <= 5; i++ {
			l.await(2*time.Minute, "the villain's session", func() bool {
				return v.host.Session(victim.id) != nil || v.dial(victim) == nil
			})
			time.Sleep(time.Second) // topics
			good := chaintest.NewTx(fmt.Appendf(nil, "a good one, the %d.", i))
			bad := chaintest.NewTx(append([]byte{chaintest.Unfit}, byte(i)))
			v.publish(wire.Txs{Txs: []chain.Tx{good, bad}})
			sent := time.Now()
			l.await(time.Second, "a charge", func() bool {
				return len(events[starling.PeerCharged](victim.log, start)) == i
			})
			l.await(time.Second-time.Since(sent), "what follows", func() bool {
				return len(events[starling.PeerClosed](victim.log, sent)) > 0 == (i >= 2)
			})
			if bans := events[starling.PeerBanned](victim.log, start); (len(bans) > 0) != (i == 5) {
				t.Fatalf("after %d bundles with an invalid transaction: %+v", i, bans)
			}
		}
		if ban := events[starling.PeerBanned](victim.log, start)[0]; ban.Who != string(v.id) || !ban.ByScore {
			t.Errorf("ban = %+v", ban)
		}
		if err := v.dial(victim); err == nil {
			t.Error("a banned peer had a session")
		}
		for _, n := range nodes[:2] {
			for k, count := range n.client.Verdicts() {
				if k.Message == "txs" || k.Message == "tx" {
					t.Errorf("node %d was relayed %d bundles: %+v", n.i, count, k)
				}
			}
		}
	})
}

// starved is a chain on a machine whose processors are busy with other things.
type starved struct {
	*chaintest.Chain
}

// What it takes to read a list, and to read a block.
const (
	starvedList  = 5 * time.Second
	starvedBlock = 40 * time.Millisecond
)

func (s starved) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s starved) Headers(ctx context.Context, r chain.Range) ([]chain.Header, error) {
	s.wait(ctx, starvedList)
	return s.Chain.Headers(ctx, r)
}

func (s starved) Blocks(ctx context.Context, r chain.Range) ([]chain.Block, error) {
	s.wait(ctx, starvedList)
	return s.Chain.Blocks(ctx, r)
}

func (s starved) Block(ctx context.Context, ref chain.Ref) (chain.Block, error) {
	s.wait(ctx, starvedBlock)
	return s.Chain.Block(ctx, ref)
}

// An honest peer whose machine is starved of processors takes five seconds for
// each answer. It is kept, it is charged with nothing, and whoever has nobody
// else syncs from it. Threat row C-05.
func TestAStarvedPeerIsKept(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		slow := l.start(0, spec{over: func(c *chaintest.Chain) chain.Chain { return starved{c} }})
		time.Sleep(time.Second)
		slow.produce()
		time.Sleep(2 * time.Minute)
		late := l.start(1, spec{seeds: only(0)})
		l.awaitPeers(time.Minute, 1, late)
		since := time.Now()
		l.await(20*time.Minute, "the head of the starved peer", func() bool { return late.head().Number >= 60 })
		time.Sleep(10 * time.Minute)
		for _, n := range []*node{slow, late} {
			for _, c := range events[starling.PeerClosed](n.log, since) {
				t.Errorf("node %d lost its peer: %+v", n.i, c)
			}
			for _, c := range n.log.charges() {
				t.Errorf("node %d charged its peer: %+v", n.i, c)
			}
		}
		if !late.has(slow) {
			t.Error("the starved peer is gone")
		}
	})
}

// A hundred connections a second come and go, from forty addresses, for ten
// minutes (one, in the short form): goroutines, connections and the table stay
// as they were, and honest peers notice nothing. Threat row C-01.
func TestChurnLeavesNothingBehind(t *testing.T) {
	minutes := 1
	if full() {
		minutes = 10
	}
	virtual(t, ordinary(), func(l *lab) {
		nodes := l.many(0, 3, 0)
		nodes[0].produce()
		l.awaitPeers(time.Minute, 2, nodes...)
		victim := nodes[1]
		to, err := libpeer.AddrInfoFromString(at(victim.i))
		if err != nil {
			t.Fatal(err)
		}
		var strangers []libhost.Host
		for i := range 40 {
			h, err := libp2p.New(bed.Options(l.net.Host(addr(30+i)), bed.Key(uint64(30+i)), bed.Libp2p{})...)
			if err != nil {
				t.Fatal(err)
			}
			strangers = append(strangers, h)
			l.hostile[idOf(30+i)] = true
		}
		var tried, let atomic.Int64
		churn := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(network.WithForceDirectDial(context.Background(), "no back-off"), d)
			defer cancel()
			var all sync.WaitGroup
			for _, h := range strangers {
				h.Peerstore().AddAddrs(to.ID, to.Addrs, time.Hour)
				all.Go(func() {
					for ctx.Err() == nil {
						tried.Add(1)
						if c, err := h.Network().DialPeer(ctx, to.ID); err == nil {
							let.Add(1)
							c.Close()
						}
						time.Sleep(200 * time.Millisecond)
					}
				})
			}
			all.Wait()
		}
		count := func() (goroutines, known int) {
			time.Sleep(time.Minute) // what is under way has its deadlines
			synctest.Wait()
			return runtime.NumGoroutine(), len(victim.client.KnownPeers(10_000))
		}
		churn(10 * time.Second)
		before, knownBefore := count()
		tip := victim.head().Number
		start := time.Now()
		tried.Store(0)
		churn(time.Duration(minutes) * time.Minute)
		took := time.Since(start)
		after, known := count()
		t.Logf("%d links in %v, %d let in; goroutines %d and %d, known peers %d and %d", tried.Load(), took, let.Load(), before, after, knownBefore, known)
		if tried.Load() < int64(took.Seconds()*60) || let.Load() == 0 {
			t.Errorf("%d links in %v, %d let in: want a churn", tried.Load(), took, let.Load())
		}
		if after > before+before/20 {
			t.Errorf("%d goroutines, %d before the churn", after, before)
		}
		if known > knownBefore+len(strangers) {
			t.Errorf("%d peers are known, %d before the churn", known, knownBefore)
		}
		if got := victim.head().Number; got <= tip {
			t.Errorf("the head stands at %d since the churn began", got)
		}
		for _, h := range strangers {
			h.Close()
		}
		l.awaitPeers(time.Minute, 2, nodes...)
	})
}
