package intake

import (
	"math/bits"
	"sync"
)

// The buffers that are used again. What is larger is not kept (threat B-06);
// 2 MiB is the size at which the answers of the session wires end.
const (
	leastScratch = 64 << 10
	mostScratch  = 2<<20 + 512<<10
)

// scratch is buffers by their size, so that small ones are not met where large
// ones are asked for: those of class i hold leastScratch<<i bytes at least.
type scratch [6]sync.Pool // of *[]byte

// classOf is the first class whose buffers all hold n bytes; of the last one
// some do.
func (s *scratch) classOf(n int) int {
	return min(bits.Len(uint(max(n-1, 0)/leastScratch)), len(s)-1)
}

// take gives a buffer of a class, if the first that is met holds n bytes.
func (s *scratch) take(class, n int) []byte {
	got, _ := s[class].Get().(*[]byte)
	switch {
	case got == nil:
		return nil
	case cap(*got) < n:
		s[class].Put(got)
		return nil
	}
	return (*got)[:n]
}

// Scratch gives a buffer of n bytes that somebody used before; nil if there is
// none. What is in it is not cleared. It is safe for concurrent use.
func (b *Budget) Scratch(n int) []byte {
	first := b.scratch.classOf(n)
	for class := first; class < len(b.scratch); class++ {
		if got := b.scratch.take(class, n); got != nil {
			return got
		}
	}
	if first == 0 {
		return nil
	}
	return b.scratch.take(first-1, n) // one that was made for as many
}

// Room is Scratch for whoever has what fills the buffer: where there is none, it
// makes one, in which what is a little larger finds room too.
func (b *Budget) Room(n int) []byte {
	if got := b.Scratch(n); got != nil {
		return got
	}
	size := n
	if class := b.scratch.classOf(n); n > leastScratch && n <= mostScratch {
		if size = leastScratch << class; size < n {
			size = mostScratch
		}
	}
	return make([]byte, n, size)
}

// Reuse takes a buffer that nobody holds any more, for Scratch to give. The
// collector frees those that are not asked for.
func (b *Budget) Reuse(buf []byte) {
	if n := cap(buf); n >= leastScratch && n <= mostScratch {
		kept := buf // which is allocated here alone
		b.scratch[bits.Len(uint(n/leastScratch))-1].Put(&kept)
	}
}
