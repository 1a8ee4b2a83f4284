package ethereum

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// Under proof of work a block that is gossiped is taken if its parent is here and
// everything but its seal is right. Nothing below it is trusted for its sake.
func TestBlocksOfWorkAreTakenOnTopOfTheirParents(t *testing.T) {
	w := generate(t, configs()["all forks by block"], 12)
	l, err := ledger.Open("chain", ledger.Options{Family: w.family, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	bare := func(i int) chain.Block { return chain.Block{Header: w.blocks[i].Header, Body: w.blocks[i].Body} }
	if v := w.family.Check(bare(1)); v != chain.Ignored("work-not-checked") {
		t.Errorf("without a chain to look at: %v", v)
	}
	w.family.Attach(l)
	if _, err := l.Import(t.Context(), w.blocks[1:10]); err != nil {
		t.Fatal(err)
	}
	change := func(i int, f func(*types.Header)) chain.Block {
		_, h, err := decodeHeader(w.blocks[i].Header.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		f(h)
		b := bare(i)
		if b.Header, _, err = decodeHeader(encode(t, h)); err != nil {
			t.Fatal(err)
		}
		return b
	}
	beside, body := bare(10), bare(10)
	beside.Extra = w.blocks[10].Extra
	body.Body = mutate(body.Body, 3)
	for name, c := range map[string]struct {
		block chain.Block
		want  string
	}{
		"the next":                   {bare(10), "accept"},
		"one that is here":           {bare(8), "accept"},
		"without its parent":         {bare(11), "ignore: unknown-parent"},
		"another seal":               {change(10, func(h *types.Header) { h.Nonce[0]++ }), "accept"},
		"another difficulty":         {change(10, func(h *types.Header) { h.Difficulty.Lsh(h.Difficulty, 3) }), "reject: does-not-follow"},
		"another number":             {change(10, func(h *types.Header) { h.Number.SetUint64(9) }), "reject: does-not-follow"},
		"before its parent":          {change(10, func(h *types.Header) { h.Time -= 1000 }), "reject: does-not-follow"},
		"with receipts":              {beside, "reject: extra-in-gossip"},
		"with the body of another":   {chain.Block{Header: bare(10).Header, Body: bare(9).Body}, "reject: bad-body"},
		"with a body that is no one": {body, "reject: bad-body"},
	} {
		if v := w.family.Check(c.block); v.String() != c.want {
			t.Errorf("%s: %v, want %s", name, v, c.want)
		}
	}
	other := *w.family.c.Chain
	unknown, err := New(Config{Network: "test", Chain: &other, Genesis: w.blocks[0], Engine: "ibft"})
	if err != nil {
		t.Fatal(err)
	}
	unknown.Attach(l)
	if v := unknown.Check(bare(10)); v != chain.Ignored("work-not-checked") {
		t.Errorf("of an engine that nobody knows here: %v", v)
	}
}

// Old blocks of work are easy to make without end, beside any that is here: only
// those near the head are looked at.
func TestBlocksOfWorkAreTakenNearTheHead(t *testing.T) {
	w := generate(t, configs()["all forks by block"], 12)
	l, err := ledger.Open("chain", ledger.Options{Family: w.family, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.family.Attach(l)
	if _, err := l.Import(t.Context(), w.blocks[1:12]); err != nil {
		t.Fatal(err)
	}
	head := l.Status().Head.Number
	for i := uint64(1); i <= head; i++ {
		want := chain.Accepted()
		if i+7 < head {
			want = chain.Ignored("too-old")
		}
		if v := w.family.Check(chain.Block{Header: w.blocks[i].Header, Body: w.blocks[i].Body}); v != want {
			t.Errorf("block %d, the head at %d: %v, want %v", i, head, v, want)
		}
	}
}
