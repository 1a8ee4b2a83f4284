package eth

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/starlingp2p/starling/chain"
)

// What a header says of its block's contents is what the contents are found to
// be, by the roots that go-ethereum derives.
func TestRootsAreThoseOfTheHeader(t *testing.T) {
	to := common.Address{7}
	txs := []*types.Transaction{
		types.NewTx(&types.LegacyTx{Nonce: 1, To: &to, Value: big.NewInt(5), Gas: 21000, GasPrice: big.NewInt(9)}),
		types.NewTx(&types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: 2, To: &to, Gas: 21000, Data: make([]byte, 100)}),
		types.NewTx(&types.AccessListTx{ChainID: big.NewInt(1), Nonce: 3, To: &to, Gas: 21000}),
	}
	log := &types.Log{Address: to, Topics: []common.Hash{{1}, {2}}, Data: make([]byte, 70)}
	receipts := types.Receipts{
		{Type: types.LegacyTxType, Status: 1, CumulativeGasUsed: 21000},
		{Type: types.DynamicFeeTxType, Status: 0, CumulativeGasUsed: 60000, Logs: []*types.Log{log}},
		{Type: types.AccessListTxType, PostState: make([]byte, 32), CumulativeGasUsed: 81000},
	}
	for _, r := range receipts {
		r.Bloom = types.CreateBloom(r)
	}
	for _, body := range []types.Body{
		{},
		{Transactions: txs},
		{Transactions: txs[:1], Uncles: []*types.Header{{Number: big.NewInt(4), Difficulty: big.NewInt(2)}}},
		{Transactions: txs, Withdrawals: []*types.Withdrawal{}},
		{Transactions: txs[1:], Withdrawals: []*types.Withdrawal{{Index: 1, Validator: 2, Address: to, Amount: 3}}},
	} {
		block := types.NewBlock(&types.Header{Number: big.NewInt(9), Difficulty: big.NewInt(2), BaseFee: big.NewInt(7)}, &body, receipts[:len(body.Transactions)], trie.NewStackTrie(nil))
		want, wantReceipts, err := HeaderRoots(encoded(t, block.Header()))
		if err != nil {
			t.Fatal(err)
		}
		got, err := RootsOf(encoded(t, block.Body()))
		if err != nil || got != want {
			t.Errorf("%d transactions: roots %+v, %v, the header has %+v", len(body.Transactions), got, err, want)
		}
		var list []any
		for _, r := range receipts[:len(body.Transactions)] {
			status := []byte{}
			if r.Status == 1 {
				status = []byte{1}
			}
			if len(r.PostState) > 0 {
				status = r.PostState
			}
			logs := r.Logs
			if logs == nil {
				logs = []*types.Log{}
			}
			list = append(list, []any{uint64(r.Type), status, r.CumulativeGasUsed, logs})
		}
		if root, err := ReceiptsRoot(encoded(t, list)); err != nil || root != wantReceipts || root == (chain.Hash{}) {
			t.Errorf("%d receipts: root %v, %v, the header has %v", len(list), root, err, wantReceipts)
		}
	}
}

func TestRootsOfMalformedContentsAreErrors(t *testing.T) {
	for _, raw := range [][]byte{nil, {0xc0}, {0x80}, {0xc1}, {0xc1, 0xc0}, {0xc2, 0xc1, 0xb9}, {0xc3, 0x01, 0x02, 0x03}} {
		if _, _, err := HeaderRoots(raw); err == nil {
			t.Errorf("HeaderRoots(%x) passed", raw)
		}
		if r, err := RootsOf(raw); err == nil {
			t.Errorf("RootsOf(%x) = %+v", raw, r)
		}
		if _, err := ReceiptsRoot(raw); err == nil && len(raw) > 1 {
			t.Errorf("ReceiptsRoot(%x) passed", raw)
		}
	}
}

// Threat B-05: receipts of nothing grow fiftyfold with their blooms, so no more of
// them are hashed than a block has; those whose logs are none have no root.
func TestTinyReceiptsAreBounded(t *testing.T) {
	tiny := []byte{0xc4, 0x80, 0x80, 0x80, 0xc0}
	blockOf := func(n int) []byte {
		content := bytes.Repeat(tiny, n)
		return append(appendHead(nil, len(content)), content...)
	}
	if _, err := ReceiptsRoot(blockOf(mostReceipts + 1)); err == nil {
		t.Error("more receipts are hashed than a block has")
	}
	if _, err := ReceiptsRoot(blockOf(200)); err != nil {
		t.Error(err)
	}
	for _, logs := range [][]byte{{0xc3, 0xc2, 0x01, 0xc0}, {0xc1, 0x01}} {
		block := append([]byte{0xc3 + byte(len(logs))}, append([]byte{0x80, 0x80, 0x80}, logs...)...)
		if _, err := ReceiptsRoot(append(appendHead(nil, len(block)), block...)); err == nil {
			t.Errorf("a receipt with the logs %x has a root", logs)
		}
	}
}
