package ethereum

import (
	"encoding/json"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/starlingp2p/starling/chain"
)

// What is shown of a block is what geth's own decoders of JSON take back to the
// same header, transactions and uncles; interop/devp2p compares it with what
// geth shows.
func TestAShownBlockIsTheBlock(t *testing.T) {
	for name, cfg := range configs() {
		t.Run(name, func(t *testing.T) {
			w := generate(t, cfg, 24)
			var weight chain.Weight
			txs, uncles := 0, 0
			for _, b := range w.blocks {
				weight = w.family.Weight(weight, b.Header)
				full, err := w.family.Show(b, weight, true)
				if err != nil {
					t.Fatal(err)
				}
				raw, err := json.Marshal(full)
				if err != nil {
					t.Fatal(err)
				}
				var head types.Header
				var rest struct {
					Hash            common.Hash
					Size            hexutil.Uint64
					TotalDifficulty *hexutil.Big
					Transactions    []*types.Transaction
					Uncles          []common.Hash
					Withdrawals     types.Withdrawals
				}
				if err := json.Unmarshal(raw, &head); err != nil || chain.Hash(head.Hash()) != b.Ref().Hash {
					t.Fatalf("block %v: %v, %s", b.Ref(), err, raw)
				}
				if err := json.Unmarshal(raw, &rest); err != nil || chain.Hash(rest.Hash) != b.Ref().Hash {
					t.Fatalf("block %v: %v, %s", b.Ref(), err, raw)
				}
				if (rest.TotalDifficulty != nil) == w.family.NeedsTarget() || rest.TotalDifficulty != nil && rest.TotalDifficulty.ToInt().Cmp(weight.Big()) != 0 {
					t.Errorf("block %v: total difficulty %v, want %v", b.Ref(), rest.TotalDifficulty, weight.Big())
				}
				want, err := w.family.Txs(b)
				if err != nil || len(want) != len(rest.Transactions) {
					t.Fatalf("block %v has %d transactions, %d are shown (%v)", b.Ref(), len(want), len(rest.Transactions), err)
				}
				short, err := w.family.Show(b, weight, false)
				if err != nil {
					t.Fatal(err)
				}
				for i, tx := range rest.Transactions {
					shown := full.Txs[i].(ShownTx)
					if chain.Hash(tx.Hash()) != want[i].Hash || short.Txs[i] != common.Hash(want[i].Hash) || shown.From != address(t, 1) {
						t.Errorf("block %v transaction %d: %v, %v of %v, want %v", b.Ref(), i, tx.Hash(), short.Txs[i], shown.From, want[i].Hash)
					}
					txs++
				}
				block := types.NewBlockWithHeader(&head).WithBody(types.Body{Transactions: rest.Transactions, Withdrawals: rest.Withdrawals})
				for i := range rest.Uncles {
					u, err := w.family.ShowUncle(b, uint64(i))
					if err != nil || u == nil || u.Hash != rest.Uncles[i] {
						t.Errorf("block %v uncle %d: %+v, %v", b.Ref(), i, u, err)
					}
					uncles++
				}
				if len(rest.Uncles) == 0 && uint64(rest.Size) != block.Size() {
					t.Errorf("block %v has the size %d, geth says %d", b.Ref(), rest.Size, block.Size())
				}
				if u, err := w.family.ShowUncle(b, uint64(len(rest.Uncles))); u != nil || err != nil {
					t.Errorf("block %v has one uncle too many: %v, %v", b.Ref(), u, err)
				}
			}
			if txs == 0 || uncles == 0 && cfg.TerminalTotalDifficulty == nil {
				t.Errorf("%d transactions and %d uncles were compared", txs, uncles)
			}
		})
	}
}
