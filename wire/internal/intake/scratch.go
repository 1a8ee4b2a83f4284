package intake

// The buffers that are used again. What is larger is not kept (threat B-06);
// 2 MiB is the size at which the answers of the session wires end.
const (
	leastScratch = 64 << 10
	mostScratch  = 2<<20 + 512<<10
)

// Scratch gives a buffer of n bytes that somebody used before; nil if there is
// none. What is in it is not cleared. It is safe for concurrent use.
func (b *Budget) Scratch(n int) []byte {
	got, _ := b.scratch.Get().(*[]byte)
	if got == nil {
		return nil
	}
	if cap(*got) < n {
		b.scratch.Put(got)
		return nil
	}
	return (*got)[:n]
}

// Reuse takes a buffer that nobody holds any more, for Scratch to give. The
// collector frees those that are not asked for.
func (b *Budget) Reuse(buf []byte) {
	if n := cap(buf); n >= leastScratch && n <= mostScratch {
		b.scratch.Put(&buf)
	}
}
