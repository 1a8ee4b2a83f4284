package devp2p

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/internal/framed"
)

// Protocol is one of the embedder's own, spoken beside eth on the sessions of
// peers that have it too.
type Protocol struct {
	Name    string // 1 to 8 bytes
	Version uint
	Length  uint64 // message codes that it takes, from 0 on
	// Run speaks it with one peer, from when the session is open until ctx ends.
	// When it returns, the session is closed: with an error as a fault of the
	// protocol, with nil as requested. Runs of several peers are concurrent.
	Run func(ctx context.Context, s *Stream) error
	// Places are sessions, of the most that the node has, that are kept for peers
	// which have this protocol: others are refused as too many when only those are
	// left, whoever dialled. 0: none.
	Places int
	// NodeInfo and PeerInfo are shown by admin_nodeInfo and admin_peers; nil:
	// nothing is.
	NodeInfo func() any
	PeerInfo func(peer.ID) any
}

// Packet is a message of a Protocol.
type Packet struct {
	Code    uint64
	Payload []byte
}

// Stream is the messages of one Protocol on one session. All methods are safe
// for concurrent use.
type Stream struct {
	session *session
	share   base.Share
	lane    wire.Lane

	mu     sync.Mutex // a leaf
	in     []framed.Frame
	bytes  int
	wake   chan struct{} // of capacity 1
	closed bool
}

// What may wait for a protocol's Read. A protocol that does not read loses its
// session: its messages must neither be dropped nor hold up the others.
const (
	streamMessages = 256
	streamBytes    = 4 << 20
)

func newStream(s *session, share base.Share) *Stream {
	return &Stream{session: s, share: share, lane: wire.LaneSync, wake: make(chan struct{}, 1)}
}

// Peer is the other side.
func (s *Stream) Peer() peer.Info { return s.session.Peer() }

// Version is the protocol's version that both sides have.
func (s *Stream) Version() uint { return s.share.Version }

// Read blocks for the next message, until ctx or the session ends.
func (s *Stream) Read(ctx context.Context) (Packet, error) {
	for {
		s.mu.Lock()
		if len(s.in) > 0 {
			f := s.in[0]
			s.in = s.in[1:]
			s.bytes -= f.Size()
			s.mu.Unlock()
			f.Release()
			return Packet{f.Code - s.share.Offset, f.Payload}, nil
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Packet{}, context.Cause(ctx)
		case <-s.session.Done():
			return Packet{}, wire.ErrClosed
		}
	}
}

// Write queues a message and blocks while the queue is full, until ctx or the
// session ends. A nil error means queued, not delivered.
func (s *Stream) Write(ctx context.Context, code uint64, payload []byte) error {
	if code >= s.share.Length {
		return fmt.Errorf("devp2p: %s has no message %d, only %d", s.share.Name, code, s.share.Length)
	}
	if len(payload) > maxMessage {
		return fmt.Errorf("devp2p: message of %d bytes, at most %d: %w", len(payload), maxMessage, wire.ErrTooLarge)
	}
	return s.session.write(ctx, s.lane, s.share, code, payload, 0)
}

// put takes in a message; false if there is no room.
func (s *Stream) put(f framed.Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.in) >= streamMessages || len(s.in) > 0 && s.bytes+f.Size() > streamBytes {
		return false
	}
	s.in = append(s.in, f)
	s.bytes += f.Size()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// end releases what was never read.
func (s *Stream) end() {
	s.mu.Lock()
	rest := s.in
	s.in, s.closed = nil, true
	s.mu.Unlock()
	for _, f := range rest {
		f.Release()
	}
}

// run runs the protocol. A panic of it costs the session and nothing else.
func (s *Stream) run(ctx context.Context, p Protocol) {
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %.200v", r)
				s.session.fault(&wire.Fault{Offense: peer.BrokeHandler, Err: fmt.Errorf("devp2p: protocol %s panicked: %.200v", p.Name, r)})
			}
		}()
		return p.Run(ctx, s)
	}()
	if ctx.Err() != nil {
		return
	}
	if err == nil || errors.Is(err, wire.ErrClosed) {
		s.session.Close(peer.Requested)
		return
	}
	s.session.node.w.cfg.Logger.Debug("a protocol ended with an error", "peer", s.session.info.ID.Short(), "msg", p.Name, "err", peer.Clean(err.Error()))
	s.session.close(peer.ByRemote, base.SubprotocolError)
}
