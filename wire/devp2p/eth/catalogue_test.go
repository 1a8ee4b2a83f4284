package eth

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/forkid"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"

	"github.com/starlingp2p/starling/chain"
)

// comparison is one message beside go-ethereum's packet type of it.
type comparison struct {
	name  string
	code  uint64
	since Version
	until Version
	try   func(t *testing.T, d draw, v Version)
}

// catalogue is every message of every version.
var catalogue = []comparison{
	{"Status", StatusMsg, V68, V70, tryStatus},
	{"NewBlockHashes", NewBlockHashesMsg, V68, V68, tryNewBlockHashes},
	{"Transactions", TransactionsMsg, V68, V70, tryTransactions},
	{"GetBlockHeaders", GetBlockHeadersMsg, V68, V70, tryGetBlockHeaders},
	{"BlockHeaders", BlockHeadersMsg, V68, V70, tryBlockHeaders},
	{"GetBlockBodies", GetBlockBodiesMsg, V68, V70, tryGetBlockBodies},
	{"BlockBodies", BlockBodiesMsg, V68, V70, tryBlockBodies},
	{"NewBlock", NewBlockMsg, V68, V68, tryNewBlock},
	{"NewPooledTransactionHashes", NewPooledTransactionHashesMsg, V68, V70, tryAnnouncements},
	{"GetPooledTransactions", GetPooledTransactionsMsg, V68, V70, tryGetPooledTransactions},
	{"PooledTransactions", PooledTransactionsMsg, V68, V70, tryPooledTransactions},
	{"GetReceipts", GetReceiptsMsg, V68, V70, tryGetReceipts},
	{"Receipts", ReceiptsMsg, V68, V70, tryReceipts},
	{"BlockRangeUpdate", BlockRangeUpdateMsg, V69, V70, tryBlockRangeUpdate},
}

// TestEachMessageOfEachVersionIsThatOfGeth goes through the catalogue, with
// values drawn at random: what we encode is what geth encodes; geth decodes it
// down to the last item, and we what geth encodes. No code of a version is left
// out.
func TestEachMessageOfEachVersionIsThatOfGeth(t *testing.T) {
	for _, v := range Versions() {
		var codes []uint64
		for _, c := range catalogue {
			if v < c.since || v > c.until {
				continue
			}
			codes = append(codes, c.code)
			t.Run(v.String()+" "+c.name, func(t *testing.T) {
				for seed := range uint64(6) {
					c.try(t, draw{rand.New(rand.NewPCG(seed, c.code))}, v)
				}
			})
		}
		want := []uint64{0, 2, 3, 4, 5, 6, 8, 9, 10, 15, 16}
		if v.HasDifficulty() {
			want = append(want, NewBlockHashesMsg, NewBlockMsg)
		} else {
			want = append(want, BlockRangeUpdateMsg)
		}
		slices.Sort(want)
		slices.Sort(codes)
		if !slices.Equal(codes, want) {
			t.Errorf("%v: the messages %v are compared, the version has %v", v, codes, want)
		}
	}
}

// agree checks that ours is geth's encoding of theirs, and gives what geth
// decodes it to.
func agree[T any](t *testing.T, ours []byte, theirs *T) *T {
	t.Helper()
	back := new(T)
	same(t, t.Name(), ours, theirs, back)
	if again := encoded(t, back); !bytes.Equal(again, ours) {
		t.Fatalf("geth decodes ours to another message:\n ours %x\n geth %x", ours, again)
	}
	return back
}

// means checks what we decode.
func means(t *testing.T, got, want any, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("decoded %+v, %v; want %+v", got, err, want)
	}
}

// list is geth's form of a list that is decoded late.
func list[T any](t *testing.T, items []T) rlp.RawList[T] {
	t.Helper()
	l, err := rlp.EncodeToRawList(items)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// items lets geth decode such a list.
func items[T any](t *testing.T, l *rlp.RawList[T]) []T {
	t.Helper()
	out, err := l.Items()
	if err != nil {
		t.Fatalf("geth cannot decode an item of ours: %v", err)
	}
	return out
}

// era is a header with the fields of the n-th fork that added some.
func (d draw) era(n int) *types.Header {
	h := d.header()
	h.BaseFee, h.WithdrawalsHash = nil, nil
	root, count := common.Hash(d.hash()), d.uint()
	for i, add := range []func(){
		func() { h.BaseFee = new(big.Int).SetUint64(d.uint()) },
		func() { h.WithdrawalsHash = &root },
		func() { h.BlobGasUsed, h.ExcessBlobGas, h.ParentBeaconRoot = &count, &count, &root },
		func() { h.RequestsHash = &root },
	} {
		if i < n {
			add()
		}
	}
	return h
}

// eras is how many kinds of header era knows.
const eras = 5

// allTxs are transactions of each type, without sidecars.
func (d draw) allTxs() (txs []*types.Transaction) {
	r := uint256.NewInt(d.uint() + 1)
	creates := types.NewTx(&types.LegacyTx{Nonce: d.uint(), GasPrice: new(big.Int), Data: d.bytes(80), V: big.NewInt(2709), R: r.ToBig(), S: big.NewInt(1)})
	sets := types.NewTx(&types.SetCodeTx{
		ChainID: uint256.NewInt(1), Nonce: d.uint(), GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(9), To: common.Address(d.bytes(20)), Value: new(uint256.Int),
		AccessList: types.AccessList{{Address: common.Address(d.bytes(20)), StorageKeys: commons(d.hashes(2))}},
		AuthList:   []types.SetCodeAuthorization{{ChainID: *uint256.NewInt(1), Address: common.Address(d.bytes(20)), Nonce: d.uint(), V: 1, R: *r, S: *r}},
		V:          new(uint256.Int), R: r, S: r,
	})
	for range 6 {
		txs = append(txs, d.tx())
	}
	return append(txs, creates, sets, d.blobTx(nil))
}

func (d draw) blobTx(sidecar *types.BlobTxSidecar) *types.Transaction {
	r := uint256.NewInt(d.uint() + 1)
	return types.NewTx(&types.BlobTx{
		ChainID: uint256.NewInt(1), Nonce: d.uint(), GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(9), To: common.Address(d.bytes(20)), Value: new(uint256.Int),
		BlobFeeCap: uint256.NewInt(d.uint()), BlobHashes: commons(d.hashes(1)), Sidecar: sidecar, V: uint256.NewInt(1), R: r, S: r,
	})
}

// sidecar is one of that version; its proofs prove nothing.
func (d draw) sidecar(version byte) *types.BlobTxSidecar {
	proofs := make([]kzg4844.Proof, 1)
	if version == types.BlobSidecarVersion1 {
		proofs = make([]kzg4844.Proof, kzg4844.CellProofsPerBlob)
	}
	for i := range proofs {
		copy(proofs[i][:], d.bytes(48))
	}
	blob := kzg4844.Blob{}
	copy(blob[:], d.bytes(500))
	return types.NewBlobTxSidecar(version, []kzg4844.Blob{blob}, []kzg4844.Commitment{kzg4844.Commitment(d.bytes(48))}, proofs)
}

// raws are the transactions in their own encoding, whose kind, hash and size we
// must see as geth does.
func raws(t *testing.T, txs []*types.Transaction) (out [][]byte) {
	t.Helper()
	for i, tx := range txs {
		b, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if kind, hash := TxKind(b), keccak(Hashed(b)); kind != tx.Type() || hash != chain.Hash(tx.Hash()) || len(b) != int(tx.Size()) {
			t.Fatalf("transaction %d is of kind %d, hash %v and %d bytes; geth says %d, %v and %d", i, kind, hash, len(b), tx.Type(), tx.Hash(), tx.Size())
		}
		out = append(out, b)
	}
	return out
}

func sameTxs(t *testing.T, got, want []*types.Transaction) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("geth decodes %d transactions of %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Hash() != want[i].Hash() || !reflect.DeepEqual(got[i].BlobTxSidecar(), want[i].BlobTxSidecar()) {
			t.Fatalf("geth decodes another transaction %d", i)
		}
	}
}

// root is what a header says of receipts.
func root(l types.DerivableList) common.Hash { return types.DeriveSha(l, trie.NewStackTrie(nil)) }

func (d draw) forkID() (ForkID, forkid.ID) {
	f := ForkID{[4]byte(d.bytes(4)), d.uint()}
	return f, forkid.ID{Hash: f.Sum, Next: f.Next}
}
