package sequenced_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

// Threats E-13 and T-01: a bundle is relayed whole, so a pool must not carry
// one on the strength of its good transactions while it has not looked at the
// signatures of others. A node that does would be charged by all that do look.
func TestABundleIsVouchedForWholeOrNotAtAll(t *testing.T) {
	f := family(t)
	l := open(t, f)
	p := pool(t, f, l, func(c *sequenced.PoolConfig) { c.PerSender = 2 })
	add(t, p, transfer(f, 2, 0, 1, 10), transfer(f, 3, 5, 1, 10), transfer(f, 3, 6, 1, 10))
	if err := p.OnHead(context.Background()); err != nil { // reads the accounts
		t.Fatal(err)
	}
	forged := func(tx chain.Tx) chain.Tx {
		b := bytes.Clone(tx.Bytes)
		b[len(b)-1] ^= 1
		return chain.Tx{Bytes: b}
	}
	known := forged(transfer(f, 2, 1, 1, 10))
	p.Add([]chain.Tx{known}) // rejected, and remembered
	fresh := byte(10)
	for name, bad := range map[string]chain.Tx{
		"was found forged before":     known,
		"its nonce is past the quota": forged(transfer(f, 3, 7, 1, 10)),
		"its nonce is far ahead":      forged(transfer(f, 2, 9, 1, 10)),
		"it replaces for less":        forged(transfer(f, 2, 0, 1, 1)),
	} {
		fresh++
		vs := p.Add([]chain.Tx{transfer(f, fresh, 0, 1, 10), bad})
		if vs[0].Action != chain.Accept {
			t.Fatalf("%s: the good one: %v", name, vs[0])
		}
		if vs[1].Action != chain.Reject {
			t.Errorf("%s: the forged one is %v, want reject: others will", name, vs[1])
		}
	}
	// The same, well signed, carries nobody's blame.
	vs := p.Add([]chain.Tx{transfer(f, 40, 0, 1, 10), transfer(f, 3, 7, 1, 10), transfer(f, 2, 9, 1, 10)})
	if vs[0].Action != chain.Accept || vs[1] != chain.Ignored("nonce-too-far-ahead") || vs[2] != chain.Ignored("nonce-too-far-ahead") {
		t.Errorf("a good bundle of unwanted transactions: %v", vs)
	}
}

// Threat T-02: looking at what is not wanted is bounded by what is.
func TestUnwantedTransactionsAreNotVerifiedWithoutEnd(t *testing.T) {
	f := family(t)
	l := open(t, f)
	p := pool(t, f, l, func(c *sequenced.PoolConfig) { c.PerSender = 1 })
	add(t, p, transfer(f, 2, 0, 1, 10))
	bundle := []chain.Tx{transfer(f, 9, 0, 1, 10)}
	for i := range 100 {
		bundle = append(bundle, transfer(f, 2, uint64(1+i), 1, 10))
	}
	vs := p.Add(bundle)
	if vs[0].Action != chain.Accept {
		t.Fatalf("the wanted one: %v", vs[0])
	}
	for _, v := range vs[1:] {
		if v != chain.Ignored(chain.Unchecked) {
			t.Fatalf("an unwanted one of many: %v, want %q, which keeps the bundle from being relayed", v, chain.Unchecked)
		}
	}
}

// Threat T-01: a forged transaction costs the most of all to find out; a bundle
// of them costs that once, and what comes after it in the bundle is not lost.
func TestOneForgedTransactionEndsTheWorkOnABundle(t *testing.T) {
	f := family(t)
	l := open(t, f)
	p := pool(t, f, l)
	bundle := []chain.Tx{transfer(f, 2, 0, 1, 10)}
	for i := range 20 {
		b := bytes.Clone(transfer(f, byte(50+i), 0, 1, 10).Bytes)
		b[len(b)-1] ^= 1
		bundle = append(bundle, chain.Tx{Bytes: b})
	}
	bundle = append(bundle, transfer(f, 3, 0, 1, 10))
	vs := p.Add(bundle)
	if vs[0].Action != chain.Accept || vs[1] != chain.Rejected("bad-signature") {
		t.Errorf("the good one %v, the first forged one %v", vs[0], vs[1])
	}
	for _, v := range vs[2:] {
		if v != chain.Ignored(chain.Unchecked) {
			t.Errorf("after a forged one: %v, want %q", v, chain.Unchecked)
		}
	}
	if vs := p.Add(bundle[len(bundle)-1:]); vs[0].Action != chain.Accept {
		t.Errorf("what came after the forged ones, from another: %v", vs[0])
	}
}

// grown is a ledger whose head is as high as the test says.
type grown struct {
	*ledger.Ledger
	number uint64
}

func (g *grown) Status() chain.Status {
	s := g.Ledger.Status()
	s.Head = chain.Ref{Number: g.number, Hash: chain.Hash{byte(g.number), byte(g.number >> 8), 1}}
	return s
}

func (g *grown) State(ctx context.Context, key []byte) ([]byte, chain.Ref, error) {
	v, _, err := g.Ledger.State(ctx, key)
	return v, g.Status().Head, err
}

// Threat T-02: what can never be included does not close the pool for good.
func TestStuckTransactionsAreLetGo(t *testing.T) {
	f := family(t)
	s := &grown{Ledger: open(t, f), number: 1}
	p, err := sequenced.NewPool(context.Background(), sequenced.PoolConfig{Family: f, State: s, MaxBytes: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	good := transfer(f, 2, 0, 1, 10)
	add(t, p, good)
	own := transfer(f, 3, 7, 1, 10) // stuck too, but ours
	if v := p.AddLocal(context.Background(), []chain.Tx{own})[0]; v.Action != chain.Accept {
		t.Fatal(v)
	}
	full := false
	for i := 0; !full; i++ {
		// No such account, and the first nonce is missing.
		tx := sequenced.NewData(f.Genesis(), key(byte(50+i)), 5, make([]byte, 1000), 1<<60)
		full = p.Add([]chain.Tx{tx})[0] == chain.Ignored("pool-full")
	}
	for range 16 {
		s.number++
		if err := p.OnHead(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := p.Get(good.Hash); !ok {
		t.Error("a transaction that can be included was let go")
	}
	if _, ok := p.Get(own.Hash); !ok {
		t.Error("one of our own was let go")
	}
	if n, _ := p.Len(); n != 2 {
		t.Errorf("%d transactions are left, want 2", n)
	}
	if p.Dropped()["stuck"] == 0 {
		t.Error("the drops are not counted")
	}
}
