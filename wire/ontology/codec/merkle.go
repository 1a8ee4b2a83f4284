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
	var both [64]byte
	for len(level) > 1 {
		up := level[:0]
		for i := 0; i < len(level); i += 2 {
			copy(both[:], level[i][:])
			copy(both[32:], level[min(i+1, len(level)-1)][:])
			up = append(up, double(both[:]))
		}
		level = up
	}
	return level[0]
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
