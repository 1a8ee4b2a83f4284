package reqresp_test

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// link is one direction of a connection: bytes of all its streams leave one
// after the other at its rate, and arrive latency later.
type link struct {
	mu      sync.Mutex
	rate    int // bytes a second; 0: no bound
	latency time.Duration
	busy    time.Time
}

func (l *link) arrival(n int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.busy.Before(now) {
		l.busy = now
	}
	if l.rate > 0 {
		l.busy = l.busy.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
	}
	return l.busy.Add(l.latency)
}

type segment struct {
	b  []byte
	at time.Time
}

var errReset = errors.New("stream reset")

// half is one direction of a stream.
type half struct {
	link    *link
	mu      sync.Mutex
	segs    []segment
	size    int
	room    int
	ended   bool // the writer has closed
	deaf    bool // the reader has closed
	reset   bool
	rd, wd  time.Time
	changed chan struct{}
	read    int // bytes read in all
}

func newHalf(l *link, room int) *half {
	return &half{link: l, room: room, changed: make(chan struct{})}
}

func (h *half) change(f func()) {
	h.mu.Lock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()
}

// wait blocks for a change or until t.
func (h *half) wait(changed chan struct{}, t time.Time) {
	if t.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (h *half) Read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		now := time.Now()
		switch {
		case h.reset:
			h.mu.Unlock()
			return 0, errReset
		case h.deaf:
			h.mu.Unlock()
			return 0, io.ErrClosedPipe
		case !h.rd.IsZero() && !now.Before(h.rd):
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(h.segs) == 0 && h.ended:
			h.mu.Unlock()
			return 0, io.EOF
		case len(h.segs) > 0 && !h.segs[0].at.After(now):
			n := 0
			for n < len(p) && len(h.segs) > 0 && !h.segs[0].at.After(now) {
				k := copy(p[n:], h.segs[0].b)
				n += k
				if h.segs[0].b = h.segs[0].b[k:]; len(h.segs[0].b) == 0 {
					h.segs = h.segs[1:]
				}
			}
			h.size -= n
			h.read += n
			close(h.changed)
			h.changed = make(chan struct{})
			h.mu.Unlock()
			return n, nil
		}
		until := h.rd
		if len(h.segs) > 0 {
			until = earliest(h.segs[0].at, h.rd)
		}
		changed := h.changed
		h.mu.Unlock()
		h.wait(changed, until)
	}
}

func (h *half) Write(p []byte) (int, error) {
	done := 0
	for {
		h.mu.Lock()
		switch {
		case h.reset:
			h.mu.Unlock()
			return done, errReset
		case h.ended:
			h.mu.Unlock()
			return done, io.ErrClosedPipe
		case !h.wd.IsZero() && !time.Now().Before(h.wd):
			h.mu.Unlock()
			return done, os.ErrDeadlineExceeded
		case h.deaf: // what nobody reads is thrown away
			h.mu.Unlock()
			return len(p), nil
		case h.size < h.room:
			n := min(len(p)-done, h.room-h.size, 8<<10)
			h.segs = append(h.segs, segment{append([]byte(nil), p[done:done+n]...), h.link.arrival(n)})
			h.size += n
			done += n
			close(h.changed)
			h.changed = make(chan struct{})
			h.mu.Unlock()
			if done == len(p) {
				return done, nil
			}
			continue
		}
		until, changed := h.wd, h.changed
		h.mu.Unlock()
		h.wait(changed, until)
	}
}

// end is one side of a stream.
type end struct {
	in, out  *half
	closeErr error
}

func (e *end) Read(p []byte) (int, error)  { return e.in.Read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.Write(p) }

func (e *end) Close() error {
	e.out.change(func() { e.out.ended = true })
	e.in.change(func() { e.in.deaf = true; e.in.segs, e.in.size = nil, 0 })
	return e.closeErr
}

func (e *end) Reset() error {
	e.out.change(func() { e.out.reset = true })
	e.in.change(func() { e.in.reset = true })
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.change(func() { e.in.rd = t })
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.out.change(func() { e.out.wd = t })
	return nil
}

// stream opens a stream over two directions: to the server and back.
func stream(to, back *link) (asker, server *end) {
	a, b := newHalf(to, 256<<10), newHalf(back, 256<<10)
	return &end{in: b, out: a}, &end{in: a, out: b}
}

// pair is a stream over links without rate or latency.
func pair() (asker, server *end) { return stream(&link{}, &link{}) }
