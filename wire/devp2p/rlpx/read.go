package rlpx

import (
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/rlp"
)

// reader takes frames apart. What comes is buffered, so that many small frames
// cost one read; a frame that does not fit goes into a buffer of its own, which
// grows as its bytes arrive.
type reader struct {
	nc     net.Conn
	stream cipher.Stream
	mac    *mac
	snappy bool
	most   int
	times  Timeouts

	buf        []byte
	start, end int // of what is in buf and not yet taken

	frame []byte    // of frames that do not fit buf
	plain []byte    // of decompressed payloads
	large time.Time // when they were last needed
}

// enlarge gives the buffer its size for the time after Hello.
func (r *reader) enlarge() {
	b := make([]byte, readBuffer)
	r.end = copy(b, r.buf[r.start:r.end])
	r.buf, r.start = b, 0
}

func (r *reader) read() (Message, error) {
	body, err := r.readFrame()
	if err != nil {
		return Message{}, err
	}
	code, payload, err := rlp.SplitUint64(body)
	if err != nil {
		return Message{}, fmt.Errorf("%w: bad code", ErrEncoding)
	}
	m := Message{Code: code, Payload: payload, Wire: len(payload)}
	if r.snappy {
		if m.Payload, err = r.unfold(payload); err != nil {
			return Message{}, err
		}
	}
	if len(m.Payload) > r.most {
		return Message{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(m.Payload), r.most)
	}
	return m, nil
}

// maxCode is what a code adds to a frame, at most.
const maxCode = 9

func (r *reader) readFrame() ([]byte, error) {
	if r.end-r.start < headLen {
		r.deadline(r.times.Idle)
	}
	head, err := r.take(headLen)
	if err != nil {
		if r.end > r.start && !timeout(err) {
			return nil, &TruncatedError{err}
		}
		return nil, err
	}
	if subtle.ConstantTimeCompare(r.mac.header(head[:16]), head[16:]) != 1 {
		return nil, ErrMAC
	}
	r.stream.XORKeyStream(head[:16], head[:16])
	size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	// Snappy may make a payload a little longer than it was.
	if bound := r.most + r.most/6 + 32 + maxCode; size > bound || size > MaxMessage {
		return nil, fmt.Errorf("%w: frame of %d bytes, at most %d", ErrTooLarge, size, min(bound, MaxMessage))
	}
	if r.times.Frame > 0 && r.end-r.start < padded(size)+macLen {
		d := r.times.Frame
		if r.times.Floor > 0 {
			d += time.Duration(size) * time.Second / time.Duration(r.times.Floor)
		}
		r.deadline(d)
	}
	body, err := r.body(padded(size))
	if err != nil {
		if timeout(err) {
			return nil, &SlowError{err}
		}
		return nil, &TruncatedError{err}
	}
	if body == nil {
		return nil, ErrMAC
	}
	return body[:size], nil
}

// deadline bounds the reads to come.
func (r *reader) deadline(d time.Duration) {
	if d > 0 {
		r.nc.SetReadDeadline(time.Now().Add(d))
	}
}

func timeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// take gives the next n bytes, at most the buffer's length. They are valid
// until the next call.
func (r *reader) take(n int) ([]byte, error) {
	if len(r.buf)-r.start < n {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	for r.end-r.start < n {
		got, err := r.nc.Read(r.buf[r.end:])
		r.end += got
		if err != nil && r.end-r.start < n {
			return nil, err
		}
	}
	b := r.buf[r.start : r.start+n]
	r.start += n
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	return b, nil
}

// body reads, checks and decrypts n bytes and their MAC. Nil if the MAC is
// another.
func (r *reader) body(n int) ([]byte, error) {
	if n+macLen <= len(r.buf) {
		b, err := r.take(n + macLen)
		if err != nil {
			return nil, err
		}
		r.mac.absorb(b[:n])
		if subtle.ConstantTimeCompare(r.mac.body(), b[n:]) != 1 {
			return nil, nil
		}
		r.stream.XORKeyStream(b[:n], b[:n])
		r.shrink()
		return b[:n], nil
	}
	r.large = time.Now()
	b := r.frame[:0]
	for len(b) < n {
		want := min(n-len(b), step)
		b = grow(b, want, n)
		part := b[len(b) : len(b)+want]
		if err := r.full(part); err != nil {
			return nil, err
		}
		// Decrypted before the MAC is known, but not given out.
		r.mac.absorb(part)
		r.stream.XORKeyStream(part, part)
		b = b[:len(b)+want]
		r.frame = b
	}
	mac, err := r.take(macLen)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(r.mac.body(), mac) != 1 {
		return nil, nil
	}
	return b, nil
}

// grow makes room for n more bytes. A buffer at most doubles at a time, towards
// most, so that its size follows what has arrived and not what was claimed.
func grow(b []byte, n, most int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := make([]byte, len(b), max(len(b)+n, min(2*cap(b), most)))
	copy(bigger, b)
	return bigger
}

// full fills b, from the buffer first.
func (r *reader) full(b []byte) error {
	n := copy(b, r.buf[r.start:r.end])
	if r.start += n; r.start == r.end {
		r.start, r.end = 0, 0
	}
	if n == len(b) {
		return nil
	}
	_, err := io.ReadFull(r.nc, b[n:])
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return err
}

// shrink lets go of large buffers that are no longer needed: an idle peer is
// to cost little (threat B-06).
func (r *reader) shrink() {
	if cap(r.frame) == 0 && cap(r.plain) <= readBuffer {
		return
	}
	if time.Since(r.large) > keepLarge {
		r.frame, r.plain = nil, nil
	}
}
