package codec

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
)

// TxRoot is the merkle root of a block's transactions: an odd node is paired
// with itself, which is why duplicates must be refused beside (CVE-2012-2459).
func TxRoot(hashes []Hash) Hash {
	if len(hashes) == 0 {
		return Hash{}
	}
	level := append([]Hash(nil), hashes...)
	for len(level) > 1 {
		up := level[:0]
		for i := 0; i < len(level); i += 2 {
			up = append(up, pairTxs(level[i], level[min(i+1, len(level)-1)]))
		}
		level = up
	}
	return level[0]
}

// rootOf is TxRoot of hashes that come one by one, without keeping them. Its zero
// value is that of none.
type rootOf struct {
	left [64]Hash // by level, the node that waits for its right neighbour
	has  uint64   // which levels have one
}

// pairTxs is the node above two of a tree of transactions.
func pairTxs(l, r Hash) Hash {
	var both [64]byte
	copy(both[:], l[:])
	copy(both[32:], r[:])
	return double(both[:])
}

func (r *rootOf) add(h Hash) {
	l := 0
	for ; r.has&(1<<l) != 0; l++ {
		h = pairTxs(r.left[l], h)
		r.has &^= 1 << l
	}
	r.left[l] = h
	r.has |= 1 << l
}

// sum is the root: on each level an odd last node is paired with itself.
func (r *rootOf) sum() (last Hash) {
	if r.has == 0 {
		return Hash{}
	}
	low, top := bits.TrailingZeros64(r.has), bits.Len64(r.has)-1
	if last = r.left[low]; low == top {
		return last
	}
	last = pairTxs(last, last)
	for l := low + 1; l < top; l++ {
		if r.has&(1<<l) != 0 {
			last = pairTxs(r.left[l], last)
		} else {
			last = pairTxs(last, last)
		}
	}
	return pairTxs(r.left[top], last)
}

// CheckBody says whether transactions are those of a header.
func CheckBody(h Header, txs []Tx) error {
	hashes := make([]Hash, len(txs))
	seen := make(map[Hash]struct{}, len(txs))
	for i, t := range txs {
		if _, twice := seen[t.Hash]; twice {
			return fmt.Errorf("codec: transaction %s is in block %d twice", t.Hash, h.Height)
		}
		seen[t.Hash] = struct{}{}
		hashes[i] = t.Hash
	}
	if root := TxRoot(hashes); root != h.TxRoot {
		return fmt.Errorf("codec: the transactions of block %d have root %s, its header says %s", h.Height, root, h.TxRoot)
	}
	return nil
}

// BlockTree is the merkle tree over the transaction roots of all blocks from
// genesis on, as far as it takes to go on: the roots of its full subtrees, the
// largest first. Its zero value is empty. It is a value: Append does not change
// what was copied from it.
type BlockTree struct {
	Size  uint32
	Peaks []Hash
}

func pairUp(l, r Hash) Hash {
	var b [65]byte
	b[0] = 1
	copy(b[1:], l[:])
	copy(b[33:], r[:])
	return sha256.Sum256(b[:])
}

// RootWith is the root once a block with that transaction root is appended:
// what the block's header says as BlockRoot.
func (t BlockTree) RootWith(txRoot Hash) Hash {
	root := txRoot
	for i := len(t.Peaks) - 1; i >= 0; i-- {
		root = pairUp(t.Peaks[i], root)
	}
	return root
}

// With is the tree with one more block.
func (t BlockTree) With(txRoot Hash) BlockTree {
	peaks := append(make([]Hash, 0, len(t.Peaks)+1), t.Peaks...)
	leaf := txRoot
	for s := t.Size; s&1 == 1; s >>= 1 {
		leaf = pairUp(peaks[len(peaks)-1], leaf)
		peaks = peaks[:len(peaks)-1]
	}
	return BlockTree{Size: t.Size + 1, Peaks: append(peaks, leaf)}
}

// Append appends the tree's encoding, for storage.
func (t BlockTree) Append(dst []byte) []byte {
	dst = append(dst, byte(t.Size>>24), byte(t.Size>>16), byte(t.Size>>8), byte(t.Size))
	for _, p := range t.Peaks {
		dst = append(dst, p[:]...)
	}
	return dst
}

// DecodeBlockTree reads what BlockTree.Append wrote.
func DecodeBlockTree(b []byte) (t BlockTree, err error) {
	if len(b) < 4 {
		return t, errors.New("codec: block tree is cut short")
	}
	t.Size = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	b = b[4:]
	if n := bits.OnesCount32(t.Size); len(b) != n*32 {
		return BlockTree{}, fmt.Errorf("codec: block tree of %d blocks has %d bytes of peaks, want %d", t.Size, len(b), n*32)
	}
	for len(b) > 0 {
		t.Peaks = append(t.Peaks, Hash(b[:32]))
		b = b[32:]
	}
	return t, nil
}
