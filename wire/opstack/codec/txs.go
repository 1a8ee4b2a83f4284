package codec

import (
	"bytes"
	"encoding/binary"
	"iter"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/internal/keccak"
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

// maxForest is how many transactions are put into a forest. There are never so
// many in a real block; lists with more are hashed one leaf at a time.
const maxForest = 1 << 12

// TxRoot is the Merkle Patricia root of a list of transactions that was
// checked. It errs for lists whose number of items is out of proportion, or
// that have an empty one.
func TxRoot(b []byte) (chain.Hash, error) {
	roots, errs := TxRoots([][]byte{b})
	return roots[0], errs[0]
}

// TxRoots is TxRoot for several lists: much quicker than one by one, where
// they are short.
func TxRoots(lists [][]byte) ([]chain.Hash, []error) {
	roots, errs := make([]chain.Hash, len(lists)), make([]error, len(lists))
	var in []int // the lists of the forest
	items := 0
	grow := func() {
		f := newForest(items)
		for _, i := range in {
			b, n := lists[i], CountTxs(lists[i])
			f.add(i, n, func(k int) []byte { return txAt(b, k, n) })
		}
		for k, root := range f.roots() {
			roots[in[k]] = root
		}
		in, items = in[:0], 0
	}
	for i, b := range lists {
		n := CountTxs(b)
		errs[i] = checkItems(b, n)
		switch {
		case errs[i] != nil:
			continue
		case n == 0:
			roots[i] = EmptyRoot
			continue
		case n > maxForest:
			roots[i] = chain.Hash(types.DeriveSha(rawTxs{b, n}, trie.NewStackTrie(nil)))
			continue
		case n > maxForest-items:
			grow()
		}
		in, items = append(in, i), items+n
	}
	grow()
	return roots, errs
}

// checkItems sees that a list of n transactions may be hashed.
func checkItems(b []byte, n int) error {
	if n > freeTxs+len(b)/leastTx {
		return bad("transactions: %d of them in %d bytes, which no signed ones fit", n, len(b))
	}
	for i, tx := range Transactions(b) {
		if len(tx) == 0 { // the trie would leave it out, and two lists have one root
			return bad("transactions: number %d is empty", i)
		}
	}
	return nil
}

// TxHashesOf gives the hash of each transaction of some lists that were checked.
func TxHashesOf(lists [][]byte) [][]chain.Hash {
	items := 0
	for _, b := range lists {
		items += CountTxs(b)
	}
	of := make([]keccak.Message, 0, items)
	for _, b := range lists {
		for _, tx := range Transactions(b) {
			of = append(of, keccak.Message{Tail: tx})
		}
	}
	sums := make([]chain.Hash, items)
	keccak.Sum(sums, of)
	out := make([][]chain.Hash, len(lists))
	for i, b := range lists {
		n := CountTxs(b)
		out[i], sums = sums[:n:n], sums[n:]
	}
	return out
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
