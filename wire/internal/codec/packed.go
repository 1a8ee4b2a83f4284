package codec

import (
	"bufio"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/starlingp2p/starling/peer"
)

// The forms of a packed frame's body.
const (
	formPlain  = 0
	formSnappy = 1
)

const (
	sampleBytes = 4 << 10 // of a body, to see whether it shrinks
	sampleGain  = 8       // a sample that shrinks by less than 1/sampleGain tells of no gain
	leastPacked = 128     // bodies below it are not worth it
)

// MaxPacked is the longest packed frame, without its length, whose body
// decodes to at most n bytes.
func MaxPacked(n int) int { return 1 + MaxCompressed(n) }

func shrinks(body []byte) bool {
	if len(body) < leastPacked {
		return false
	}
	sample := body
	if len(sample) > sampleBytes {
		middle := (len(body) - sampleBytes) / 2
		sample = body[middle : middle+sampleBytes]
	}
	buf := TakeBuffer()
	defer buf.Free()
	buf.B = Compress(buf.B, sample)
	return len(buf.B) <= len(sample)-len(sample)/sampleGain
}

// ReadPackedBody reads the n bytes of a packed frame whose length ReadLength
// gave (with MaxPacked(max) as its bound) and gives the body, of at most max
// bytes, decompressed. The result is its caller's. It blocks like r, and where
// mem waits; nil: nobody counts. Afterwards mem holds the length of the body.
func ReadPackedBody(r *bufio.Reader, n, max int, mem Memory) ([]byte, error) {
	if mem == nil {
		mem = boundless{}
	}
	if n < 1 {
		return nil, fault(peer.BadEncoding, "packed frame without a form")
	}
	form, err := r.ReadByte()
	if err != nil {
		return nil, cut(err, 0)
	}
	switch form {
	case formPlain:
		if n-1 > max {
			return nil, fault(peer.BadFrame, "packed frame too large: %d bytes, bound %d", n-1, max)
		}
		return readBody(r, n-1, mem)
	case formSnappy:
		packed, err := readBody(r, n-1, mem)
		if err != nil {
			return nil, err
		}
		size, err := decodedLen(packed, max)
		if err != nil {
			return nil, err
		}
		if err := mem.Grow(size); err != nil {
			return nil, err
		}
		body, err := Decompress(packed, max)
		mem.Shrink(n - 1)
		return body, err
	}
	return nil, fault(peer.BadEncoding, "packed frame of form %d", form)
}

// PackedHead is how many bytes SealPacked wants free before a body.
const PackedHead = maxLengthBytes + 1

// SealPacked makes a packed frame out of buf, which holds PackedHead bytes of
// room and then the body, and gives the frame: a part of buf, or of scratch
// where a sample of the body shrinks. Nothing is copied but what shrank.
func SealPacked(buf []byte, scratch *Buffer) []byte {
	body := buf[PackedHead:]
	if shrinks(body) {
		scratch.B = append(scratch.B[:0], make([]byte, PackedHead)...)
		scratch.B = Compress(scratch.B, body)
		if len(scratch.B) < len(buf) {
			return seal(scratch.B, formSnappy)
		}
	}
	return seal(buf, formPlain)
}

// seal writes length and form into the room before the body.
func seal(buf []byte, form byte) []byte {
	n := len(buf) - maxLengthBytes // form and body
	start := maxLengthBytes - protowire.SizeVarint(uint64(n))
	protowire.AppendVarint(buf[start:start], uint64(n))
	buf[maxLengthBytes] = form
	return buf[start:]
}
