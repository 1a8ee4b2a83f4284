package framed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

const (
	batchBytes    = 64 << 10               // of frames that are written at once
	keepBuffer    = 256 << 10              // a write buffer that grew larger is not kept (threat B-06)
	consensusWait = 250 * time.Millisecond // for a place on the consensus lane
	farewellTime  = time.Second            // for a last message, and again for its reader
)

// Config is what a Link does. Handle is required; the zero value of all else
// works.
type Config struct {
	// Handle takes each frame, in order, on the reading goroutine, and owns it.
	// While it runs nothing else is read, so it must not wait for peers, disks
	// or checks: those go through an Inbox. An error ends the link.
	Handle func(Frame) error
	// Fault is told of each checkable fault of the remote; the error holds a
	// *wire.Fault. It must not block.
	Fault func(error)
	// Dropped is told of messages that were not sent, because a lane was full.
	// It must not block.
	Dropped func(l wire.Lane, messages int)

	Idle  time.Duration        // longest without a frame; 0: 45 s
	Stall time.Duration        // longest that the remote reads nothing (threat Z-02); 0: 20 s
	Queue [wire.NumLanes]Bound // of what waits to be sent
	Burst int                  // messages that may go before one of a lower lane; 0: 16
}

func (c Config) withDefaults() Config {
	if c.Handle == nil {
		panic("framed: Config.Handle is missing")
	}
	if c.Fault == nil {
		c.Fault = func(error) {}
	}
	if c.Dropped == nil {
		c.Dropped = func(wire.Lane, int) {}
	}
	if c.Idle <= 0 {
		c.Idle = 45 * time.Second
	}
	if c.Stall <= 0 {
		c.Stall = 20 * time.Second
	}
	if c.Burst <= 0 {
		c.Burst = 16
	}
	return c
}

// End is how a link ended.
type End struct {
	Reason   peer.Reason
	ByRemote bool
	Detail   string // for people, cleaned
}

// Link carries messages both ways over a Conn until it ends. All methods are
// safe for concurrent use.
type Link struct {
	conn *Conn
	cfg  Config
	q    *queue
	done chan struct{} // closed when the end is decided

	large Out     // the writer's: goes next; without a payload: none
	asked []*Mark // the writer's: of what is being written

	mu    sync.Mutex // a leaf
	ended bool
	end   End
	last  *Out // to be sent before the connection is closed
}

// NewLink makes a link of a Conn whose handshake is done. Messages can be
// queued at once; they travel once Run is called, which must happen even for a
// link that is closed before: Run closes the connection.
func NewLink(c *Conn, cfg Config) *Link {
	cfg = cfg.withDefaults()
	return &Link{conn: c, cfg: cfg, q: newQueue(cfg.Queue, cfg.Burst), done: make(chan struct{})}
}

// Done is closed when the link has ended; Run returns soon after.
func (l *Link) Done() <-chan struct{} { return l.done }

// End is how the link ended; false while it has not.
func (l *Link) End() (End, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end, l.ended
}

// Close ends the link. It never blocks; the first reason counts.
func (l *Link) Close(why peer.Reason) { l.finish(End{Reason: why}, nil) }

// CloseWith is Close, with a last message to the remote.
func (l *Link) CloseWith(why peer.Reason, last Out) { l.finish(End{Reason: why}, &last) }

// CloseByRemote ends the link because the remote said so.
func (l *Link) CloseByRemote(why peer.Reason, detail string) {
	l.finish(End{Reason: why, ByRemote: true, Detail: peer.Clean(detail)}, nil)
}

func (l *Link) finish(e End, last *Out) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended, l.end, l.last = true, e, last
	close(l.done)
}

// Waiting is how many messages wait on a lane.
func (l *Link) Waiting(lane wire.Lane) int { return l.q.waiting(lane) }

// Send queues a message and follows the lane's policy where it is full. A nil
// error means queued, not delivered.
func (l *Link) Send(ctx context.Context, lane wire.Lane, m Out) error {
	if lane >= wire.NumLanes {
		return fmt.Errorf("framed: there is no lane %d", lane)
	}
	lane = laneOf(lane, m)
	var late <-chan time.Time
	for {
		select {
		case <-l.done:
			return wire.ErrClosed
		default:
		}
		ok, freed, old := l.q.push(lane, m)
		if old > 0 {
			l.cfg.Dropped(lane, old)
		}
		switch {
		case ok:
			return nil
		case dropsOldest(lane): // there is none, and yet no room
			l.cfg.Dropped(lane, 1)
			return wire.ErrQueueFull
		case lane == wire.LaneConsensus && late == nil:
			t := time.NewTimer(consensusWait)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-freed:
		case <-late:
			l.cfg.Dropped(lane, 1)
			return wire.ErrQueueFull
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.done:
			return wire.ErrClosed
		}
	}
}

// Run carries messages until the link ends, and closes the connection. The end
// of ctx closes it with the reason "quitting". It is called once, and returns
// with nothing left behind.
func (l *Link) Run(ctx context.Context) End {
	stop := context.AfterFunc(ctx, func() { l.Close(peer.Stopping) })
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	read, written := make(chan struct{}), make(chan bool, 1)
	wg.Go(func() {
		defer close(read)
		l.read(ctx)
	})
	wg.Go(func() { written <- l.write() })
	<-l.done
	cancel()
	l.mu.Lock()
	end, last := l.end, l.last
	l.mu.Unlock()
	if last != nil {
		l.farewell(*last, read, written)
	}
	l.conn.Close()
	wg.Wait()
	return end
}

// farewell writes the last message, behind whatever is being written, and
// gives the remote a moment to read it: a connection that is closed with
// something unread is reset, and what was sent is lost.
func (l *Link) farewell(last Out, read <-chan struct{}, written <-chan bool) {
	l.conn.raw.SetWriteDeadline(time.Now().Add(farewellTime)) // wakes the writer
	if whole := <-written; !whole {
		return
	}
	l.conn.raw.SetWriteDeadline(time.Now().Add(farewellTime))
	b, err := l.conn.codec.Seal(nil, last.Code, last.Payload)
	if err != nil {
		return
	}
	if _, err := l.conn.raw.Write(b); err != nil {
		return
	}
	half, ok := l.conn.raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	late := time.NewTimer(farewellTime)
	defer late.Stop()
	select {
	case <-read:
	case <-late.C:
	}
}

// read handles frames until the link ends; afterwards it reads on until the
// connection does, so that the remote can read its last message.
func (l *Link) read(ctx context.Context) {
	for {
		f, err := l.next(ctx)
		if err != nil {
			l.failed(err)
			return
		}
		if _, ended := l.End(); ended {
			f.Release()
			continue
		}
		if err := l.handle(f); err != nil {
			f.Release()
			l.failed(err)
			return
		}
	}
}

// next catches a panic in a codec, behind which nothing can be read.
func (l *Link) next(ctx context.Context) (f Frame, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &wire.Fault{Offense: peer.BrokeHandler, Err: fmt.Errorf("framed: codec panicked: %.200v", r)}
		}
	}()
	return l.conn.Read(ctx, l.cfg.Idle)
}

// handle catches a panic in a handler: a peer must not be able to stop the
// node by finding one (threat M-12).
func (l *Link) handle(f Frame) (err error) {
	defer func() {
		if r := recover(); r != nil {
			f.Release()
			l.cfg.Fault(&wire.Fault{Offense: peer.BrokeHandler, Err: fmt.Errorf("framed: handler of message %d panicked: %.200v", f.Code, r)})
		}
	}()
	return l.cfg.Handle(f)
}

// failed ends the link for an error of its reader.
func (l *Link) failed(err error) {
	if _, ended := l.End(); ended {
		return
	}
	var fault *wire.Fault
	end := End{Reason: peer.LinkLost, ByRemote: true, Detail: peer.Clean(err.Error())}
	switch {
	case errors.As(err, &fault) && fault.Offense == peer.TruncatedFrame:
		l.cfg.Fault(err)
	case errors.As(err, &fault):
		l.cfg.Fault(err)
		end.ByRemote = false
		if end.Reason = peer.BadScore; fault.Offense == peer.SlowFrame {
			end.Reason = peer.Slow
		}
	case errors.Is(err, ErrIdle):
		end.Reason, end.ByRemote = peer.Idle, false
	case errors.Is(err, ErrSlow):
		end.Reason, end.ByRemote = peer.Slow, false
	case errors.Is(err, ErrStarved):
		end.Reason, end.ByRemote = peer.Internal, false
	case errors.Is(err, io.EOF):
		end.Detail = ""
	}
	l.finish(end, nil)
}
