package codec

import (
	"bytes"
	"encoding/binary"
	"iter"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/starlingp2p/starling/chain"
)

const offsetSize = 4

// checkTxs checks an SSZ list of byte lists: offsets aligned, rising, inside.
func checkTxs(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if len(b) < offsetSize {
		return bad("transactions: %d bytes hold no offset", len(b))
	}
	first := binary.LittleEndian.Uint32(b)
	if first == 0 || first%offsetSize != 0 || int64(first) > int64(len(b)) {
		return bad("transactions: the first begins at %d, want a multiple of %d up to %d", first, offsetSize, len(b))
	}
	count := int(first / offsetSize)
	if count > MaxTxs {
		return bad("transactions: %d of them, at most %d", count, MaxTxs)
	}
	at := first
	for i := 1; i < count; i++ {
		next := binary.LittleEndian.Uint32(b[offsetSize*i:])
		if next < at || int64(next) > int64(len(b)) {
			return bad("transactions: number %d begins at %d, the one before at %d, all end at %d", i, next, at, len(b))
		}
		at = next
	}
	return nil
}

// CheckTxs checks an encoded list of transactions that did not come out of
// DecodePayload.
func CheckTxs(b []byte) error { return checkTxs(b) }

// CountTxs is the number of transactions in a list that was checked.
func CountTxs(b []byte) int {
	if len(b) < offsetSize {
		return 0
	}
	return int(binary.LittleEndian.Uint32(b) / offsetSize)
}

// txAt is a transaction of a list that was checked.
func txAt(b []byte, i, count int) []byte {
	from, to := binary.LittleEndian.Uint32(b[offsetSize*i:]), uint32(len(b))
	if i+1 < count {
		to = binary.LittleEndian.Uint32(b[offsetSize*(i+1):])
	}
	return b[from:to:to]
}

// Transactions lists those of a list that was checked. They share its memory.
func Transactions(b []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for i, n := 0, CountTxs(b); i < n; i++ {
			if !yield(i, txAt(b, i, n)) {
				return
			}
		}
	}
}

// AppendTxs appends the encoding of a list of transactions.
func AppendTxs(dst []byte, txs [][]byte) []byte {
	at := uint32(offsetSize * len(txs))
	for _, tx := range txs {
		dst = binary.LittleEndian.AppendUint32(dst, at)
		at += uint32(len(tx))
	}
	for _, tx := range txs {
		dst = append(dst, tx...)
	}
	return dst
}

// So many transactions are always hashed; of more, each must take least bytes,
// its offset included. No real transaction is that small, and a tree over a
// million empty ones would cost seconds (Threat B-05).
const (
	freeTxs = 1024
	leastTx = 32
)

// EmptyRoot is the root of an empty Merkle Patricia trie.
var EmptyRoot = chain.Hash(types.EmptyRootHash)

// TxRoot is the Merkle Patricia root of a list of transactions that was
// checked. It errs for lists whose number of items is out of proportion, or
// that have an empty one.
func TxRoot(b []byte) (chain.Hash, error) {
	n := CountTxs(b)
	if n > freeTxs+len(b)/leastTx {
		return chain.Hash{}, bad("transactions: %d of them in %d bytes, which no signed ones fit", n, len(b))
	}
	if n == 0 {
		return EmptyRoot, nil
	}
	for i, tx := range Transactions(b) {
		if len(tx) == 0 { // the trie would leave it out, and two lists have one root
			return chain.Hash{}, bad("transactions: number %d is empty", i)
		}
	}
	return chain.Hash(types.DeriveSha(rawTxs{b, n}, trie.NewStackTrie(nil))), nil
}

// rawTxs is a list of encoded transactions as the trie wants it.
type rawTxs struct {
	b []byte
	n int
}

func (t rawTxs) Len() int                           { return t.n }
func (t rawTxs) EncodeIndex(i int, w *bytes.Buffer) { w.Write(txAt(t.b, i, t.n)) }

// withdrawalsRoot is the Merkle Patricia root of a list of withdrawals.
func withdrawalsRoot(b []byte) chain.Hash {
	if len(b) == 0 {
		return EmptyRoot
	}
	return chain.Hash(types.DeriveSha(rawWithdrawals(b), trie.NewStackTrie(nil)))
}

type rawWithdrawals []byte

func (w rawWithdrawals) Len() int { return len(w) / withdrawalSize }

func (w rawWithdrawals) EncodeIndex(i int, out *bytes.Buffer) {
	le, b := binary.LittleEndian, w[i*withdrawalSize:]
	e := rlp.NewEncoderBuffer(out)
	at := e.List()
	e.WriteUint64(le.Uint64(b))
	e.WriteUint64(le.Uint64(b[8:]))
	e.WriteBytes(b[16:36])
	e.WriteUint64(le.Uint64(b[36:]))
	e.ListEnd(at)
	e.Flush() // into memory: it cannot fail
}
