package txpool

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAReaderThatLagsLosesTheOldest(t *testing.T) {
	f := NewFeed[int](2)
	ctx, cancel := context.WithCancel(t.Context())
	slow, fast := f.Subscribe(ctx), f.Subscribe(ctx)
	var lost []int
	for i := range 4 {
		lost = append(lost, f.Publish(i)...)
		if got := <-fast; got != i {
			t.Errorf("the reader that keeps up got %d, want %d", got, i)
		}
	}
	if !slices.Equal(lost, []int{0, 1}) {
		t.Errorf("lost %v, want the two oldest", lost)
	}
	cancel()
	var got []int
	for v := range slow {
		got = append(got, v)
	}
	if !slices.Equal(got, []int{2, 3}) {
		t.Errorf("the reader that lags got %v", got)
	}
}

// lane is a sender whose transactions weigh and offer what their bytes say.
type lane struct{ txs []chain.Tx }

func (l *lane) Tx() chain.Tx        { return l.txs[0] }
func (l *lane) Before(o *lane) bool { return cmp.Compare(l.txs[0].Kind, o.txs[0].Kind) > 0 }
func (l *lane) Next() bool          { l.txs = l.txs[1:]; return len(l.txs) > 0 }

func TestNoneOfASenderOvertakesItsOwn(t *testing.T) {
	tx := func(offer byte, size int) chain.Tx { return chain.Tx{Kind: offer, Bytes: make([]byte, size)} }
	lanes := func() []*lane {
		return []*lane{{[]chain.Tx{tx(1, 1), tx(9, 1)}}, {[]chain.Tx{tx(5, 1), tx(4, 10), tx(8, 1)}}}
	}
	kinds := func(txs []chain.Tx) (out []byte) {
		for _, t := range txs {
			out = append(out, t.Kind)
		}
		return out
	}
	for want, bounds := range map[string][2]int{"\x05\x04\x08\x01\x09": {0, 0}, "\x05\x04": {2, 0}, "\x05\x01\x09": {0, 5}} {
		if got := kinds(Pending(lanes(), bounds[0], bounds[1])); string(got) != want {
			t.Errorf("at most %d and %d bytes: %v, want %v", bounds[0], bounds[1], got, []byte(want))
		}
	}
}

// blocks is a chain of which only blocks are read.
type blocks struct {
	chain.Reader
	of map[chain.Ref]chain.Hash // to the parent
}

func (b blocks) Block(_ context.Context, r chain.Ref) (chain.Block, error) {
	parent, ok := b.of[r]
	if !ok {
		return chain.Block{}, chain.ErrNotFound
	}
	return chain.Block{Header: chain.Header{Ref: r, Parent: parent}}, nil
}

func TestTheWayBetweenTwoHeads(t *testing.T) {
	at := func(n uint64, branch byte) chain.Ref { return chain.Ref{Number: n, Hash: chain.Hash{byte(n), branch}} }
	b := blocks{of: map[chain.Ref]chain.Hash{}}
	for n := uint64(1); n <= 5; n++ {
		for _, branch := range []byte{0, 1} {
			parent := at(n-1, branch)
			if n <= 3 {
				parent = at(n-1, 0) // the branches part after block 2
			}
			b.of[at(n, branch)] = parent.Hash
		}
	}
	undone, done, whole, err := Between(t.Context(), b, at(4, 0), at(5, 1), 8)
	if err != nil || !whole || len(undone) != 2 || len(done) != 3 || undone[0].Ref() != at(4, 0) || done[2].Ref() != at(3, 1) {
		t.Errorf("undone %v, done %v, %v, %v", undone, done, whole, err)
	}
	if _, _, whole, err := Between(t.Context(), b, at(4, 0), at(5, 1), 4); whole || err != nil {
		t.Errorf("a way that is too long is %v, %v", whole, err)
	}
	if _, _, whole, err := Between(t.Context(), b, at(7, 0), at(5, 1), 8); whole || err != nil {
		t.Errorf("from a block that is gone it is %v, %v", whole, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err := Between(ended, b, at(7, 0), at(5, 1), 8); err == nil {
		t.Error("an ended context gives no error")
	}
}

// What is accepted of this node's own is in the journal; what a full disk keeps
// out of it is in the pool no more.
func TestOwnTransactionsAreJournalledOrRefused(t *testing.T) {
	disk := vfs.NewMem()
	held := map[string]bool{}
	h := Holder{
		Admit: func(b []byte, _ bool) (chain.Tx, chain.Verdict) {
			if bytes.HasPrefix(b, []byte("bad")) {
				return chain.Tx{}, chain.Rejected("costly")
			}
			held[string(b)] = true
			return chain.Tx{Hash: chain.Hash{b[0]}, Bytes: b}, chain.Accepted()
		},
		Drop: func(h chain.Hash, _ string) { delete(held, string(h[:1])) },
		Own: func() (own []chain.Tx) {
			for b := range held {
				own = append(own, chain.Tx{Bytes: []byte(b)})
			}
			return own
		},
	}
	in := NewIntake(h, "costly", slog.New(slog.DiscardHandler))
	if err := in.Restore(disk, "j", 100); err != nil {
		t.Fatal(err)
	}
	// Nothing is taken before the first Rotate, as on a disk that fails.
	if vs := in.AddLocal(t.Context(), []chain.Tx{{Bytes: []byte("a")}}); vs[0].Reason != "journal-failed" || len(held) > 0 {
		t.Errorf("without a journal: %v, held %v", vs, held)
	}
	if err := in.Rotate(true); err != nil {
		t.Fatal(err)
	}
	if vs := in.AddLocal(t.Context(), []chain.Tx{{Bytes: []byte("a")}}); vs[0].Action != chain.Accept {
		t.Errorf("verdict %v", vs)
	}
	added, vs := in.Add([]chain.Tx{{Bytes: []byte("b")}, {Bytes: []byte("bad")}, {Bytes: []byte("c")}})
	if len(added) != 1 || vs[1].Reason != "costly" || vs[2].Reason != chain.Unchecked || held["c"] {
		t.Errorf("after what was costly: %v", vs)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	clear(held)
	again := NewIntake(h, "costly", slog.New(slog.DiscardHandler))
	if err := again.Restore(disk, "j", 100); err != nil || !held["a"] || len(held) != 1 {
		t.Errorf("restored %v, %v; want our own alone", held, err)
	}
}

// held is a transaction that costs its bytes; those of kind 1 are our own.
type held struct{ tx chain.Tx }

func (h held) Tx() chain.Tx       { return h.tx }
func (h held) Cost() int          { return len(h.tx.Bytes) }
func (h held) Own() bool          { return h.tx.Kind == 1 }
func (h held) Compare(o held) int { return bytes.Compare(h.tx.Bytes, o.tx.Bytes) }

func TestOwnTransactionsAreSummedAndListedApart(t *testing.T) {
	h := NewHeld[held]()
	for i, b := range []string{"of a peer", "ours too", "ours"} {
		h.Put(held{chain.Tx{Hash: chain.Hash{byte(i)}, Kind: byte(min(i, 1)), Bytes: []byte(b)}})
	}
	if h.Others != (Sum{1, 9}) || h.Ours != (Sum{2, 12}) {
		t.Errorf("others %+v, ours %+v", h.Others, h.Ours)
	}
	if own := h.Local(); len(own) != 2 || string(own[0].Bytes) != "ours" {
		t.Errorf("our own are %v, want two in their order", own)
	}
	h.Remove(h.ByHash[chain.Hash{1}])
	if _, ok := h.Get(chain.Hash{1}); ok || h.Ours != (Sum{1, 4}) {
		t.Errorf("what was removed is there: %v; ours %+v", ok, h.Ours)
	}
	if n, size := h.Len(); n != 2 || size != 13 {
		t.Errorf("%d of %d bytes, want 2 of 13", n, size)
	}
}
