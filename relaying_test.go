package starling_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// street is where wires without a protocol meet: what one sends, the other's
// host gets as it is. It stands for wires that gossip by session.
type street struct {
	mu    sync.Mutex
	wires map[string]*streetWire
}

func (st *street) at(name string) *streetWire {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.wires[name]
}

type streetWire struct {
	st     *street
	name   string
	status func() chain.Status
	ready  chan struct{}
	host   wire.Host
	ctx    context.Context
	work   sync.WaitGroup
	blocks atomic.Int64 // that came in full
}

func (st *street) wire(name string, status func() chain.Status) *streetWire {
	w := &streetWire{st: st, name: name, status: status, ready: make(chan struct{})}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.wires[name] = w
	return w
}

func (w *streetWire) Caps() wire.Caps {
	return wire.Caps{
		Name: "street", ProvenIdentity: true, Gossip: wire.GossipSessions, Skeleton: true, BodiesApart: true, ByNumber: true, ByHash: true,
		MaxBatch:    wire.Batch{Headers: 64, Bodies: 64, Blocks: 64, Txs: 256, Bytes: 1 << 20},
		MaxInFlight: 4, RequestTimeout: 5 * time.Second, TxAnnounce: true, BlockPush: true, BlockAnnounce: true, Duplicate: wire.FirstFinished,
	}
}

func (w *streetWire) ParseAddr(s string) (peer.Addr, error) {
	return peer.Addr{Scheme: "street", Text: s}, nil
}

func (w *streetWire) Addrs() []peer.Addr     { return []peer.Addr{{Scheme: "street", Text: w.name}} }
func (w *streetWire) Ready() <-chan struct{} { return w.ready }

func (w *streetWire) Run(ctx context.Context, h wire.Host) error {
	w.host, w.ctx = h, ctx
	close(w.ready)
	<-ctx.Done()
	w.work.Wait()
	return nil
}

func (w *streetWire) Dial(ctx context.Context, a peer.Addr) error {
	o := w.st.at(a.Text)
	select {
	case <-o.ready:
	default:
		return peer.Refuse(peer.DialFailed)
	}
	mine, theirs := newStreetSession(w, o, peer.Outbound), newStreetSession(o, w, peer.Inbound)
	mine.other, theirs.other = theirs, mine
	w.work.Go(mine.deliver)
	o.work.Go(theirs.deliver)
	if err := w.host.Open(ctx, mine, o.status()); err != nil {
		return err
	}
	if err := o.host.Open(ctx, theirs, w.status()); err != nil {
		mine.Close(peer.ByRemote)
		return err
	}
	return nil
}

type streetSession struct {
	from, to *streetWire
	dir      peer.Direction
	other    *streetSession
	closed   atomic.Bool
	done     chan struct{}
	box      chan wire.Message
}

func newStreetSession(from, to *streetWire, dir peer.Direction) *streetSession {
	return &streetSession{from: from, to: to, dir: dir, done: make(chan struct{}), box: make(chan wire.Message, 4096)}
}

// deliver takes what is sent to the other side, a moment later.
func (s *streetSession) deliver() {
	for {
		select {
		case m := <-s.box:
			select {
			case <-time.After(10 * time.Millisecond):
			case <-s.to.ctx.Done():
				return
			}
			if _, ok := m.(wire.Block); ok {
				s.to.blocks.Add(1)
			}
			s.to.host.Check(s.to.ctx, s.other, m)
		case <-s.done:
			return
		case <-s.from.ctx.Done():
			s.Close(peer.Stopping)
			return
		}
	}
}

func (s *streetSession) Peer() peer.Info {
	return peer.Info{ID: peer.ID(s.to.name), Wire: "street", Addr: s.to.Addrs()[0], Direction: s.dir, Proven: true}
}
func (s *streetSession) Done() <-chan struct{} { return s.done }

func (s *streetSession) Send(_ context.Context, _ wire.Lane, m wire.Message) error {
	select {
	case s.box <- m:
		return nil
	default:
		return wire.ErrQueueFull
	}
}

func (s *streetSession) Request(ctx context.Context, r wire.Request) (wire.Response, error) {
	return s.to.host.Serve(ctx, s.other, r)
}

func (s *streetSession) Close(why peer.Reason) {
	if !s.closed.CompareAndSwap(false, true) {
		return
	}
	close(s.done)
	s.from.host.Report(wire.Closed{Session: s, Reason: why})
	s.other.Close(peer.ByRemote)
}

// neighbour is a node of the street.
type neighbour struct {
	*starling.Node
	toy    *chaintest.Chain
	pool   *chaintest.Pool
	client *starling.Client
}

// run starts a node that knows some others.
func (st *street) run(t *testing.T, name string, blocks int, known ...string) *neighbour {
	t.Helper()
	return st.runAs(t, name, blocks, func(c *starling.Config) { c.Static = known })
}

// runAs starts one whose config is changed.
func (st *street) runAs(t *testing.T, name string, blocks int, change func(*starling.Config)) *neighbour {
	t.Helper()
	toy, pool := chaintest.NewChain(chaintest.Config{Seed: 1}), chaintest.NewPool()
	toy.Extend(blocks)
	cfg := starling.Config{Pool: pool, AllowPrivate: true, Seed: 1}
	change(&cfg)
	n, err := starling.New(cfg, toy, st.wire(name, toy.Status))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	return &neighbour{n, toy, pool, n.Client()}
}

func TestBlocksAndTransactionsTravelBySession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &street{wires: map[string]*streetWire{}}
		nodes := []*neighbour{st.run(t, "a", 0)}
		for i, name := range []string{"b", "c", "d"} { // in a row
			nodes = append(nodes, st.run(t, name, 0, string(rune('a'+i))))
		}
		time.Sleep(30 * time.Second)
		first, last := nodes[0], nodes[len(nodes)-1]

		verdicts, err := first.client.PublishTxs(t.Context(), []chain.Tx{chaintest.NewTx([]byte("pay"))})
		if err != nil || verdicts[0].Action != chain.Accept {
			t.Fatalf("PublishTxs = %v, %v", verdicts, err)
		}
		time.Sleep(5 * time.Second)
		for i, n := range nodes {
			if !n.pool.Has(chaintest.NewTx([]byte("pay")).Hash) {
				t.Errorf("node %d lacks the transaction", i)
			}
		}
		for range 5 {
			block := last.toy.Next(last.toy.Head().Header, chaintest.Make{})
			receipt, err := last.client.PublishBlock(t.Context(), block)
			if err != nil || receipt.Queued != 1 {
				t.Fatalf("PublishBlock = %+v, %v", receipt, err)
			}
			time.Sleep(time.Second)
			for i, n := range nodes {
				if got := n.toy.Status().Head; got != block.Ref() {
					t.Fatalf("node %d is at %v, want %v", i, got, block.Ref())
				}
			}
		}
		for i, n := range nodes {
			if b := n.client.Status().BansByScore; b != 0 {
				t.Errorf("node %d banned %d", i, b)
			}
		}
	})
}

// The policy holds for answers too: who asks for a transaction that it was not
// told of yet gets nothing, and has it once all were told.
func TestAnswersFollowTheRelayPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &street{wires: map[string]*streetWire{}}
		hub := st.runAs(t, "hub", 0, func(c *starling.Config) { c.Relay = "frugal" })
		const others = 12
		for i := range others {
			st.run(t, fmt.Sprint("peer", i), 0, "hub")
		}
		time.Sleep(30 * time.Second)
		tx := chaintest.NewTx([]byte("pay"))
		if _, err := hub.client.PublishTxs(t.Context(), []chain.Tx{tx}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		given := func() (n int) {
			for i := range others {
				s := &streetSession{from: st.at("hub"), to: st.at(fmt.Sprint("peer", i))}
				if _, err := st.at("hub").host.Serve(t.Context(), s, wire.GetTxs{Hashes: []chain.Hash{tx.Hash}}); err == nil {
					n++
				}
			}
			return n
		}
		if n := given(); n != 6 {
			t.Errorf("%d peers were given the transaction at once, want the 6 that were told", n)
		}
		time.Sleep(time.Minute)
		if n := given(); n != others {
			t.Errorf("%d peers were given it a minute later, want all %d", n, others)
		}
	})
}

// Who passes a block on that is good has been of use; but not where anybody can make
// one, since then it proves nothing of who passed it on.
func TestABlockThatNothingProvesEarnsNothing(t *testing.T) {
	for _, unproven := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			st := &street{wires: map[string]*streetWire{}}
			maker := st.run(t, "maker", 0)
			taker := st.runAs(t, "taker", 0, func(c *starling.Config) { c.Static, c.OwnBlocksOnly = []string{"maker"}, unproven })
			time.Sleep(30 * time.Second)
			block := maker.toy.Next(maker.toy.Head().Header, chaintest.Make{})
			if _, err := maker.client.PublishBlock(t.Context(), block); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if head := taker.toy.Status().Head; head != block.Ref() {
				t.Fatalf("head %v, want %v", head, block.Ref())
			}
			score := st.at("taker").host.(wire.Scorer).Score("maker")
			if earned := score > 0; earned == unproven {
				t.Errorf("blocks unproven: %v, and the score of who passed one on is %v", unproven, score)
			}
		})
	}
}

// A block whose parent nobody here has cannot be weighed, and is sent to nobody;
// one whose parent is known goes on.
func TestABlockWithoutAKnownParentIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &street{wires: map[string]*streetWire{}}
		a := st.run(t, "a", 0)
		st.run(t, "b", 0, "a")
		time.Sleep(30 * time.Second)
		elsewhere := chaintest.NewChain(chaintest.Config{Seed: 1})
		made := elsewhere.Extend(3)
		if _, err := a.client.PublishBlock(t.Context(), made[2]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := st.at("b").blocks.Load(); n != 0 {
			t.Errorf("%d blocks without a known parent came", n)
		}
		if _, err := a.client.PublishBlock(t.Context(), made[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := st.at("b").blocks.Load(); n != 1 {
			t.Errorf("%d blocks came, want the one whose parent is known", n)
		}
	})
}

// A node that is behind takes no transactions, and charges nobody for sending
// them; once it is in sync it does.
func TestTransactionsWaitForTheSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &street{wires: map[string]*streetWire{}}
		old := st.run(t, "old", 2000)
		time.Sleep(time.Second)
		fresh := st.run(t, "fresh", 0, "old")
		held := make(chan struct{})
		fresh.toy.StallImport(held)
		time.Sleep(10 * time.Second)
		send := func(text string) chain.Hash {
			tx := chaintest.NewTx([]byte(text))
			if _, err := old.client.PublishTxs(t.Context(), []chain.Tx{tx}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			return tx.Hash
		}
		if h := send("early"); fresh.pool.Has(h) {
			t.Error("a node that is not in sync took a transaction")
		}
		close(held)
		time.Sleep(time.Minute)
		if got, want := fresh.toy.Status().Head, old.toy.Status().Head; got != want {
			t.Fatalf("not in sync: %v of %v", got, want)
		}
		if h := send("late"); !fresh.pool.Has(h) {
			t.Error("a node that is in sync took no transaction")
		}
		for _, p := range fresh.client.Peers() {
			if p.Score < 0 {
				t.Errorf("%s was charged: %v", p.Info.ID, p.Score)
			}
		}
	})
}

// Who is alone with peers that have no more is in sync as far as it can know; one
// that has more shows that it is not, and the gate shuts until that is here.
func TestTheGateShutsForThePeerThatHasMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &street{wires: map[string]*streetWire{}}
		young := st.run(t, "young", 0)
		time.Sleep(time.Second)
		old := st.run(t, "old", 2000)
		fresh := st.run(t, "fresh", 0, "young")
		time.Sleep(10 * time.Second)
		send := func(from *neighbour, text string) chain.Hash {
			tx := chaintest.NewTx([]byte(text))
			if _, err := from.client.PublishTxs(t.Context(), []chain.Tx{tx}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			return tx.Hash
		}
		if h := send(young, "first"); !fresh.pool.Has(h) {
			t.Error("a node whose peers have no more than it has took no transaction")
		}
		held := make(chan struct{})
		fresh.toy.StallImport(held)
		if err := fresh.client.Connect(t.Context(), "old"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		for name, from := range map[string]*neighbour{"early": young, "early too": old} {
			if h := send(from, name); fresh.pool.Has(h) {
				t.Errorf("%s: a node that is not in sync took a transaction", name)
			}
		}
		close(held)
		time.Sleep(time.Minute)
		if got, want := fresh.toy.Status().Head, old.toy.Status().Head; got != want {
			t.Fatalf("not in sync: %v of %v", got, want)
		}
		if h := send(old, "late"); !fresh.pool.Has(h) {
			t.Error("a node that is in sync took no transaction")
		}
		for _, p := range fresh.client.Peers() {
			if p.Score < 0 {
				t.Errorf("%s was charged: %v", p.Info.ID, p.Score)
			}
		}
	})
}

func TestRelayPolicyIsChecked(t *testing.T) {
	st := &street{wires: map[string]*streetWire{}}
	toy := chaintest.NewChain(chaintest.Config{Seed: 1})
	_, err := starling.New(starling.Config{Relay: "loud"}, toy, st.wire("a", toy.Status))
	if want := fmt.Sprintf("%q", "loud"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("New = %v, want an error that names %s", err, want)
	}
}

// Whoever may have fewer peers than a sync waits for does not wait for more.
func TestASyncWaitsForNoMorePeersThanThereMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &street{wires: map[string]*streetWire{}}
		old := st.run(t, "old", 300)
		time.Sleep(time.Second)
		fresh := st.runAs(t, "fresh", 0, func(c *starling.Config) {
			c.Static, c.MaxPeers, c.SyncPeers = []string{"old"}, 1, 5
		})
		time.Sleep(10 * time.Second)
		if got, want := fresh.toy.Status().Head, old.toy.Status().Head; got != want {
			t.Errorf("with all the peers that it may have it is at %v of %v", got, want)
		}
	})
}

// As the daemon sets it for a network before the Merge: a sync begins with five
// peers, or with all that there may be, or after ten seconds.
func TestASyncBeginsWithCompanyOrAfterItsTime(t *testing.T) {
	for _, tt := range []struct {
		peers, most int
		waits       bool
	}{{1, 50, true}, {5, 50, false}, {2, 3, true}, {3, 3, false}} {
		synctest.Test(t, func(t *testing.T) {
			st := &street{wires: map[string]*streetWire{}}
			var olds []string
			for i := range tt.peers {
				name := fmt.Sprintf("old%d", i)
				st.run(t, name, 300)
				olds = append(olds, name)
			}
			time.Sleep(time.Second)
			fresh := st.runAs(t, "fresh", 0, func(c *starling.Config) {
				c.Static, c.MaxPeers, c.SyncPeers, c.SyncWait = olds, tt.most, 5, 10*time.Second
			})
			time.Sleep(9 * time.Second)
			if head := fresh.toy.Status().Head.Number; (head == 0) != tt.waits {
				t.Errorf("with %d of %d peers it is at %d after 9 s", tt.peers, tt.most, head)
			}
			time.Sleep(10 * time.Second)
			if head := fresh.toy.Status().Head.Number; head != 300 {
				t.Errorf("with %d of %d peers it is at %d after 19 s", tt.peers, tt.most, head)
			}
		})
	}
}
