package codec

import (
	"bufio"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/starlingp2p/starling/peer"
)

const (
	maxLengthBytes = 4        // of a frame's length varint
	readStep       = 64 << 10 // taken before anything has arrived, and read at once
	growth         = 4        // how many times what has arrived is taken next
)

// AppendFrame appends payload as a frame. payload is shorter than 256 MiB.
func AppendFrame(dst, payload []byte) []byte {
	dst = protowire.AppendVarint(dst, uint64(len(payload)))
	return append(dst, payload...)
}

// FrameSize is how many bytes a frame with n bytes of payload takes.
func FrameSize(n int) int { return protowire.SizeVarint(uint64(n)) + n }

// ReadLength reads the length of a frame and checks it against max. It is
// io.EOF where the stream ends before the frame begins. It blocks like r.
func ReadLength(r io.ByteReader, max int) (int, error) {
	var n uint32
	for i := range maxLengthBytes {
		c, err := r.ReadByte()
		if err != nil {
			if i == 0 {
				return 0, err
			}
			return 0, cut(err, i)
		}
		n |= uint32(c&0x7f) << (7 * i)
		if c >= 0x80 {
			continue
		}
		if c == 0 && i > 0 {
			return 0, fault(peer.BadFrame, "frame length is not minimal")
		}
		if uint64(n) > uint64(max) {
			return 0, fault(peer.BadFrame, "frame too large: %d bytes, bound %d", n, max)
		}
		return int(n), nil
	}
	return 0, fault(peer.BadFrame, "frame length takes more than %d bytes", maxLengthBytes)
}

// Memory grants the bytes that a frame takes. It counts what is held together:
// after an error it still counts what was granted, which its owner gives back.
type Memory interface {
	// Grow blocks until n bytes more may be taken, or errs.
	Grow(n int) error
	// Shrink gives n bytes back. It never blocks.
	Shrink(n int)
}

// boundless is memory that nobody counts.
type boundless struct{}

func (boundless) Grow(int) error { return nil }
func (boundless) Shrink(int)     {}

// ReadBody reads the n bytes of a frame whose length ReadLength gave. The
// result is its caller's. Memory is taken as bytes arrive: 64 KiB at first,
// then four times what is there, so a length alone costs a hostile peer's
// victim nothing. It reads at most 64 KiB at once and blocks like r.
func ReadBody(r io.Reader, n int) ([]byte, error) { return readBody(r, n, boundless{}) }

// readBody is ReadBody that asks mem first; afterwards n bytes are held.
func readBody(r io.Reader, n int, mem Memory) ([]byte, error) {
	if n <= readStep {
		if err := mem.Grow(n); err != nil {
			return nil, err
		}
		b := make([]byte, n)
		if got, err := io.ReadFull(r, b); err != nil {
			return nil, cut(err, got)
		}
		return b, nil
	}
	scratch := takeStep()
	defer giveStep(scratch)
	if got, err := io.ReadFull(r, scratch[:]); err != nil {
		return nil, cut(err, got)
	}
	size := min(n, growth*readStep)
	if err := mem.Grow(size); err != nil {
		return nil, err
	}
	b := make([]byte, size)
	have := copy(b, scratch[:])
	for {
		for have < len(b) {
			step := min(readStep, len(b)-have)
			if got, err := io.ReadFull(r, b[have:have+step]); err != nil {
				return nil, cut(err, have+got)
			}
			have += step
		}
		if have == n {
			return b, nil
		}
		size = min(n, growth*have)
		if err := mem.Grow(size); err != nil {
			return nil, err
		}
		more := make([]byte, size)
		copy(more, b)
		b = more
		mem.Shrink(have)
	}
}

// ReadFrame reads one frame of at most max bytes: ReadLength, then ReadBody.
func ReadFrame(r *bufio.Reader, max int) ([]byte, error) {
	n, err := ReadLength(r, max)
	if err != nil {
		return nil, err
	}
	return ReadBody(r, n)
}

// cut is the error for a stream that failed inside a frame. Only the end of the
// stream is the remote's doing. An error that merely wraps io.EOF is not that:
// multiplexers wrap it where the connection was lost under the stream, which
// happens to honest peers.
func cut(err error, have int) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fault(peer.TruncatedFrame, "stream ended in a frame after %d bytes", have)
	}
	return err
}
