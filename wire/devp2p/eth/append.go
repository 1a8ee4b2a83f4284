package eth

import (
	"slices"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

// maxHead is the longest head of a list or string.
const maxHead = 9

// appendHead appends the head of a list whose content has n bytes.
func appendHead(b []byte, n int) []byte {
	if n < 56 {
		return append(b, 0xc0+byte(n))
	}
	return appendLong(b, 0xf7, n)
}

// appendLong appends a long length: its own length on top of base, then itself.
func appendLong(b []byte, base byte, n int) []byte {
	size := 0
	for m := n; m > 0; m >>= 8 {
		size++
	}
	b = append(b, base+byte(size))
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

func appendBytes(b, s []byte) []byte {
	switch {
	case len(s) == 1 && s[0] < 0x80:
		return append(b, s[0])
	case len(s) < 56:
		return append(append(b, 0x80+byte(len(s))), s...)
	}
	return append(appendLong(b, 0xb7, len(s)), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0x80)
}

func appendHash(b []byte, h chain.Hash) []byte { return append(append(b, 0x80+32), h[:]...) }

// appendWeight appends a number without leading zeros.
func appendWeight(b []byte, w chain.Weight) []byte {
	s := w[:]
	for len(s) > 0 && s[0] == 0 {
		s = s[1:]
	}
	return appendBytes(b, s)
}

// listSize is a list with its head.
func listSize(content int) int { return int(rlp.ListSize(uint64(content))) }

// bytesSize is a string with its head.
func bytesSize(s []byte) int { return int(rlp.BytesSize(s)) }

// sum is the length of all items.
func sum(items [][]byte) (n int) {
	for _, item := range items {
		n += len(item)
	}
	return n
}

// appendRaw appends a list of items that are encoded already.
func appendRaw(b []byte, items [][]byte) []byte {
	n := sum(items)
	b = appendHead(slices.Grow(b, n+maxHead), n)
	for _, item := range items {
		b = append(b, item...)
	}
	return b
}

func appendHashes(b []byte, hs []chain.Hash) []byte {
	b = appendHead(b, len(hs)*hashItem)
	for _, h := range hs {
		b = appendHash(b, h)
	}
	return b
}

// appendIDRaw appends [id, [items...]].
func appendIDRaw(b []byte, id uint64, items [][]byte) []byte {
	n := rlp.IntSize(id) + listSize(sum(items))
	b = appendHead(slices.Grow(b, n+maxHead), n)
	return appendRaw(rlp.AppendUint64(b, id), items)
}

// appendIDHashes appends [id, [hashes...]].
func appendIDHashes(b []byte, id uint64, hs []chain.Hash) []byte {
	b = appendHead(b, rlp.IntSize(id)+listSize(len(hs)*hashItem))
	return appendHashes(rlp.AppendUint64(b, id), hs)
}
