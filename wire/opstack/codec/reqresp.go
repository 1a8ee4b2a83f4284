package codec

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

// Result is the first byte of an answer to payload_by_number.
type Result byte

// The results. From 128 on they are reserved.
const (
	ResultOK       Result = 0
	ResultNotFound Result = 1
	ResultInvalid  Result = 2 // the number is before the genesis or in the future
	ResultOther    Result = 3 // throttled, or trouble of its own
)

// RequestSize is the length of a request.
const RequestSize = 8

// AppendRequest appends a request for the block of a number.
func AppendRequest(dst []byte, number uint64) []byte {
	return binary.LittleEndian.AppendUint64(dst, number)
}

// ReadRequest reads a request. What follows it is not read: op-node ignores it.
func ReadRequest(r io.Reader) (number uint64, err error) {
	var b [RequestSize]byte
	if n, err := io.ReadFull(r, b[:]); err != nil {
		if n > 0 && err == io.ErrUnexpectedEOF {
			return 0, fault(peer.TruncatedFrame, "request ended after %d of %d bytes", n, RequestSize)
		}
		// It is written at once, so nobody honest is at such a point.
		if n > 0 && intake.IsTimeout(err) {
			return 0, fault(peer.SlowFrame, "request of %d bytes, %d in time", RequestSize, n)
		}
		return 0, fmt.Errorf("opstack: read request: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// answerVersion is 1 for payloads behind a parent beacon block root.
func answerVersion(v Version) uint32 {
	if v.Enveloped() {
		return 1
	}
	return 0
}

// WriteAnswer writes an envelope as the answer to a request: result, version,
// and the envelope in framed snappy.
func WriteAnswer(w io.Writer, e *Envelope) error {
	if n := e.Size(); n > MaxMessage {
		return fmt.Errorf("%w: block %d has %d bytes, an answer at most %d", ErrTooLarge, e.Number, n, MaxMessage)
	}
	head := binary.LittleEndian.AppendUint32([]byte{byte(ResultOK)}, answerVersion(e.Version))
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("opstack: write answer: %w", err)
	}
	z := s2.NewWriter(w, s2.WriterSnappyCompat(), s2.WriterBlockSize(64<<10), s2.WriterConcurrency(1))
	_, err := z.Write(AppendEnvelope(make([]byte, 0, e.Size()), e))
	if cerr := z.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("opstack: write answer: %w", err)
	}
	return nil
}

// WriteRefusal writes the answer of a side that does not serve a request: one
// byte, as op-node does.
func WriteRefusal(w io.Writer, r Result) error {
	if _, err := w.Write([]byte{byte(r)}); err != nil {
		return fmt.Errorf("opstack: write answer: %w", err)
	}
	return nil
}

// ReadAnswer reads an answer to its end. Where the result is not ResultOK there
// is no envelope; bytes that follow such a result are left. version picks the
// layout: it is told whether a parent beacon block root comes first. Compressed
// and decoded bytes are bounded, each by MaxMessage, and memory is taken as
// bytes come.
func ReadAnswer(r io.Reader, version func(enveloped bool) Version) (Result, *Envelope, error) {
	return ReadAnswerWithin(r, version, func(int) error { return nil })
}

// ReadAnswerWithin is ReadAnswer; grow is asked before so many more bytes of
// memory are taken, and its error ends the reading.
func ReadAnswerWithin(r io.Reader, version func(enveloped bool) Version, grow func(more int) error) (Result, *Envelope, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return 0, nil, truncated(err, "an answer ended before its result")
	}
	if res := Result(head[0]); res != ResultOK {
		return res, nil, nil
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return 0, nil, truncated(err, "an answer ended in its version")
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > 1 {
		return 0, nil, bad("answer of version %d, want 0 or 1", n)
	}
	body, err := readFramed(r, grow)
	if err != nil {
		return 0, nil, err
	}
	v := version(n == 1)
	if answerVersion(v) != n {
		return 0, nil, bad("answer of version %d where the block's time calls for a payload %s", n, v)
	}
	e, err := DecodeEnvelope(body, v)
	return ResultOK, e, err
}

// readFramed reads framed snappy to its end.
func readFramed(r io.Reader, grow func(int) error) ([]byte, error) {
	in := &bounded{r: r, left: MaxMessage}
	z := s2.NewReader(in, s2.ReaderMaxBlockSize(64<<10), s2.ReaderAllocBlock(64<<10))
	var out []byte
	for {
		if len(out) == cap(out) {
			size := min(max(2*cap(out), 16<<10), MaxMessage+1)
			if err := grow(size - cap(out)); err != nil {
				return nil, err
			}
			grown := make([]byte, len(out), size)
			copy(grown, out)
			out = grown
		}
		n, err := z.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case in.over, len(out) > MaxMessage:
			return nil, fault(peer.Bomb, "answer of more than %d bytes, compressed or not", MaxMessage)
		case err == io.EOF:
			return out, nil
		case err != nil && in.err != nil:
			return nil, fmt.Errorf("opstack: read answer: %w", in.err)
		case err != nil:
			return nil, bad("answer: framed snappy: %w", err)
		}
	}
}

// bounded reads so much and no more, and keeps the error of its source apart
// from those of who decodes.
type bounded struct {
	r    io.Reader
	left int
	over bool
	err  error // but for io.EOF
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		b.over = true
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func truncated(err error, what string) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fault(peer.TruncatedFrame, "%s", what)
	}
	return fmt.Errorf("opstack: read answer: %w", err)
}
