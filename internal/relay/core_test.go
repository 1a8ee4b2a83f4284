package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// bench is one core and its effects.
type bench struct {
	t    *testing.T
	core *Core
	now  time.Time
}

func newBench(t *testing.T, cfg CoreConfig, peers ...peer.ID) *bench {
	if cfg.Policy.Push == nil {
		cfg.Policy = Geth()
	}
	cfg.Rand = rand.New(rand.NewPCG(1, 2))
	b := &bench{t, NewCore(cfg), time.Unix(1_000_000, 0)}
	b.step(Gate{true})
	for _, id := range peers {
		b.step(Joined{id})
		b.step(Pending{To: id})
	}
	return b
}

func (b *bench) step(ev Event) []Effect { return b.core.Step(b.now, ev) }

func (b *bench) wait(d time.Duration) []Effect {
	b.now = b.now.Add(d)
	return b.step(Tick{})
}

// only gives the effects of one kind.
func only[E Effect](es []Effect) (out []E) {
	for _, e := range es {
		if e, ok := e.(E); ok {
			out = append(out, e)
		}
	}
	return out
}

func id(n byte) wire.TxID { return wire.TxID{Hash: chain.Hash{n}, Kind: 2, Size: 100} }

func ids(n int) (out []wire.TxID) {
	for i := range n {
		out = append(out, wire.TxID{Hash: chain.Hash{byte(i), byte(i >> 8), byte(i >> 16), 1}, Size: 100})
	}
	return out
}

var eth = CoreConfig{AnnounceTxs: true, PushBlocks: true, AnnounceBlocks: true}

func TestAnnouncedIsAskedOfOnePeerAtATime(t *testing.T) {
	b := newBench(t, eth, "a", "b", "c")
	b.step(Announced{From: "a", Txs: []wire.TxID{id(1), id(2)}})
	b.step(Announced{From: "b", Txs: []wire.TxID{id(1), id(2)}})
	if f := only[Fetch](b.wait(400 * time.Millisecond)); f != nil {
		t.Fatalf("asked %v before the time in which somebody may push it", f)
	}
	f := only[Fetch](b.wait(200 * time.Millisecond))
	if len(f) != 1 || len(f[0].Txs) != 2 {
		t.Fatalf("asked %v, want one peer for both", f)
	}
	first, second := f[0].From, peer.ID("a")
	if first == "a" {
		second = "b"
	}
	f = only[Fetch](b.step(Fetched{From: first, Got: []wire.TxID{id(1)}}))
	if len(f) != 1 || f[0].From != second || len(f[0].Txs) != 1 || f[0].Txs[0].Hash != id(2).Hash {
		t.Fatalf("what %s did not have is asked as %v, want of %s", first, f, second)
	}
	if f = only[Fetch](b.step(Fetched{From: second})); f != nil {
		t.Fatalf("nobody is left to ask, but %v", f)
	}
	if got := b.core.Drops()["not-delivered"]; got != 1 {
		t.Errorf("%d counted as not delivered, want 1", got)
	}
}

func TestPushedIsNotAsked(t *testing.T) {
	b := newBench(t, eth, "a", "b")
	b.step(Announced{From: "a", Txs: []wire.TxID{id(1)}})
	b.step(Seen{From: "b", Hashes: []chain.Hash{id(1).Hash}})
	b.step(Added{[]Tx{{TxID: id(1)}}})
	if f := only[Fetch](b.wait(time.Minute)); f != nil {
		t.Errorf("asked %v for what is here", f)
	}
	b.step(Announced{From: "a", Txs: []wire.TxID{id(2)}})
	b.step(Seen{From: "b", Hashes: []chain.Hash{id(2).Hash}})
	b.step(Settled{Hashes: []chain.Hash{id(2).Hash}}) // the pool does not want it
	if f := only[Fetch](b.wait(time.Minute)); f != nil {
		t.Errorf("asked %v for what the pool has refused", f)
	}
}

func TestWhatIsOnlyEverAnnouncedIsAskedAtOnce(t *testing.T) {
	cfg := eth
	cfg.OnlyAnnounced = 3
	b := newBench(t, cfg, "a", "b")
	blob := wire.TxID{Hash: chain.Hash{3}, Kind: 3, Size: 100}
	if f := only[Fetch](b.step(Announced{From: "a", Txs: []wire.TxID{blob}})); len(f) != 1 {
		t.Errorf("asked %v, want at once", f)
	}
	b.step(Seen{From: "a", Hashes: []chain.Hash{blob.Hash, {4}}})
	es := b.step(Added{[]Tx{{TxID: blob}, {TxID: wire.TxID{Hash: chain.Hash{4}, Size: 5000}}}})
	if p := only[Push](es); p != nil {
		t.Errorf("pushed %v, want blobs and large ones announced only", p)
	}
	if a := only[Announce](es); len(a) != 1 || a[0].To != "b" || len(a[0].Txs) != 2 {
		t.Errorf("announced %v", a)
	}
}

// Threat Z-03: who does not answer is asked less and less, and pays at the
// third silence in a row; a refusal costs nothing.
func TestSilentPeersRestAndPay(t *testing.T) {
	b := newBench(t, eth, "a")
	var rests []time.Duration
	for n := range byte(6) {
		b.step(Announced{From: "a", Txs: []wire.TxID{id(n)}})
		from := b.now
		for only[Fetch](b.wait(100*time.Millisecond)) == nil {
			if b.now.Sub(from) > time.Hour {
				t.Fatal("not asked again")
			}
		}
		rests = append(rests, b.now.Sub(from).Round(time.Second))
		charged := only[Charge](b.step(Fetched{From: "a", Failed: true, Silent: true}))
		if want := (n+1)%3 == 0; (len(charged) == 1) != want {
			t.Errorf("silence %d: charged %v", n+1, charged)
		}
	}
	if !slices.IsSorted(rests) || rests[5] < 20*time.Second {
		t.Errorf("rests %v, want growing ones", rests)
	}
	for range 9 {
		b.step(Announced{From: "a", Txs: []wire.TxID{id(99)}})
		b.wait(2 * time.Minute)
		if charged := only[Charge](b.step(Fetched{From: "a", Failed: true})); charged != nil {
			t.Fatalf("a refusal was charged: %v", charged)
		}
	}
}

// Threat T-07: a peer whose delivery differs from its own announcement pays;
// who announced the same transaction honestly does not.
func TestOnlyTheDelivererOfAFalseAnnouncePays(t *testing.T) {
	b := newBench(t, eth, "liar", "honest")
	b.step(Announced{From: "liar", Txs: []wire.TxID{{Hash: chain.Hash{1}, Kind: 2, Size: 50}}})
	b.step(Announced{From: "honest", Txs: []wire.TxID{id(1)}})
	asked := only[Fetch](b.wait(time.Second))[0].From
	charged := only[Charge](b.step(Fetched{From: asked, Got: []wire.TxID{id(1)}}))
	if asked == "liar" && (len(charged) != 1 || charged[0].Peer != "liar") || asked == "honest" && charged != nil {
		t.Errorf("%s delivered: charged %v", asked, charged)
	}
	b.step(Announced{From: "liar", Txs: []wire.TxID{{Hash: chain.Hash{2}, Kind: 3, Size: 100}}})
	b.wait(time.Second)
	if charged := only[Charge](b.step(Fetched{From: "liar", Got: []wire.TxID{id(2)}})); len(charged) != 1 || charged[0].Offense != peer.FalseAnnounce {
		t.Errorf("a wrong kind: charged %v", charged)
	}
	b.step(Announced{From: "honest", Txs: []wire.TxID{{Hash: chain.Hash{5}}}}) // a wire that announces hashes only
	b.wait(time.Second)
	if charged := only[Charge](b.step(Fetched{From: "honest", Got: []wire.TxID{id(5)}})); charged != nil {
		t.Errorf("no kind and size were announced: charged %v", charged)
	}
}

// Threat T-03: of a million announced hashes 4096 wait, and every thousand over
// that costs one low charge.
func TestAnnounceFloodIsBoundedAndPays(t *testing.T) {
	b := newBench(t, eth, "a", "b")
	var charged int
	for i := range 100 {
		txs := make([]wire.TxID, 10_000)
		for j := range txs {
			txs[j].Hash = chain.Hash{byte(i), byte(j), byte(j >> 8), 7}
		}
		charged += len(only[Charge](b.step(Announced{From: "a", Txs: txs})))
	}
	if n := len(b.core.wants); n != maxAnnounced {
		t.Errorf("%d wait, want %d", n, maxAnnounced)
	}
	if want := (1_000_000 - maxAnnounced) / 1000; charged != want {
		t.Errorf("charged %d times, want %d", charged, want)
	}
	b.step(Announced{From: "b", Txs: []wire.TxID{id(1)}})
	if f := only[Fetch](b.wait(time.Second)); len(f) != 2 {
		t.Errorf("asked %d peers, want the honest one too", len(f))
	}
	b.step(Left{"a"})
	if n := len(b.core.wants); n != 1 {
		t.Errorf("%d wait after the flooder left, want 1", n)
	}
}

// A peer that is now and then over the bound is no flooder, however long it
// stays.
func TestAFewAnnouncementsTooManyAreForgotten(t *testing.T) {
	b := newBench(t, eth, "a")
	next := uint64(0)
	announce := func(n int) []Charge {
		txs := make([]wire.TxID, n)
		for i := range txs {
			next++
			binary.BigEndian.PutUint64(txs[i].Hash[:], next)
		}
		return only[Charge](b.step(Announced{From: "a", Txs: txs}))
	}
	announce(maxAnnounced)
	for range 10 {
		if got := announce(floodUnit / 2); len(got) != 0 {
			t.Fatalf("charged %v", got)
		}
		b.wait(floodTime)
		announce(maxAnnounced - len(b.core.wants)) // what timed out meanwhile
	}
}

func TestNothingIsFetchedWhileNotInSync(t *testing.T) {
	b := newBench(t, eth, "a")
	b.step(Gate{false})
	b.step(Announced{From: "a", Txs: []wire.TxID{id(1)}})
	if f := only[Fetch](b.wait(time.Minute)); f != nil {
		t.Errorf("asked %v", f)
	}
	if b.core.Drops()["not-synced"] != 1 {
		t.Errorf("drops %v", b.core.Drops())
	}
}

// What was announced and asked for while the chain was taken to be in sync is
// let go once it was not; it may be announced again later.
func TestTheGateMayShutAgain(t *testing.T) {
	b := newBench(t, eth, "a", "b")
	b.step(Announced{From: "a", Txs: []wire.TxID{id(1)}})
	if f := only[Fetch](b.wait(time.Second)); len(f) != 1 {
		t.Fatalf("asked %v", f)
	}
	b.step(Announced{From: "b", Txs: []wire.TxID{id(2)}})
	b.step(Gate{false})
	if es := b.step(Fetched{From: "a", Failed: true, Silent: true}); len(es) != 0 {
		t.Errorf("%v after the gate was shut", es)
	}
	if es := b.wait(time.Minute); len(es) != 0 || !b.core.Next().IsZero() {
		t.Errorf("%v, and something waits until %v, after the gate was shut", es, b.core.Next())
	}
	b.step(Gate{true})
	b.step(Announced{From: "b", Txs: []wire.TxID{id(1), id(2)}})
	if f := only[Fetch](b.wait(time.Second)); len(f) != 1 || f[0].From != "b" || len(f[0].Txs) != 2 {
		t.Errorf("asked %v once the gate is open again", f)
	}
}

func TestARequestIsBoundedInCountAndBytes(t *testing.T) {
	b := newBench(t, eth, "a")
	b.step(Announced{From: "a", Txs: ids(1000)})
	f := only[Fetch](b.wait(time.Second))
	if len(f) != 1 || len(f[0].Txs) != fetchTxs {
		t.Fatalf("asked for %d, want %d", len(f[0].Txs), fetchTxs)
	}
	large := newBench(t, eth, "a")
	large.step(Announced{From: "a", Txs: []wire.TxID{
		{Hash: chain.Hash{1}, Size: 100 << 10}, {Hash: chain.Hash{2}, Size: 100 << 10}, {Hash: chain.Hash{3}, Size: 1 << 31},
	}})
	es := large.wait(time.Second)
	for range 3 {
		f := only[Fetch](es)
		if len(f) != 1 || len(f[0].Txs) != 1 {
			t.Fatalf("asked %v, want one at a time", f)
		}
		es = large.step(Fetched{From: "a", Got: f[0].Txs})
	}
}

func TestNewPeersHearOfThePoolOnePackAtATime(t *testing.T) {
	b := newBench(t, eth)
	for _, p := range []peer.ID{"a", "b", "c"} {
		if r := only[ReadPending](b.step(Joined{p})); len(r) != 1 {
			t.Fatal("the pool is not read for a new peer")
		}
	}
	pool := ids(6000)
	var under []Announce
	for _, p := range []peer.ID{"a", "b", "c"} {
		under = append(under, only[Announce](b.step(Pending{To: p, Txs: pool}))...)
	}
	told := map[peer.ID]int{}
	for packs := 0; ; packs++ {
		if len(under) == 0 {
			break
		}
		if len(under) != 1 {
			t.Fatalf("%d packs under way, want 1", len(under))
		}
		if n := len(under[0].Txs) * announceBytes; n > packBytes {
			t.Fatalf("a pack of %d bytes, want at most %d", n, packBytes)
		}
		fails := under[0].To == "b"
		if fails && told["b"] > 0 {
			t.Fatal("b is told more after it failed")
		}
		told[under[0].To] += len(under[0].Txs)
		under = only[Announce](b.step(Sent{under[0].To, Announces, fails}))
	}
	if told["a"] != 6000 || told["c"] != 6000 {
		t.Errorf("told %v, want all to a and c", told)
	}
	if b.core.txs.has(b.core.byID["a"].n, pool[0].Hash) != true {
		t.Error("what was told is not known to be known")
	}
}

func TestQueuesToAPeerThatDoesNotReadAreBounded(t *testing.T) {
	b := newBench(t, eth, "a", "b")
	for i := range 10 {
		txs := make([]Tx, 1000)
		for j := range txs {
			txs[j] = Tx{TxID: wire.TxID{Hash: chain.Hash{byte(i), byte(j), byte(j >> 8)}, Size: 200}, Sender: "s"}
		}
		b.step(Added{txs})
	}
	for _, p := range b.core.peers {
		if len(p.pushes) > maxQueued || len(p.announces) > maxQueued {
			t.Errorf("%s: %d pushes and %d announces wait", p.id, len(p.pushes), len(p.announces))
		}
	}
	if b.core.Drops()["queue-full"] == 0 {
		t.Error("the drops were not counted")
	}
}

func TestBlocksGoToTheRootAndAreAnnouncedOnceCanonical(t *testing.T) {
	var peers []peer.ID
	for i := range 16 {
		peers = append(peers, peer.ID('a'+rune(i)))
	}
	b := newBench(t, eth, peers...)
	block := chain.Block{Header: chain.Header{Ref: chain.Ref{Number: 5, Hash: chain.Hash{5}}}}
	es := b.step(Checked{From: "a", Block: block, Weight: chain.WeightOf(77)})
	pushed := map[peer.ID]bool{}
	for _, p := range only[PushBlock](es) {
		pushed[p.To] = true
		if p.Weight != chain.WeightOf(77) {
			t.Errorf("weight %v", p.Weight.Big())
		}
	}
	if len(pushed) != 4 || pushed["a"] { // the root of 15
		t.Errorf("pushed to %v, want 4 of those that lack it", pushed)
	}
	if es := b.step(Checked{From: "b", Block: block}); only[PushBlock](es) != nil {
		t.Error("pushed again")
	}
	for id := range pushed {
		b.step(Sent{id, Blocks, false})
	}
	es = b.step(Imported{[]chain.Ref{block.Ref(), {Number: 4, Hash: chain.Hash{4}}}})
	told := only[AnnounceBlock](es)
	if len(told) != 16-4-2 {
		t.Errorf("announced to %d, want the 10 that lack it", len(told))
	}
	for _, a := range told {
		if pushed[a.To] || a.To == "a" || a.To == "b" || a.Ref != block.Ref() {
			t.Errorf("announced %v to %s", a.Ref, a.To)
		}
	}
	if es := b.step(Imported{[]chain.Ref{block.Ref()}}); len(es) != 0 {
		t.Errorf("announced again: %v", es)
	}
}

// Where a sync has ended is told once, to those that do not have it, and only
// over a wire whose peers learn of blocks by being told.
func TestTheEndOfASyncIsAnnounced(t *testing.T) {
	b := newBench(t, eth, "a", "b", "c")
	head := chain.Ref{Number: 5, Hash: chain.Hash{5}}
	b.step(BlockSeen{"a", head.Hash})
	told := map[peer.ID]bool{}
	for _, a := range only[AnnounceBlock](b.step(Synced{head})) {
		told[a.To] = a.Ref == head
	}
	if len(told) != 2 || !told["b"] || !told["c"] {
		t.Errorf("told %v, want b and c", told)
	}
	if es := b.step(Synced{head}); len(es) != 0 {
		t.Errorf("told again: %v", es)
	}
	quiet := eth
	quiet.PushBlocks = false
	if es := newBench(t, quiet, "a").step(Synced{head}); len(es) != 0 {
		t.Errorf("told where nobody is pushed to: %v", es)
	}
	b.step(Gate{false})
	if es := b.step(Synced{chain.Ref{Number: 6, Hash: chain.Hash{6}}}); len(es) != 0 {
		t.Errorf("told while not in sync: %v", es)
	}
}

func TestNoBlockIsToldOfWhileNotInSync(t *testing.T) {
	b := newBench(t, eth, "a", "b")
	b.step(Gate{false})
	block := chain.Block{Header: chain.Header{Ref: chain.Ref{Number: 5, Hash: chain.Hash{5}}}}
	if es := append(b.step(Checked{Block: block}), b.step(Imported{[]chain.Ref{block.Ref()}})...); len(es) != 0 {
		t.Errorf("told %v", es)
	}
}

func TestOneSendersTransactionsTakeOneWay(t *testing.T) {
	b := newBench(t, eth, "a", "b", "c", "d", "e", "f", "g", "h", "i")
	first := map[string][]peer.ID{}
	for n := range byte(60) {
		sender := string(rune('x' + n%3))
		var to []peer.ID
		for _, p := range only[Push](b.step(Added{[]Tx{{TxID: id(n), Sender: sender}}})) {
			to = append(to, p.To)
			b.step(Sent{p.To, Pushes, false})
		}
		slices.Sort(to)
		if have := first[sender]; have == nil {
			first[sender] = to
		} else if !slices.Equal(have, to) {
			t.Fatalf("sender %s went to %v, then to %v", sender, have, to)
		}
		if len(to) != 3 {
			t.Fatalf("pushed to %v, want 3 of 9", to)
		}
	}
}
