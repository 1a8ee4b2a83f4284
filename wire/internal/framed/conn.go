package framed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

const (
	readBuffer = 16 << 10         // of each link
	smallFrame = 4 << 10          // bytes; smaller frames need no grant: a link has one at a time
	readStep   = 64 << 10         // read at once, and taken before anything has arrived
	growth     = 4                // how many times what has arrived is taken next
	frameTime  = 10 * time.Second // for any frame (threat Z-01)
	frameRate  = 32 << 10         // bytes a second that a frame must reach besides
	grantTime  = 30 * time.Second // longest wait for memory
	maxHead    = 4 << 10
)

// Errors of Conn.Read that are nobody's fault. io.EOF is the end of the link
// between two frames.
var (
	// ErrIdle: no frame began in time.
	ErrIdle = errors.New("framed: nothing came in time")
	// ErrSlow: a frame did not end in time, as happens on slow links.
	ErrSlow = errors.New("framed: a frame came too slowly")
	// ErrStarved: there was no memory for a frame.
	ErrStarved error = ours("framed: no memory for a frame")
)

// ours is an error that wraps wire.ErrOurs.
type ours string

func (e ours) Error() string { return string(e) }
func (ours) Unwrap() error   { return wire.ErrOurs }

// Conn is one link, frame by frame. One goroutine may read while another
// writes. A Link takes over a Conn whose handshake is done.
type Conn struct {
	raw    net.Conn
	codec  Codec
	stream Streamer // the codec, if it is one; else does nothing and keeps all
	budget *intake.Budget
	in     *bufio.Reader // over src
	src    source
	most   time.Time // deadline of a ctx, for all of Read
}

// NewConn wraps a connection, of which nothing must be read but through the
// Conn. The budget is the node's, shared by all its links.
func NewConn(raw net.Conn, codec Codec, budget *intake.Budget) *Conn {
	if n := codec.HeadSize(); n < 1 || n > maxHead {
		panic(fmt.Sprintf("framed: HeadSize is %d, want 1 to %d", n, maxHead))
	}
	c := &Conn{raw: raw, codec: codec, budget: budget, src: source{raw: raw}}
	if c.stream, _ = codec.(Streamer); c.stream == nil {
		c.stream = whole{}
	}
	c.in = bufio.NewReaderSize(&c.src, readBuffer)
	return c
}

// whole is for codecs that take bodies as a whole.
type whole struct{}

func (whole) Part([]byte) {}
func (whole) Keeps() bool { return true }

// Raw is the connection itself: for its addresses and options.
func (c *Conn) Raw() net.Conn { return c.raw }

// Close closes the connection at once and wakes all who wait for it.
func (c *Conn) Close() error { return c.raw.Close() }

// source notes how the bytes of a frame come in.
type source struct {
	raw   net.Conn
	pace  intake.Pace
	grant *intake.Grant // nil: none
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.raw.Read(b[:min(len(b), readStep)])
	s.pace.Came(n)
	if s.grant != nil {
		s.grant.Came(n)
	}
	return n, err
}

// Read blocks for the next frame: at most idle until it begins, and then for
// as long as a frame of its length may take; never past the deadline of ctx.
// The end of ctx alone ends only a wait for memory: close the Conn to end a
// Read. Frames that nobody wants are skipped.
func (c *Conn) Read(ctx context.Context, idle time.Duration) (Frame, error) {
	c.most, _ = ctx.Deadline()
	for {
		f, skipped, err := c.read(ctx, idle)
		if err != nil || !skipped {
			return f, err
		}
	}
}

func (c *Conn) read(ctx context.Context, idle time.Duration) (f Frame, skipped bool, err error) {
	size := c.codec.HeadSize()
	if c.in.Buffered() == 0 {
		c.within(idle)
		if _, err := c.in.Peek(1); err != nil {
			if intake.IsTimeout(err) {
				err = ErrIdle
			}
			return f, false, err
		}
	}
	c.src.pace.Begin(c.in.Buffered())
	if c.in.Buffered() < size {
		c.within(frameTime)
	}
	head, err := c.in.Peek(size)
	if err != nil {
		return f, false, c.cut(err, len(head), size)
	}
	h, err := c.codec.Head(head)
	if err != nil {
		return f, false, err
	}
	c.in.Discard(size)
	if h.Skip {
		return f, true, c.skip(h.Size)
	}
	body, mem, err := c.body(ctx, h.Size)
	if err != nil {
		return f, false, err
	}
	f.mem = mem
	f.Code, f.Payload, err = c.codec.Open(body, func(n int) error { return c.more(ctx, f.mem, n) })
	if err != nil {
		mem.giveBack()
		return Frame{}, false, err
	}
	if len(body) > readStep && !c.stream.Keeps() {
		c.budget.Reuse(body)
	}
	return f, false, nil
}

// within sets the read deadline d from now, or at that of the ctx.
func (c *Conn) within(d time.Duration) {
	at := time.Now().Add(d)
	if !c.most.IsZero() && c.most.Before(at) {
		at = c.most
	}
	c.raw.SetReadDeadline(at)
}

// body reads n bytes, once there is memory for them.
func (c *Conn) body(ctx context.Context, n int) ([]byte, *memory, error) {
	mem := &memory{}
	if n > smallFrame {
		wait, cancel := context.WithTimeout(ctx, grantTime)
		g, err := c.budget.Frame(wait, n, func() { c.raw.SetReadDeadline(time.Unix(1, 0)) })
		cancel()
		if err != nil {
			return nil, nil, fmt.Errorf("%w of %d bytes: %w", ErrStarved, n, err)
		}
		mem.grant = g
		g.Came(c.in.Buffered())
	}
	if n > c.in.Buffered() {
		c.within(frameTime + time.Duration(n)*time.Second/frameRate)
	}
	c.src.grant = mem.grant
	b, got, err := c.readBody(n)
	c.src.grant = nil
	if err != nil {
		err = c.cut(err, got, n)
		if mem.grant != nil && mem.grant.Late() {
			err = fmt.Errorf("%w: it came too slowly while others waited, %d of %d bytes", ErrStarved, got, n)
		}
		mem.giveBack()
		return nil, nil, err
	}
	if mem.grant != nil {
		mem.grant.Whole()
	}
	return b, mem, nil
}

// readBody takes memory as bytes arrive, so a length alone costs nothing, and
// hands on each part. More than the first step is taken of what others used
// before, where that is to be had.
func (c *Conn) readBody(n int) (b []byte, got int, err error) {
	b = make([]byte, min(n, readStep))
	for {
		for got < len(b) {
			k, err := io.ReadFull(c.in, b[got:min(len(b), got+readStep)])
			c.stream.Part(b[got : got+k])
			got += k
			if err != nil {
				return b, got, err
			}
		}
		if got == n {
			return b, got, nil
		}
		more := c.budget.Scratch(n)
		if more == nil {
			more = make([]byte, min(n, growth*got))
		}
		copy(more, b)
		b = more
	}
}

// more grants memory beside a frame's own.
func (c *Conn) more(ctx context.Context, mem *memory, n int) error {
	if n <= smallFrame {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, grantTime)
	defer cancel()
	give, err := c.budget.More(wait, n)
	if err != nil {
		return fmt.Errorf("%w, decoded, of %d bytes: %w", ErrStarved, n, err)
	}
	mem.extra = append(mem.extra, give)
	return nil
}

// skip reads past n bytes.
func (c *Conn) skip(n int) error {
	if n > c.in.Buffered() {
		c.within(frameTime + time.Duration(n)*time.Second/frameRate)
	}
	if got, err := io.CopyN(io.Discard, c.in, int64(n)); err != nil {
		return c.cut(err, int(got), n)
	}
	return nil
}

// cut is the error for a link that failed inside a frame, of which have bytes
// of want are there. A reset is nobody's fault, nor is a late frame that does
// not drip.
func (c *Conn) cut(err error, have, want int) error {
	switch {
	case intake.IsTimeout(err) && c.src.pace.Drips():
		return &wire.Fault{Offense: peer.SlowFrame, Err: fmt.Errorf("framed: %d of %d bytes at the deadline", have, want)}
	case intake.IsTimeout(err):
		return fmt.Errorf("%w: %d of %d bytes at its deadline", ErrSlow, have, want)
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return &wire.Fault{Offense: peer.TruncatedFrame, Err: fmt.Errorf("framed: the link ended in a frame, after %d of %d bytes", have, want)}
	}
	return fmt.Errorf("framed: read: %w", err)
}

// Write writes one frame and blocks until the system has taken it, at most
// until the deadline of ctx: for handshakes. A Link writes by itself.
func (c *Conn) Write(ctx context.Context, code uint64, payload []byte) error {
	b, err := c.codec.Seal(nil, code, payload)
	if err != nil {
		return fmt.Errorf("framed: seal: %w", err)
	}
	at, _ := ctx.Deadline()
	c.raw.SetWriteDeadline(at)
	if _, err := c.raw.Write(b); err != nil {
		return fmt.Errorf("framed: write: %w", err)
	}
	return nil
}
