package relay

import (
	"math/bits"

	"github.com/starlingp2p/starling/chain"
)

// known remembers which peers have which of the newest things, over all peers
// in one place. What is over its bound is forgotten, oldest first: then a peer
// may be told twice.
type known struct {
	max    int
	at     map[chain.Hash]int // index into ring
	ring   []knowledge
	next   int
	freed  set // numbers of peers that left, whose bits are still set
	holder set // numbers in use
}

// knowledge is who has one thing.
type knowledge struct {
	hash chain.Hash
	who  set
}

func newKnown(max int) *known {
	return &known{max: max, at: make(map[chain.Hash]int)}
}

// number gives a new peer the lowest number that nobody has. Bits of those that
// left are swept out only when their numbers are needed.
func (k *known) number() int {
	for n := 0; ; n++ {
		if k.holder.has(n) {
			continue
		}
		if k.freed.has(n) {
			k.sweep()
		}
		k.holder.add(n)
		return n
	}
}

func (k *known) release(n int) {
	k.holder.remove(n)
	k.freed.add(n)
}

// sweep clears the bits of all peers that left.
func (k *known) sweep() {
	for i := range k.ring {
		k.ring[i].who.without(k.freed)
	}
	k.freed = nil
}

// of gives who has h, and makes a place for it.
func (k *known) of(h chain.Hash) *set {
	if i, ok := k.at[h]; ok {
		return &k.ring[i].who
	}
	if len(k.ring) < k.max {
		k.ring = append(k.ring, knowledge{hash: h})
		k.at[h] = len(k.ring) - 1
		return &k.ring[len(k.ring)-1].who
	}
	old := &k.ring[k.next]
	delete(k.at, old.hash)
	clear(old.who)
	old.hash = h
	k.at[h] = k.next
	k.next = (k.next + 1) % k.max
	return &old.who
}

// note says that peer n has h.
func (k *known) note(n int, h chain.Hash) { k.of(h).add(n) }

// has reports whether peer n is known to have h.
func (k *known) has(n int, h chain.Hash) bool {
	i, ok := k.at[h]
	return ok && k.ring[i].who.has(n)
}

// set is a set of small numbers.
type set []uint64

func (s set) has(n int) bool { return n/64 < len(s) && s[n/64]&(1<<(n%64)) != 0 }

func (s *set) add(n int) {
	for len(*s) <= n/64 {
		*s = append(*s, 0)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

func (s set) remove(n int) {
	if n/64 < len(s) {
		s[n/64] &^= 1 << (n % 64)
	}
}

func (s set) without(o set) {
	for i := range min(len(s), len(o)) {
		s[i] &^= o[i]
	}
}

func (s set) count() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}
