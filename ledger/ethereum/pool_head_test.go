package ethereum

import (
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// blockWith makes a child of a block with those transactions. Its state is
// nobody's.
func blockWith(t *testing.T, parent chain.Block, salt byte, txs ...chain.Tx) chain.Block {
	t.Helper()
	_, up, err := decodeHeader(parent.Header.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var body types.Body
	for _, raw := range txs {
		tx := new(types.Transaction)
		if err := tx.UnmarshalBinary(raw.Bytes); err != nil {
			t.Fatal(err)
		}
		body.Transactions = append(body.Transactions, tx)
	}
	body.Withdrawals = types.Withdrawals{}
	h := types.CopyHeader(up)
	h.ParentHash, h.Number, h.Time = common.Hash(parent.Ref().Hash), new(big.Int).Add(up.Number, big.NewInt(1)), up.Time+12
	h.Extra, h.TxHash = []byte{salt}, types.DeriveSha(types.Transactions(body.Transactions), trie.NewStackTrie(nil))
	ch, _, err := decodeHeader(encode(t, h))
	if err != nil {
		t.Fatal(err)
	}
	return chain.Block{Header: ch, Body: encode(t, &body)}
}

func imports(t *testing.T, l *ledger.Ledger, p *Pool, blocks ...chain.Block) {
	t.Helper()
	if n, err := l.Import(t.Context(), blocks); err != nil || n != len(blocks) {
		t.Fatalf("import of %d: %d, %v", len(blocks), n, err)
	}
	if got, want := l.Status().Head, blocks[len(blocks)-1].Ref(); got != want {
		t.Fatalf("the head is %v, want %v", got, want)
	}
	if err := p.OnHead(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPoolDropsWhatABlockUsed(t *testing.T) {
	f := testFamily(t, mergedConfig())
	p, l := poolOf(t, f)
	a0, a1, a2 := transfer(t, 1, 0, gwei), transfer(t, 1, 1, gwei), transfer(t, 1, 2, gwei)
	b0, rival := transfer(t, 2, 0, 2*gwei), transfer(t, 2, 0, 3*gwei)
	add(t, p, "accept", a0, a1, a2, b0)
	imports(t, l, p, blockWith(t, f.c.Genesis, 0, a1, rival)) // which says that a0 was before
	wantPending(t, p, a2)
	for _, gone := range []chain.Tx{a1, rival} {
		if _, ok := p.Get(gone.Hash); ok || !p.Has(gone.Hash) {
			t.Error("a transaction of a block is still given, or would be fetched again")
		}
		add(t, p, "ignore: nonce-used", gone)
	}
	add(t, p, "ignore: nonce-used", a0)
	// Threat T-02: nonces that are far ahead only take up room.
	add(t, p, "ignore: nonce-too-far-ahead", transfer(t, 1, 2+DefaultPerSender, gwei))
}

func TestPoolTakesBackWhatAReorganisationUndid(t *testing.T) {
	f := testFamily(t, mergedConfig())
	p, l := poolOf(t, f)
	a0, b0 := transfer(t, 1, 0, gwei), transfer(t, 2, 0, 2*gwei)
	add(t, p, "accept", a0, b0)
	imports(t, l, p, blockWith(t, f.c.Genesis, 0, a0, b0))
	wantPending(t, p)
	one := blockWith(t, f.c.Genesis, 1, b0)
	imports(t, l, p, one, blockWith(t, one, 1))
	wantPending(t, p, a0)
}

// A node that was away, or syncs, finds its own transactions by their hashes.
func TestPoolFollowsALeapOfTheHead(t *testing.T) {
	f := testFamily(t, mergedConfig())
	p, l := poolOf(t, f)
	used, waits := transfer(t, 1, 0, gwei), transfer(t, 1, 1, gwei)
	add(t, p, "accept", used, waits)
	blocks := []chain.Block{blockWith(t, f.c.Genesis, 0, used)}
	for range walkBlocks + 1 {
		blocks = append(blocks, blockWith(t, blocks[len(blocks)-1], 0))
	}
	imports(t, l, p, blocks...)
	wantPending(t, p, waits)
}

// Threat T-02: what never gets into a block does not stay for ever.
func TestPoolLetsTransactionsGrowOld(t *testing.T) {
	f := testFamily(t, mergedConfig())
	synctest.Test(t, func(t *testing.T) {
		p, l := poolOf(t, f)
		own := transfer(t, 1, 7, gwei)
		p.AddLocal(t.Context(), []chain.Tx{own})
		old := transfer(t, 2, 7, gwei)
		add(t, p, "accept", old)
		time.Sleep(DefaultLifetime)
		young := transfer(t, 3, 7, 2*gwei)
		add(t, p, "accept", young)
		time.Sleep(time.Second)
		imports(t, l, p, blockWith(t, f.c.Genesis, 0))
		wantPending(t, p, young, own)
	})
}

// The base fee of a new head decides anew who is the cheapest.
func TestPoolOrdersByTheTipAtTheHead(t *testing.T) {
	f := testFamily(t, mergedConfig())
	p, l := poolOf(t, f)
	tight := dynamic(0, 3*gwei)
	tight.GasFeeCap = big.NewInt(3 * gwei) // at a base fee of 1 gwei it tips 2
	a, b := signed(t, key(t, 1), tight), transfer(t, 2, 0, gwei)
	add(t, p, "accept", a, b)
	wantPending(t, p, a, b)
	next := blockWith(t, f.c.Genesis, 0)
	_, h, _ := decodeHeader(next.Header.Bytes)
	h.BaseFee = big.NewInt(5 * gwei / 2)
	next.Header, _, _ = decodeHeader(encode(t, h))
	imports(t, l, p, next)
	wantPending(t, p, b, a)
}
