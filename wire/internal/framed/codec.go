package framed

import (
	"sync/atomic"

	"github.com/starlingp2p/starling/wire/internal/intake"
)

// Codec cuts the bytes of one link into frames and back. Head and Open are
// called in turn by whoever reads, Seal by whoever writes: the two sides must
// not share state that changes. A Codec may keep state from frame to frame,
// such as a cipher's.
type Codec interface {
	// HeadSize is the length of a frame's header in bytes; constant, at least 1
	// and at most 4096.
	HeadSize() int
	// Head reads a header, which it may change and must not keep. Errors end
	// the link; those that are the remote's doing are *wire.Fault.
	Head(header []byte) (Head, error)
	// Open makes a message of the bytes that followed the header. It may change
	// and keep them. Before it takes much memory besides, it asks more for it,
	// which blocks; the memory is held until the Frame is released.
	Open(body []byte, more func(n int) error) (code uint64, payload []byte, err error)
	// Seal appends a whole frame. It keeps no part of payload.
	Seal(dst []byte, code uint64, payload []byte) ([]byte, error)
}

// Streamer is a Codec that takes a body in parts, as they come in: its work on
// one then goes on while the next is on its way.
type Streamer interface {
	// Part takes the next bytes of the body whose header was read last, and may
	// change them. Open gets all of them, changed, once the last is there.
	Part(b []byte)
	// Keeps reports whether the payload that Open gave last is part of the body.
	// If it is not, the body's memory serves another.
	Keeps() bool
}

// Head is what a header tells before the body is read.
type Head struct {
	// Size is how many bytes follow on the link. The Codec has checked it
	// against the bound of its protocol.
	Size int
	// Skip says that nobody wants the frame: its body is read past, and takes
	// no memory. Open is not called.
	Skip bool
}

// Frame is a message that came in. Whoever handles it calls Release once the
// payload is no longer held on account of the link; what is kept beyond that
// is somebody else's to bound.
type Frame struct {
	Code    uint64
	Payload []byte
	mem     *memory
}

// Release gives the memory for the frame back to the node's budget. It may be
// called again, and from any goroutine.
func (f Frame) Release() {
	if f.mem != nil {
		f.mem.giveBack()
	}
}

// Size is what the frame costs a queue, in bytes.
func (f Frame) Size() int { return len(f.Payload) + frameTax }

// frameTax is what a message costs a queue beside its payload.
const frameTax = 64

// memory is what the budget granted for one frame.
type memory struct {
	grant *intake.Grant // nil: none
	extra []func()
	given atomic.Bool
}

func (m *memory) giveBack() {
	if m.given.Swap(true) {
		return
	}
	if m.grant != nil {
		m.grant.GiveBack()
	}
	for _, give := range m.extra {
		give()
	}
}
