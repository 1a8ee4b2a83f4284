package codec

import (
	"math/bits"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/internal/keccak"
)

// maxNibbles is the longest path of an item: its index in RLP.
const maxNibbles = 8

// forest computes the Merkle Patricia roots of several lists, each item under
// its index in RLP (Yellow Paper, appendix D), a level at a time: all leaves are
// hashed together, then all nodes of the level above them. What it holds is in
// proportion to the number of items; their bytes are not copied.
type forest struct {
	subs []subtree // by list, then in the order of their paths

	// The nodes that are hashed next.
	made []byte           // what is encoded of them
	cuts []int            // where each ends in made
	of   []keccak.Message // their tails at first
	whom []int            // of subs
	sums [][keccak.Size]byte
}

// subtree is a part of a trie, and what the node above will have of it.
type subtree struct {
	path [maxNibbles]byte // of the leaves in it, as far as they share it, and on
	used uint8            // nibbles that lead to it; 0: it is the whole trie
	size uint8            // of ref
	ref  [1 + keccak.Size]byte
	list int
}

// newForest makes one for so many items in all.
func newForest(items int) *forest {
	return &forest{
		subs: make([]subtree, 0, items),
		made: make([]byte, 0, 16*items),
		cuts: make([]int, 0, items),
		of:   make([]keccak.Message, 0, items),
		whom: make([]int, 0, items),
		sums: make([][keccak.Size]byte, items),
	}
}

// add puts in a list of n items, at least one; none is empty.
func (f *forest) add(list, n int, item func(int) []byte) {
	first := min(n-1, 0x7f) // 0 is 0x80 in RLP, which is behind 1 to 127
	for p := range n {
		i := p
		switch {
		case p < first:
			i = p + 1
		case p == first:
			i = 0
		}
		s := subtree{list: list}
		s.used = pathOf(&s.path, i)
		f.whom = append(f.whom, len(f.subs))
		f.subs = append(f.subs, s)
		f.of = append(f.of, keccak.Message{Tail: item(i)})
	}
}

// pathOf puts the nibbles of an index in RLP into path, and gives their number.
func pathOf(path *[maxNibbles]byte, i int) uint8 {
	n, v := 2, i
	switch {
	case i == 0:
		v = 0x80
	case i >= 0x80:
		length := (bits.Len(uint(i)) + 7) / 8
		path[0], path[1] = 8, byte(length)
		n += 2 * length
	}
	for at := n - 1; v > 0; at, v = at-1, v>>4 {
		path[at] = byte(v & 15)
	}
	return uint8(n)
}

// roots gives the root of each list, in the order in which they were added.
func (f *forest) roots() []chain.Hash {
	for i := range f.subs {
		s := &f.subs[i]
		full := s.used
		s.used = f.hangs(i)
		f.made = appendLeaf(f.made, s.path[s.used:full], f.of[i].Tail)
		f.cuts = append(f.cuts, len(f.made))
	}
	f.hash()
	for depth := maxNibbles - 1; depth >= 0; depth-- {
		f.join(uint8(depth))
	}
	out := make([]chain.Hash, len(f.subs))
	for i := range f.subs {
		out[i] = chain.Hash(f.subs[i].ref[1:])
	}
	return out
}

// hangs is how many nibbles lead to a subtree: those that it shares with a
// neighbour, and one more; none where it is alone in its trie.
func (f *forest) hangs(i int) uint8 {
	used := 0
	for _, o := range [...]int{i - 1, i + 1} {
		if o >= 0 && o < len(f.subs) && f.subs[o].list == f.subs[i].list {
			used = max(used, 1+shared(&f.subs[i].path, &f.subs[o].path))
		}
	}
	return uint8(used)
}

// shared is how many nibbles two paths begin with both. No path of RLP begins
// another, so that what lies behind them does not count.
func shared(a, b *[maxNibbles]byte) int {
	n := 0
	for n < maxNibbles-1 && a[n] == b[n] {
		n++
	}
	return n
}

// join puts a branch above all subtrees to which so many nibbles and one more
// lead. All that hang deeper are joined by then.
func (f *forest) join(depth uint8) {
	kept := 0
	for i := 0; i < len(f.subs); {
		end := i + 1
		if f.subs[i].used == depth+1 {
			for end < len(f.subs) && f.subs[end].list == f.subs[i].list && shared(&f.subs[i].path, &f.subs[end].path) >= int(depth) {
				end++
			}
			f.made = appendBranch(f.made, f.subs[i:end], depth)
			f.mark(kept)
		}
		f.subs[kept] = f.subs[i]
		kept, i = kept+1, end
	}
	f.subs = f.subs[:kept]
	branches := append([]int(nil), f.whom...)
	for _, i := range branches {
		f.subs[i].used = depth
	}
	f.hash()
	for _, i := range branches {
		s := &f.subs[i]
		if s.used = f.hangs(i); s.used < depth {
			f.made = appendExtension(f.made, s.path[s.used:depth], s.ref[:s.size])
			f.mark(i)
		}
	}
	f.hash()
}

// mark has what was appended to made hashed as the node of a subtree.
func (f *forest) mark(i int) {
	f.cuts = append(f.cuts, len(f.made))
	f.of = append(f.of, keccak.Message{})
	f.whom = append(f.whom, i)
}

// hash gives each subtree that is marked what a node above has of it: the hash
// of its node as a string of RLP, or the node itself where that is shorter.
func (f *forest) hash() {
	from := 0
	for k, to := range f.cuts {
		f.of[k].Head = f.made[from:to]
		from = to
	}
	sums := f.sums[:len(f.of)]
	keccak.Sum(sums, f.of)
	for k, m := range f.of {
		s := &f.subs[f.whom[k]]
		if n := len(m.Head) + len(m.Tail); n < keccak.Size && s.used > 0 {
			s.size = uint8(n)
			copy(s.ref[copy(s.ref[:], m.Head):], m.Tail)
			continue
		}
		s.size = uint8(len(s.ref))
		s.ref[0] = 0x80 + keccak.Size
		copy(s.ref[1:], sums[k][:])
	}
	f.made, f.cuts, f.of, f.whom = f.made[:0], f.cuts[:0], f.of[:0], f.whom[:0]
}

// appendLeaf appends what is before the value in the node of a leaf.
func appendLeaf(dst, path, value []byte) []byte {
	var head [2 + maxNibbles]byte
	key := appendPath(head[:0], path, 2)
	size := len(key) + len(value)
	if short := len(value) == 1 && value[0] < 0x80; !short {
		size += headLen(len(value))
		dst = append(appendHead(dst, 0xc0, size), key...)
		return appendHead(dst, 0x80, len(value))
	}
	return append(appendHead(dst, 0xc0, size), key...)
}

// appendExtension appends the node that leads down a path to ref.
func appendExtension(dst, path, ref []byte) []byte {
	var head [2 + maxNibbles]byte
	key := appendPath(head[:0], path, 0)
	dst = append(appendHead(dst, 0xc0, len(key)+len(ref)), key...)
	return append(dst, ref...)
}

// appendBranch appends the node above some subtrees whose paths part at depth.
func appendBranch(dst []byte, subs []subtree, depth uint8) []byte {
	size := 17 - len(subs)
	for i := range subs {
		size += int(subs[i].size)
	}
	dst = appendHead(dst, 0xc0, size)
	for nibble := range byte(16) {
		if len(subs) > 0 && subs[0].path[depth] == nibble {
			dst = append(dst, subs[0].ref[:subs[0].size]...)
			subs = subs[1:]
		} else {
			dst = append(dst, 0x80)
		}
	}
	return append(dst, 0x80) // no value: no path ends in a branch
}

// appendPath appends a path as a string of RLP, with its flags before it: 2 is
// that of a leaf (Yellow Paper, appendix C).
func appendPath(dst, path []byte, flag byte) []byte {
	if len(path) > 1 { // else it is a byte below 0x80, which is its own string
		dst = append(dst, 0x80+byte(len(path)/2+1))
	}
	if len(path)%2 == 1 {
		dst, path = append(dst, (flag+1)<<4|path[0]), path[1:]
	} else {
		dst = append(dst, flag<<4)
	}
	for ; len(path) > 0; path = path[2:] {
		dst = append(dst, path[0]<<4|path[1])
	}
	return dst
}

// appendHead appends what RLP has before so many bytes: of a string with base
// 0x80, of a list with 0xc0.
func appendHead(dst []byte, base byte, size int) []byte {
	if size < 56 {
		return append(dst, base+byte(size))
	}
	n := headLen(size) - 1
	dst = append(dst, base+55+byte(n))
	for shift := 8 * (n - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(size>>shift))
	}
	return dst
}

// headLen is the length of what appendHead appends.
func headLen(size int) int {
	if size < 56 {
		return 1
	}
	return 1 + (bits.Len(uint(size))+7)/8
}
