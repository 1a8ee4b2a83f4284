package daemon

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// parish is a node of a clique network, and peers of it that only announce. All
// is in memory and in virtual time, over sessions as they are.
type parish struct {
	t      *testing.T
	net    *bed.Net
	made   *ledger.Ledger // the chain that the peers have
	blocks []chain.Block  // of it, from 1 on
	ledger *ledger.Ledger // of the node
	node   *starling.Node
	wire   *devp2p.Wire
	events *starling.Subscription
	paid   []starling.PeerCharged
	peers  []*announcer

	// What a test may change before it begins.
	version    eth.Version
	ahead      bool                                // the peers claim all that was made
	targetOnly bool                                // of the node
	syncPeers  int                                 // of the node
	pool       *ethereum.Pool                      // of the node; nil: none
	hold       func(context.Context, wire.Request) // before a request to a peer is answered; nil: nothing
}

// announcer is a peer that answers as it wants.
type announcer struct {
	*wiretest.Host
	wire    *devp2p.Wire
	headers atomic.Int64 // requests for blocks that it announced
	bodies  atomic.Int64
	txs     atomic.Int64 // requests for transactions
}

// parishHas is how many blocks everybody has before the test begins.
const parishHas = 3

func newParish(t *testing.T, announcers int, change ...func(*parish, *ledger.Ledger, *ethereum.Family)) *parish {
	p := &parish{t: t, net: bed.NewNet(bed.Config{Link: bed.Link{Latency: 20 * time.Millisecond}}), version: eth.V68, syncPeers: 5}
	g, err := ethereum.ParseGenesis([]byte(cliqueGenesis))
	if err != nil {
		t.Fatal(err)
	}
	block, err := g.Block()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(block.Header.Time)) // a bubble's clock begins in 2000
	open := func() (*ledger.Ledger, *ethereum.Family) {
		f, err := ethereum.New(ethereum.Config{Network: "parish", Chain: g.Config, Genesis: block})
		if err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		f.Attach(l)
		t.Cleanup(func() { l.Close() })
		return l, f
	}
	made, family := open()
	p.made = made
	key, err := ethereum.ParseSealKey(strings.Repeat("11", 32))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sealer, err := ethereum.NewSealer(ethereum.SealerConfig{Family: family, Chain: made, Key: key, Submit: func(ctx context.Context, b chain.Block) error {
		_, err := made.Import(ctx, []chain.Block{b})
		if p.blocks = append(p.blocks, b); len(p.blocks) == parishHas+2 {
			stop()
		}
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	sealer.Run(ctx)
	p.ledger, family = open()
	if _, err := p.ledger.Import(t.Context(), p.blocks[:parishHas]); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(p, p.ledger, family)
	}
	status := p.ledger.Status() // what everybody has
	if p.ahead {
		status = made.Status()
	}
	newWire := func(i byte, targetOnly bool, st func() chain.Status) *devp2p.Wire {
		blocks, times := ethereum.Forks(g.Config)
		ip := netip.AddrFrom4([4]byte{8, 8, i, 1})
		w, err := devp2p.New(devp2p.Config{
			NetworkID: 1338, Network: "parish", Status: st, Versions: []eth.Version{p.version}, TargetOnly: targetOnly, Net: p.net.Host(ip),
			Listen: net.JoinHostPort(ip.String(), "30303"), InboundPause: -1, Forks: eth.NewForks(block.Ref().Hash, uint64(block.Header.Time.Unix()), blocks, times),
		})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	p.wire = newWire(1, p.targetOnly, p.ledger.Status)
	cfg := starling.Config{
		MaxPeers: 50, SyncPeers: p.syncPeers, SyncWait: time.Hour, BlockInterval: 15 * time.Second, BackwardOnly: p.targetOnly, NoDiscovery: true, Seed: 1,
	}
	if p.pool != nil {
		cfg.Pool = p.pool
	}
	if p.node, err = starling.New(cfg, p.ledger, p.wire); err != nil {
		t.Fatal(err)
	}
	nodeCtx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.node.Run(nodeCtx) }()
	<-p.node.Ready()
	p.events = p.node.Client().Subscribe(nodeCtx, 4096)
	var stops []func()
	t.Cleanup(func() {
		for _, stop := range stops {
			stop()
		}
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.net.Close()
	})
	for i := range announcers {
		a := &announcer{Host: &wiretest.Host{}, wire: newWire(byte(2+i), false, func() chain.Status { return status })}
		a.OnServe = func(ctx context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
			return p.serve(ctx, a, r)
		}
		stops = append(stops, wiretest.Start(t, a.wire, a.Host))
		if err := p.node.Client().Connect(t.Context(), a.wire.Addrs()[0].Text); err != nil {
			t.Fatal(err)
		}
		p.peers = append(p.peers, a)
	}
	if !p.ahead {
		time.Sleep(30 * time.Second) // in sync with all
	}
	return p
}

// serve answers from the chain of the peers, and counts.
func (p *parish) serve(ctx context.Context, a *announcer, r wire.Request) (wire.Response, error) {
	if p.hold != nil {
		p.hold(ctx, r)
	}
	switch r := r.(type) {
	case wire.GetTxs:
		a.txs.Add(1)
		return wire.TxList{Txs: []chain.Tx{ownTransfer(p.t)}}, nil
	case wire.GetHeaders:
		hs, err := p.made.Headers(ctx, r.Range)
		if err != nil {
			break
		}
		if hs[0].Ref.Number > parishHas {
			a.headers.Add(1)
		}
		return wire.Headers{Headers: hs}, nil
	case wire.GetBodies:
		var out wire.Bodies
		for _, h := range r.Hashes {
			b, err := p.made.Block(ctx, chain.Ref{Hash: h})
			if err != nil {
				continue
			}
			a.bodies.Add(1)
			out.Hashes, out.Bodies = append(out.Hashes, h), append(out.Bodies, wire.Body{Body: b.Body})
		}
		return out, nil
	}
	return nil, &wire.Refusal{Code: wire.RefusedNotFound}
}

// next is the block that the node lacks.
func (p *parish) next() chain.Ref { return p.blocks[parishHas].Ref() }

// announce has a peer tell the node of a block.
func (p *parish) announce(a *announcer, refs ...chain.Ref) {
	p.t.Helper()
	for _, ref := range refs {
		if err := a.Sessions()[0].Send(p.t.Context(), wire.LaneBlock, wire.BlockAnnounce{Ref: ref}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// takes waits until a block is the node's head, for a time at most, and says how
// long it took.
func (p *parish) takes(ref chain.Ref, most time.Duration) time.Duration {
	p.t.Helper()
	began, late := time.Now(), time.After(most)
	for p.ledger.Status().Head != ref {
		select {
		case ev := <-p.events.C():
			p.note(ev)
		case <-late:
			p.t.Fatalf("%v after its announcement the node is at %v, want %v", most, p.ledger.Status().Head, ref)
		}
	}
	return time.Since(began)
}

func (p *parish) note(ev starling.Event) {
	if c, ok := ev.(starling.PeerCharged); ok {
		p.paid = append(p.paid, c)
	}
}

// charges are all so far.
func (p *parish) charges() []starling.PeerCharged {
	synctest.Wait()
	for {
		select {
		case ev := <-p.events.C():
			p.note(ev)
		default:
			return p.paid
		}
	}
}

// With two peers, and a sync that waits for five, an announced block is here as
// soon as geth's fetcher would have it: half a second for somebody to push it, a
// tenth to gather, and two questions.
func TestAnAnnouncedBlockIsFetchedWithoutCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParish(t, 2)
		for _, a := range p.peers {
			p.announce(a, p.next())
		}
		took := p.takes(p.next(), time.Minute)
		if took < 500*time.Millisecond || took > 800*time.Millisecond {
			t.Errorf("it took %v, want 0.6 s and two round trips of 40 ms", took)
		}
		a, b := p.peers[0], p.peers[1]
		if h, bs := a.headers.Load()+b.headers.Load(), a.bodies.Load()+b.bodies.Load(); h != 1 || bs != 1 {
			t.Errorf("%d headers and %d bodies were asked for, want one of each", h, bs)
		}
		time.Sleep(time.Minute)
		if c := p.charges(); len(c) > 0 {
			t.Errorf("charged %+v", c)
		}
		// Both are known to have it, so nobody is told of it; and of the next,
		// which one of them announces, the other is.
		p.announce(a, p.blocks[parishHas+1].Ref())
		p.takes(p.blocks[parishHas+1].Ref(), time.Second)
		time.Sleep(time.Second)
		for i, want := range []int{0, 1} {
			told := 0
			for _, m := range p.peers[i].Checked() {
				switch m := m.Message.(type) {
				case wire.Block:
					told++
				case wire.BlockAnnounce: // of what we had when it came, too
					if m.Ref.Number > parishHas {
						told++
					}
				}
			}
			if told != want {
				t.Errorf("peer %d was told of %d blocks, want %d", i, told, want)
			}
		}
	})
}

// Threat X-01: whoever announces a block and is silent costs it five seconds at
// the most, and pays from its third silence on.
func TestASilentAnnouncerCostsSecondsAndPays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParish(t, 2)
		silent, honest := p.peers[0], p.peers[1]
		asked := 0
		quiet := silent.OnServe
		silent.OnServe = func(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
			if g, ok := r.(wire.GetHeaders); ok && g.Range.From.Hash[0] == 0xfa {
				asked++
				<-ctx.Done()
			}
			return quiet(ctx, s, r)
		}
		for i := range byte(4) {
			p.announce(silent, chain.Ref{Number: parishHas + 1, Hash: chain.Hash{0xfa, i}})
		}
		p.announce(honest, p.next())
		if took := p.takes(p.next(), 10*time.Second); took > 800*time.Millisecond {
			t.Errorf("the honest one's block took %v", took)
		}
		time.Sleep(time.Minute)
		paid := 0
		for _, c := range p.charges() {
			if c.ID != silent.wire.Self() {
				t.Errorf("charged %+v", c)
			} else if c.Offense == peer.NoAnswer {
				paid++
			}
		}
		if asked > 4 || paid == 0 {
			t.Errorf("asked it %d times for four blocks, it paid %d times", asked, paid)
		}
	})
}

// Threat L-01: who answers with another block than it announced pays at once, and
// the next who announced it has its turn.
func TestAnAnnouncerOfAnotherBlockPays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParish(t, 2)
		liar, honest := p.peers[0], p.peers[1]
		truth := liar.OnServe
		liar.OnServe = func(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
			if g, ok := r.(wire.GetHeaders); ok && g.Range.From.Hash == p.next().Hash {
				r = wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 1}}
			}
			return truth(ctx, s, r)
		}
		p.announce(liar, p.next())
		time.Sleep(550 * time.Millisecond) // it is asked, and has not answered yet
		p.announce(honest, p.next())
		p.takes(p.next(), time.Second)
		time.Sleep(time.Second)
		if c := p.charges(); len(c) == 0 || c[0].ID != liar.wire.Self() || c[0].Offense != peer.WrongBlock {
			t.Errorf("charged %+v, want the liar for another block", c)
		}
		if n := len(liar.Sessions()); n != 0 {
			t.Error("the liar is there still")
		}
		if n := len(honest.Sessions()); n != 1 {
			t.Error("the honest one is gone")
		}
	})
}

// Threats T-03 and X-01: who announces ten thousand blocks is asked for one at a
// time, ever more slowly, and pays; the block of another comes as soon as ever.
func TestAFloodOfAnnouncedBlocksIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParish(t, 2)
		flood, honest := p.peers[0], p.peers[1]
		asked := atomic.Int64{}
		refuse := flood.OnServe
		flood.OnServe = func(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
			if g, ok := r.(wire.GetHeaders); ok && g.Range.From.Hash[0] == 0xf1 {
				asked.Add(1)
			}
			return refuse(ctx, s, r)
		}
		for i := range 10_000 {
			p.announce(flood, chain.Ref{Number: parishHas + 1, Hash: chain.Hash{0xf1, byte(i >> 8), byte(i)}})
			if i%16 == 15 {
				time.Sleep(time.Millisecond)
			}
		}
		p.announce(honest, p.next())
		if took := p.takes(p.next(), 10*time.Second); took > 800*time.Millisecond {
			t.Errorf("the honest one's block took %v", took)
		}
		time.Sleep(10 * time.Minute)
		flooded := 0
		for _, c := range p.charges() {
			if c.ID == honest.wire.Self() {
				t.Errorf("charged %+v", c)
			} else if c.Offense == peer.AnnounceFlood {
				flooded++
			}
		}
		if flooded == 0 {
			t.Error("it did not pay for the flood")
		}
		if n := asked.Load(); n == 0 || n > 20 {
			t.Errorf("it was asked %d times within ten minutes", n)
		}
		if d := p.node.Client().Counters().Drops; d[starling.Drop{Queue: "relay", Reason: "block-announced-too-many"}] == 0 {
			t.Errorf("drops %v", d)
		}
	})
}
