package native

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
)

const (
	laneMessages = 256                    // of consensus that wait to be written
	laneBytes    = 4 << 20                // in sum
	laneWait     = 250 * time.Millisecond // for a place, then ErrQueueFull
	frameTime    = 10 * time.Second       // for a frame, besides its length at frameRate
	frameRate    = 32 << 10               // bytes a second
	laneStall    = 20 * time.Second       // of a write, then the peer is dropped
)

// lane is the consensus lane of a session: a stream of our own to write on,
// which stands apart from all else, and a bounded queue before it.
type lane struct {
	s     *session
	queue chan []byte
	room  chan int // holds the free bytes; whoever has it decides
	freed chan struct{}
	start chan struct{} // a token until the writer runs
}

func newLane(s *session) *lane {
	l := &lane{s: s, queue: make(chan []byte, laneMessages), room: make(chan int, 1), freed: make(chan struct{}, 1), start: make(chan struct{}, 1)}
	l.room <- laneBytes
	l.start <- struct{}{}
	return l
}

// send queues a message. It waits briefly for room and then errs.
func (l *lane) send(ctx context.Context, b []byte) error {
	switch most := l.s.node.w.cfg.MaxConsensusBytes; {
	case len(b) == 0:
		return errors.New("native: consensus message is empty")
	case len(b) > most:
		return fmt.Errorf("native: consensus message: %w: %d bytes, at most %d", wire.ErrTooLarge, len(b), most)
	}
	if l.s.ctx.Err() != nil {
		return wire.ErrClosed
	}
	select {
	case <-l.start:
		l.s.node.tasks.Go(l.write)
	default:
	}
	late := time.NewTimer(laneWait)
	defer late.Stop()
	for {
		ok, err := l.reserve(ctx, len(b))
		if err != nil {
			return err
		}
		if ok {
			break
		}
		select {
		case <-l.freed:
		case <-late.C:
			return l.full()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.s.ctx.Done():
			return wire.ErrClosed
		}
	}
	select {
	case l.queue <- b:
		return nil
	case <-late.C:
		l.giveBack(len(b))
		return l.full()
	case <-ctx.Done():
		l.giveBack(len(b))
		return context.Cause(ctx)
	case <-l.s.ctx.Done():
		return wire.ErrClosed
	}
}

func (l *lane) full() error {
	l.s.node.host.Report(wire.Dropped{ID: l.s.info.ID, Queue: "consensus", Count: 1})
	return wire.ErrQueueFull
}

func (l *lane) reserve(ctx context.Context, n int) (bool, error) {
	select {
	case free := <-l.room:
		if free >= n {
			free -= n
			n = 0
		}
		l.room <- free
		if n == 0 && free > 0 {
			l.signal() // another may fit too
		}
		return n == 0, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-l.s.ctx.Done():
		return false, wire.ErrClosed
	}
}

func (l *lane) giveBack(n int) {
	free := <-l.room // held for a moment only
	l.room <- free + n
	l.signal()
}

func (l *lane) signal() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// write is the writer: it lives from the first message to the session's end.
func (l *lane) write() {
	var st network.Stream
	defer func() {
		if st != nil {
			st.Reset()
		}
	}()
	for {
		select {
		case <-l.s.ctx.Done():
			return
		case b := <-l.queue:
			var err error
			st, err = l.put(st, b)
			l.giveBack(len(b))
			if p2phost.IsTimeout(err) {
				l.s.node.Charge(l.s.link.Conn, peer.NotReading, fmt.Sprintf("consensus frame of %d bytes was not read within %v", len(b), laneStall))
				l.s.end(peer.Slow, false, "consensus lane is not read")
				return
			}
		}
	}
}

// put writes one message, on a stream that it opens if there is none. A stream
// that has ended is tried anew, once.
func (l *lane) put(st network.Stream, b []byte) (network.Stream, error) {
	frame := codec.AppendFrame(make([]byte, 0, codec.FrameSize(len(b))), b)
	for try := 0; ; try++ {
		var err error
		if st == nil {
			ctx, cancel := context.WithTimeout(l.s.ctx, laneStall)
			st, err = l.s.node.p2p.OpenStream(ctx, l.s.link.Conn, codec.ConsensusProtocol)
			cancel()
		}
		if err == nil {
			stop := context.AfterFunc(l.s.ctx, func() { st.Reset() })
			st.SetWriteDeadline(time.Now().Add(laneStall))
			_, err = st.Write(frame)
			stop()
		}
		if err == nil {
			l.s.node.count(onConsensus, false, len(b))
			return st, nil
		}
		if st != nil {
			st.Reset()
		}
		if try == 1 || l.s.ctx.Err() != nil || p2phost.IsTimeout(err) {
			if l.s.ctx.Err() == nil {
				l.s.node.host.Report(wire.Dropped{ID: l.s.info.ID, Queue: "consensus-stream", Count: 1})
			}
			return nil, err
		}
		st = nil
	}
}

// acceptConsensus reads a peer's consensus lane. One message is judged after
// the other, so a Host that is slow slows down this peer's lane only.
func (n *node) acceptConsensus(st network.Stream) {
	defer st.Reset()
	l := n.book.Link(st.Conn())
	if l == nil || !n.book.Enter(&l.Own.consensus, 1) {
		return
	}
	defer n.book.Leave(&l.Own.consensus)
	s := n.await(l)
	if s == nil {
		return
	}
	stop := context.AfterFunc(s.ctx, func() { st.Reset() })
	defer stop()
	in := &paced{Reader: st}
	in.buf = bufio.NewReaderSize(in, 4<<10)
	for {
		b, err := readConsensus(st, in, n.w.cfg.MaxConsensusBytes)
		if err != nil {
			n.Fault(l.Conn, err)
			return
		}
		n.count(onConsensus, true, len(b))
		v := n.host.Check(s.ctx, s, wire.Consensus{Bytes: b})
		if v.Action == chain.Reject {
			n.w.cfg.Logger.Debug("consensus message rejected", "peer", l.Conn.RemotePeer().String(), "reason", v.Reason)
		}
	}
}

// paced notes how the bytes of a frame come in.
type paced struct {
	io.Reader
	pace p2phost.Pace
	buf  *bufio.Reader // over this
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.pace.Came(n)
	return n, err
}

// readConsensus reads one frame: the stream may rest between frames for as
// long as the session lives, but not inside one.
func readConsensus(st network.Stream, in *paced, most int) ([]byte, error) {
	st.SetReadDeadline(time.Time{})
	if _, err := in.buf.Peek(1); err != nil {
		return nil, err
	}
	in.pace.Begin(in.buf.Buffered())
	st.SetReadDeadline(time.Now().Add(frameTime))
	n, err := codec.ReadLength(in.buf, most)
	if err == nil && n == 0 {
		return nil, &wire.Fault{Offense: peer.BadEncoding, Err: errors.New("native: consensus message is empty")}
	}
	if err != nil {
		return nil, in.slow(err)
	}
	st.SetReadDeadline(time.Now().Add(frameTime + time.Duration(n)*time.Second/frameRate))
	b, err := codec.ReadBody(in.buf, n)
	if err != nil {
		return nil, in.slow(err)
	}
	return b, nil
}

// slow makes a missed deadline the remote's fault, if its frame drips in. A
// link may be slow, or stop.
func (p *paced) slow(err error) error {
	if p2phost.IsTimeout(err) && p.pace.Drips() {
		return &wire.Fault{Offense: peer.SlowFrame, Err: err}
	}
	return err
}
