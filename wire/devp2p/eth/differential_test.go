package eth

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same compares our payload with geth's, and lets geth decode it into v.
func same(t *testing.T, what string, ours []byte, theirs any, into any) {
	t.Helper()
	want := encoded(t, theirs)
	if !bytes.Equal(ours, want) {
		t.Fatalf("%s:\n ours %x\n geth %x", what, ours, want)
	}
	if err := rlp.DecodeBytes(ours, into); err != nil {
		t.Fatalf("%s: geth cannot decode ours: %v", what, err)
	}
}

type draw struct{ *rand.Rand }

func (d draw) hash() (h chain.Hash) {
	for i := range h {
		h[i] = byte(d.Uint32())
	}
	return h
}

func (d draw) hashes(n int) []chain.Hash {
	hs := make([]chain.Hash, n)
	for i := range hs {
		hs[i] = d.hash()
	}
	return hs
}

func (d draw) uint() uint64 { return d.Uint64() >> d.UintN(64) }

func (d draw) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(d.Uint32())
	}
	return b
}

func commons(hs []chain.Hash) []common.Hash {
	out := make([]common.Hash, len(hs))
	for i, h := range hs {
		out[i] = common.Hash(h)
	}
	return out
}

func (d draw) header() *types.Header {
	h := &types.Header{
		ParentHash: common.Hash(d.hash()), UncleHash: types.EmptyUncleHash, Root: common.Hash(d.hash()),
		TxHash: types.EmptyTxsHash, ReceiptHash: types.EmptyReceiptsHash,
		Difficulty: new(big.Int).SetUint64(d.uint()), Number: new(big.Int).SetUint64(d.uint()),
		GasLimit: d.uint(), GasUsed: d.uint(), Time: d.uint() >> 2, Extra: d.bytes(d.IntN(97)),
	}
	if d.IntN(2) == 0 {
		h.BaseFee = new(big.Int).SetUint64(d.uint())
		root := types.EmptyWithdrawalsHash
		h.WithdrawalsHash = &root
	}
	return h
}

func (d draw) tx() *types.Transaction {
	to := common.Address(d.bytes(20))
	v, r, s := big.NewInt(int64(d.IntN(2))), new(big.Int).SetUint64(d.uint()+1), new(big.Int).SetUint64(d.uint()+1)
	switch d.IntN(3) {
	case 0:
		return types.NewTx(&types.LegacyTx{Nonce: d.uint(), GasPrice: big.NewInt(int64(d.uint() >> 1)), Gas: d.uint(), To: &to, Value: big.NewInt(1), Data: d.bytes(d.IntN(200)), V: big.NewInt(27), R: r, S: s})
	case 1:
		return types.NewTx(&types.AccessListTx{ChainID: big.NewInt(1), Nonce: d.uint(), GasPrice: big.NewInt(5), To: &to, Value: new(big.Int), V: v, R: r, S: s})
	}
	return types.NewTx(&types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: d.uint(), GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(9), Value: new(big.Int), Data: d.bytes(d.IntN(60)), V: v, R: r, S: s})
}

func (d draw) receipts(n int) types.Receipts {
	rs := make(types.Receipts, n)
	for i := range rs {
		r := &types.Receipt{Type: []uint8{0, 1, 2, 3}[d.IntN(4)], Status: uint64(d.IntN(2)), CumulativeGasUsed: d.uint()}
		if r.Type == 0 && d.IntN(3) == 0 {
			r.PostState = d.bytes(32)
		}
		for range d.IntN(4) {
			l := &types.Log{Address: common.Address(d.bytes(20)), Data: d.bytes(d.IntN(100))}
			for range d.IntN(5) {
				l.Topics = append(l.Topics, common.Hash(d.hash()))
			}
			r.Logs = append(r.Logs, l)
		}
		r.Bloom = types.CreateBloom(r)
		rs[i] = r
	}
	return rs
}
