package reqresp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// readBuffer is the size of the buffer that spares one Read a length byte;
// longer reads pass it by.
const readBuffer = 4 << 10

var bufReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// dripRate is the rate, in bytes a second, below which a late frame that is
// still moving is a fault. A link that is slow, or has stopped, is none.
const dripRate = 256

// frames reads packed frames off a stream, each within its deadline.
type frames struct {
	s    Stream
	l    Limits
	end  time.Time // of the exchange
	br   *bufio.Reader
	from meter
	held func() // gives back what Limits.Take granted; nil: nothing

	// Of the frame that is being read.
	began, late time.Time
}

// Grow implements codec.Memory.
func (f *frames) Grow(n int) error {
	return f.waiting(func() error { return f.l.Memory.Grow(n) })
}

// waiting runs what may wait for memory: a frame is not late for that.
func (f *frames) waiting(grant func() error) error {
	start := time.Now()
	err := grant()
	if waited := time.Since(start); waited >= time.Millisecond {
		f.began, f.late = f.began.Add(waited), f.late.Add(waited)
		f.deadline(f.late)
	}
	return err
}

// Shrink implements codec.Memory.
func (f *frames) Shrink(n int) { f.l.Memory.Shrink(n) }

// meter notes how much has arrived, and when the last of it did.
type meter struct {
	r    io.Reader
	n    int // bytes
	last time.Time
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if n > 0 {
		m.n += n
		m.last = time.Now()
	}
	return n, err
}

func newFrames(s Stream, from io.Reader, l Limits, end time.Time) *frames {
	f := &frames{s: s, l: l, end: end, br: bufReaders.Get().(*bufio.Reader), from: meter{r: from}}
	f.br.Reset(&f.from)
	return f
}

func (f *frames) free() {
	f.br.Reset(nil)
	bufReaders.Put(f.br)
	f.br = nil
}

// next reads one frame, of at most most bytes, which begins within wait.
func (f *frames) next(wait time.Duration, most int) ([]byte, error) {
	f.deadline(time.Now().Add(wait))
	if _, err := f.br.Peek(1); err != nil {
		return nil, f.timeout(err)
	}
	// The length itself has Frame; what follows has what its length allows.
	began := time.Now()
	before := f.from.n - f.br.Buffered()
	f.deadline(began.Add(f.l.Frame))
	n, err := codec.ReadLength(f.br, codec.MaxPacked(most))
	if err != nil {
		return nil, f.slow(err, began, before)
	}
	if f.l.Take != nil && n > smallRequest && f.held == nil {
		if f.held, err = f.l.Take(); err != nil {
			return nil, fmt.Errorf("reqresp: no memory for a request: %w", err)
		}
		began, before = time.Now(), f.from.n-f.br.Buffered()
	}
	f.began, f.late = began, began.Add(f.l.frameTime(n))
	f.deadline(f.late)
	var mem codec.Memory
	if f.l.Memory != nil {
		mem = f
		if err := f.waiting(func() error { return f.l.Memory.Expect(n) }); err != nil {
			return nil, err
		}
	}
	body, err := codec.ReadPackedBody(f.br, n, most, mem)
	if err != nil {
		return nil, f.slow(err, f.began, before)
	}
	return body, nil
}

// giveBack gives back the memory for the request.
func (f *frames) giveBack() {
	if f.held != nil {
		f.held()
		f.held = nil
	}
}

func (f *frames) deadline(t time.Time) {
	if t.After(f.end) {
		t = f.end
	}
	f.s.SetReadDeadline(t) // a stream that cannot is caught by ctx
}

func (f *frames) timeout(err error) error {
	if isTimeout(err) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}

// slow is the error for a failure inside a frame that began then, when before
// bytes had been read. Lateness is a fault only where the bytes still drip in:
// a link that has stopped, or a slow one, does not look like that.
func (f *frames) slow(err error, began time.Time, before int) error {
	now := time.Now()
	got, least := f.from.n-before, int(now.Sub(began).Seconds()*dripRate)
	if isTimeout(err) && now.Sub(began) >= f.l.Frame && now.Sub(f.from.last) < f.l.Frame*6/10 && got < least {
		return faulty(peer.SlowFrame, "%d bytes of a frame in %v", got, now.Sub(began))
	}
	return f.timeout(err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// ackReader acknowledges what it reads.
type ackReader struct {
	s       Stream
	every   int // bytes; 0: never
	pending int
}

func (a *ackReader) Read(p []byte) (int, error) {
	n, err := a.s.Read(p)
	if a.every == 0 {
		return n, err
	}
	if a.pending += n; a.pending >= a.every && err == nil {
		var buf [binary.MaxVarintLen32]byte
		k := binary.PutUvarint(buf[:], uint64(a.pending))
		if _, werr := a.s.Write(buf[:k]); werr != nil {
			a.every = 0 // the server has closed, or will notice; the answer counts
		}
		a.pending = 0
	}
	return n, err
}
