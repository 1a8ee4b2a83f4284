package sequenced_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/starlingp2p/starling/chain"
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
		if v != chain.Ignored(sequenced.Unchecked) {
			t.Fatalf("an unwanted one of many: %v, want %q, which keeps the bundle from being relayed", v, sequenced.Unchecked)
		}
	}
}
