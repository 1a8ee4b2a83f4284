package serve_test

import (
	"context"
	"slices"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/serve"
	"github.com/starlingp2p/starling/wire"
)

// receiptChain has receipts of blocks with an even number.
type receiptChain struct{ fakeChain }

func (c *receiptChain) Block(ctx context.Context, ref chain.Ref) (chain.Block, error) {
	b, err := c.fakeChain.Block(ctx, ref)
	if err == nil && b.Ref().Number%2 == 0 {
		b.Extra = make([]byte, 1000)
		b.Extra[0] = byte(b.Ref().Number)
	}
	return b, err
}

func TestReceiptsAreTheExtraOfBlocks(t *testing.T) {
	s := serve.New(serve.Config{Chain: &receiptChain{fakeChain{head: 9, size: 50}}})
	ask := wire.GetReceipts{Hashes: []chain.Hash{hash(4), {}, hash(5), {9}, hash(2)}}
	resp, err := s.Serve(t.Context(), alice, ask)
	if err != nil {
		t.Fatal(err)
	}
	got := resp.(wire.Receipts)
	if !slices.Equal(got.Hashes, []chain.Hash{hash(4), hash(2)}) || len(got.Receipts) != 2 || got.Receipts[0][0] != 4 || got.Receipts[1][0] != 2 {
		t.Errorf("got the receipts of %v, want of blocks 4 and 2", got.Hashes)
	}
	if n := s.Counters().Served["receipts"]; n != 1 {
		t.Errorf("%d answers with receipts are counted, want 1", n)
	}
	_, err = s.Serve(t.Context(), alice, wire.GetReceipts{Hashes: []chain.Hash{hash(3), {9}}})
	wantRefusal(t, err, wire.RefusedNotFound, "")
	resp, err = s.Serve(t.Context(), alice, wire.GetReceipts{})
	if err != nil || len(resp.(wire.Receipts).Hashes) != 0 {
		t.Errorf("nothing was asked for: %v, %v", resp, err)
	}
}

// Threat M-05: whoever asks for many gets no more than the bounds of an answer.
func TestReceiptsAreBounded(t *testing.T) {
	c := &receiptChain{fakeChain{head: 400, size: 50}}
	all := make([]chain.Hash, 401)
	for i := range all {
		all[i] = hash(uint64(i))
	}
	for _, tt := range []struct {
		cfg  serve.Config
		want int
	}{
		{serve.Config{Chain: c}, 128}, // of 256 blocks, half have some
		{serve.Config{Chain: c, AnswerMax: 3500}, 3},
		{serve.Config{Chain: c, AnswerMax: 10}, 1},
		{serve.Config{Chain: c, MaxBlocks: 8}, 4},
	} {
		resp, err := serve.New(tt.cfg).Serve(t.Context(), alice, wire.GetReceipts{Hashes: all})
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.(wire.Receipts); len(got.Receipts) != tt.want || len(got.Hashes) != tt.want {
			t.Errorf("%d bytes, %d blocks: receipts of %d, want %d", tt.cfg.AnswerMax, tt.cfg.MaxBlocks, len(got.Receipts), tt.want)
		}
	}
}
