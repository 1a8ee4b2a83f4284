package devp2p

import (
	"context"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/starlingp2p/starling/chain"
)

// Transactions with blobs go from geth to us and from us to geth, under both
// versions of eth: announced with their kind and size, fetched with their
// sidecars, and verified by whoever fetched them. Two geths know only us, so
// that what one has of the other came through us.
func TestBlobTransactionsGoBothWays(t *testing.T) {
	const blocks, each = 2, 2
	forks := map[string]any{"shanghai": genesisTime, "cancun": genesisTime, "prague": genesisTime, "osaka": genesisTime, "txs": 1}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	from, to := startGethAt(t, 69, blocks, ip(), forks), startGethAt(t, 70, blocks, ip(), forks)
	p := startPooled(t, from.Genesis)
	for _, g := range []*gethNode{from, to} {
		g.Do(map[string]any{"do": "synced"}, nil)
		p.meet(t, ctx, g.Enode)
	}
	target, _ := from.block(t, blocks)
	p.follow(t, ctx, target)

	var theirs, ours []struct {
		Hash  string
		Bytes hexutil.Bytes
	}
	from.Do(map[string]any{"do": "blobs", "number": blocks, "count": each}, &theirs)
	var sent []string
	for _, tx := range theirs {
		sent = append(sent, tx.Hash)
	}
	p.has(t, ctx, sent)
	to.has(t, sent)

	from.Do(map[string]any{"do": "blobs", "number": blocks + each, "count": each, "mode": "elsewhere"}, &ours)
	for _, tx := range ours {
		h, err := chain.ParseHash(tx.Hash)
		if err != nil {
			t.Fatal(err)
		}
		vs, err := p.Client().PublishTxs(ctx, []chain.Tx{{Hash: h, Kind: 3, Bytes: tx.Bytes}})
		if err != nil || vs[0].Action != chain.Accept {
			t.Fatalf("our own transaction is %+v: %v", vs, err)
		}
		sent = append(sent, tx.Hash)
	}
	for _, g := range []*gethNode{from, to} {
		g.has(t, sent)
	}
	kept(t, []*gethNode{from, to}, p)
	for k, c := range p.wire.Traffic() {
		if k.Type == "transactions" && c.Messages > 0 {
			t.Errorf("blobs were pushed: %d messages of %s, inbound %v", c.Messages, k.Type, k.Inbound)
		}
	}
}
