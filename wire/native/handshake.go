package native

import (
	"bufio"
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/book"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
)

// Dial implements wire.Wire.
func (w *Wire) Dial(ctx context.Context, a peer.Addr) error {
	n := w.node.Load()
	if n == nil {
		return wire.ErrClosed
	}
	return n.book.Dial(ctx, n.p2p, a, func(ctx context.Context, d *book.Attempt, c network.Conn) error {
		return n.knock(ctx, d, c, a)
	})
}

// knock makes a connection a session, as the one who dialled.
func (n *node) knock(ctx context.Context, d *book.Attempt, c network.Conn, a peer.Addr) error {
	l := n.book.Link(c)
	if l == nil {
		return n.endedAtOnce(ctx, c)
	}
	if err := n.p2p.Identify(ctx, c); err != nil {
		return n.giveUp(ctx, l, err)
	}
	// Before the remote may see that we dialled, an inbound session simply came
	// first.
	if taken := n.book.ReachedFirst(d, c); taken != nil {
		if taken.link != l {
			n.part(l, peer.Duplicate, "")
		}
		return peer.Refuse(peer.Duplicate)
	}
	st, err := n.p2p.OpenStream(ctx, c, codec.StatusProtocol)
	if errors.Is(err, p2phost.ErrNoProtocol) {
		why := &peer.RefusedError{Reason: peer.NoCommonProto, Detail: "the peer does not speak " + codec.StatusProtocol}
		n.part(l, why.Reason, why.Detail)
		return why
	}
	if err != nil {
		return n.giveUp(ctx, l, err)
	}
	stop := context.AfterFunc(ctx, func() { st.Reset() })
	s := n.newSession(l, st, true)
	theirs, err := s.exchange()
	if !stop() || err != nil {
		st.Reset()
		return n.giveUp(ctx, l, errors.Join(err, ctx.Err()))
	}
	if why := n.w.judge(theirs.Chain); why != nil {
		n.part(l, why.Reason, why.Detail)
		return why
	}
	if why := n.open(ctx, s, theirs, a); why != nil {
		return why
	}
	n.tasks.Go(s.keepAsking)
	return nil
}

// endedAtOnce says why a connection ended before it was of any use.
func (n *node) endedAtOnce(ctx context.Context, c network.Conn) error {
	if n.book.With(c.RemotePeer()) != nil {
		return peer.Refuse(peer.Duplicate)
	}
	_, err := c.NewStream(ctx)
	if why := book.ByRemote(err); why != nil {
		return why
	}
	return &peer.RefusedError{Reason: peer.LinkLost, Detail: "the connection ended at once"}
}

// giveUp closes a connection on which a handshake of ours failed, unless
// another handshake made it a session.
func (n *node) giveUp(ctx context.Context, l *link, err error) error {
	// If both sides opened a status stream on this one connection, ours is
	// reset and theirs goes on: it may already be done, or still be under way.
	if n.book.Serves(l) {
		return peer.Refuse(peer.Duplicate)
	}
	why := n.whyFailed(ctx, l, err)
	if n.book.Serves(l) {
		return peer.Refuse(peer.Duplicate)
	}
	if n.book.With(l.Conn.RemotePeer()) != nil { // on another link, which stays
		n.part(l, peer.Duplicate, "")
		return &peer.RefusedError{Reason: peer.Duplicate, Remote: why.Remote}
	}
	n.Fault(l.Conn, err)
	n.part(l, why.Reason, why.Detail)
	return why
}

// acceptStatus makes a connection a session, as the one who was dialled, and
// keeps the status exchange going.
func (n *node) acceptStatus(st network.Stream) {
	c := st.Conn()
	l := n.book.Link(c)
	// If both sides opened a status stream on the same connection, the lower ID's
	// stays.
	if l == nil || n.book.Shared(l) || !n.book.BeginOpening(l) {
		st.Reset()
		return
	}
	defer n.book.EndOpening(l)
	ctx, cancel := context.WithTimeout(n.tasks.Ctx, sessionTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { st.Reset() })
	s := n.newSession(l, st, false)
	err := n.answerHandshake(ctx, s)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		stop()
		s.abandon(n.whyFailed(ctx, l, err))
		n.Fault(c, err)
		return
	}
	s.keepAnswering()
}

// answerHandshake reads the dialler's status, judges it, offers the session to
// the Host and answers.
func (n *node) answerHandshake(ctx context.Context, s *session) error {
	l, c := s.link, s.link.Conn
	theirs, err := s.read()
	if err != nil {
		n.refused(l, peer.HandshakeFailed, err.Error())
		return err
	}
	if why := n.w.judge(theirs.Chain); why != nil {
		s.write() // so that both sides know why
		n.refused(l, why.Reason, why.Detail)
		return why
	}
	if err := n.p2p.Identify(ctx, c); err != nil {
		n.refused(l, peer.HandshakeFailed, err.Error())
		return err
	}
	if err := n.book.Yield(ctx, l); err != nil {
		return err
	}
	if why := n.open(ctx, s, theirs, peer.Addr{}); why != nil {
		return why
	}
	return s.write()
}

// refused reports an inbound handshake that failed.
func (n *node) refused(l *link, why peer.Reason, detail string) {
	n.host.Report(wire.Refused{Link: p2phost.LinkOf(l.Conn), Reason: why, Detail: peer.Clean(detail)})
}

// open offers a session to the Host and makes it live. On failure it is
// closed.
func (n *node) open(ctx context.Context, s *session, theirs codec.Status, dialled peer.Addr) *peer.RefusedError {
	old, why := n.book.Claim(s)
	if why != peer.OK {
		err := &peer.RefusedError{Reason: why}
		if why == peer.Duplicate {
			n.probe(s.link.Conn.RemotePeer())
		}
		s.abandon(err)
		return err
	}
	if old != nil {
		old.end(peer.Duplicate, false, "")
	}
	s.describe(theirs, dialled)
	if err := n.host.Open(ctx, s, theirs.Chain); err != nil {
		refusal := &peer.RefusedError{Reason: peer.Internal, Detail: "the node failed to open the session"}
		errors.As(err, &refusal)
		s.abandon(refusal)
		return refusal
	}
	if why := s.opened(); why != peer.OK {
		return &peer.RefusedError{Reason: why}
	}
	c := s.link.Conn
	protos, _ := n.p2p.P2P().Peerstore().GetProtocols(c.RemotePeer())
	n.p2p.Promote(c)
	n.book.Opened(s.link)
	n.gossip.Opened(c, protos)
	n.book.Surplus(n.p2p.P2P().Network().ConnsToPeer(c.RemotePeer()), c)
	s.heard(theirs, 0)
	n.w.cfg.Logger.Debug("session", "peer", c.RemotePeer().String(), "addr", c.RemoteMultiaddr().String(), "dir", s.info.Direction.String())
	return nil
}

// probe checks a session in whose favour another was refused: if its peer does
// not answer, it must have dialled because it lost that session.
func (n *node) probe(id libpeer.ID) {
	s := n.book.With(id)
	if s == nil {
		return
	}
	n.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(n.tasks.Ctx, 2*time.Second)
		defer cancel()
		// An error before the deadline is a link that is about to end by itself.
		if _, err := n.p2p.Ping(ctx, s.link.Conn); err != nil && ctx.Err() != nil && n.tasks.Ctx.Err() == nil {
			s.end(peer.Idle, false, "no answer to a ping")
		}
	})
}

// exchange writes our status and reads theirs.
func (s *session) exchange() (codec.Status, error) {
	if err := s.write(); err != nil {
		return codec.Status{}, err
	}
	return s.read()
}

func (s *session) write() error {
	s.stream.SetWriteDeadline(time.Now().Add(sessionTime))
	msg := codec.AppendStatus(nil, s.node.w.status())
	if _, err := s.stream.Write(codec.AppendFrame(nil, msg)); err != nil {
		return err
	}
	s.node.count(onStatus, false, len(msg))
	return nil
}

func (s *session) read() (codec.Status, error) {
	if s.in == nil {
		s.in = bufio.NewReaderSize(s.stream, 1024)
	}
	raw, err := codec.ReadFrame(s.in, codec.MaxStatus)
	if err != nil {
		return codec.Status{}, err
	}
	s.node.count(onStatus, true, len(raw))
	return codec.DecodeStatus(raw)
}
