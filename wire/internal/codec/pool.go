package codec

import "sync"

// maxPooled is the largest buffer that goes back to a pool. Buffers that grew
// for one large message would otherwise stay for good.
const maxPooled = 1 << 20

// Scratch buffers hold nothing between uses; the pools are caches, not state.
var (
	steps   = sync.Pool{New: func() any { return new([readStep]byte) }}
	buffers = sync.Pool{New: func() any { return new(Buffer) }}
)

func takeStep() *[readStep]byte  { return steps.Get().(*[readStep]byte) }
func giveStep(b *[readStep]byte) { steps.Put(b) }

// Buffer is a scratch buffer from a pool, to append to.
type Buffer struct{ B []byte }

// TakeBuffer gives an empty Buffer of any capacity.
func TakeBuffer() *Buffer {
	b := buffers.Get().(*Buffer)
	b.B = b.B[:0]
	return b
}

// Free gives the buffer back; nothing may refer to its bytes any more. Memory
// over 1 MiB is let go. It reports whether the memory was kept.
func (b *Buffer) Free() bool {
	kept := cap(b.B) <= maxPooled
	if !kept {
		b.B = nil
	}
	buffers.Put(b)
	return kept
}
