package native

import (
	"bufio"
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
)

// Dial implements wire.Wire.
func (w *Wire) Dial(ctx context.Context, a peer.Addr) error {
	n := w.node.Load()
	if n == nil {
		return wire.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, sessionTime)
	defer cancel()
	stop := context.AfterFunc(n.ctx, cancel)
	defer stop()
	id, err := idOf(a)
	if err != nil {
		return err
	}
	d := &dialling{done: make(chan struct{})}
	if err := n.beginDial(ctx, id, d); err != nil {
		return err
	}
	defer n.endDial(id, d)
	c, done, err := n.p2p.Connect(ctx, a)
	if err != nil {
		return err
	}
	defer done()
	return n.knock(ctx, d, c, a)
}

func idOf(a peer.Addr) (libpeer.ID, error) {
	m, err := ma.NewMultiaddr(a.Text)
	if err == nil && a.Scheme == p2phost.Scheme {
		if _, id := libpeer.SplitAddr(m); id != "" {
			return id, nil
		}
	}
	return "", &peer.RefusedError{Reason: peer.BadAddr, Detail: peer.Clean(a.Scheme + " " + a.Text)}
}

// beginDial notes an attempt. A connection to the peer that we are about to
// close is awaited, since the library would take it for a live one.
func (n *node) beginDial(ctx context.Context, id libpeer.ID, d *dialling) error {
	n.mu.Lock()
	var ending []*link
	for _, l := range n.links {
		if l.ending && l.conn.RemotePeer() == id {
			ending = append(ending, l)
		}
	}
	c := n.contact(id)
	var why peer.Reason
	switch {
	case n.stopping:
		why = peer.Stopping
	case c.session != nil:
		why = peer.Duplicate
	case c.dial != nil:
		why = peer.AlreadyDialling
	default:
		c.dial = d
	}
	n.tidy(id)
	n.mu.Unlock()
	if why != peer.OK {
		return peer.Refuse(why)
	}
	for _, l := range ending {
		select {
		case <-l.gone:
		case <-ctx.Done():
			n.endDial(id, d)
			return &peer.RefusedError{Reason: peer.DialTimeout, Detail: "the last connection is still closing"}
		}
	}
	return nil
}

func (n *node) endDial(id libpeer.ID, d *dialling) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.peers[id]; c != nil && c.dial == d {
		c.dial = nil
		n.tidy(id)
	}
	close(d.done)
}

// knock makes a connection a session, as the one who dialled.
func (n *node) knock(ctx context.Context, d *dialling, c network.Conn, a peer.Addr) error {
	l := n.link(c)
	if l == nil {
		return n.endedAtOnce(ctx, c)
	}
	if err := n.p2p.Identify(ctx, c); err != nil {
		return n.giveUp(ctx, l, err)
	}
	// From here on the remote may see that we dialled, so which link stays
	// follows the rule; before, an inbound session simply came first.
	n.mu.Lock()
	taken := n.contact(c.RemotePeer()).session
	if taken == nil {
		d.conn = c
	}
	n.mu.Unlock()
	if taken != nil {
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
	n.goes(s.keepAsking)
	return nil
}

// endedAtOnce says why a connection ended before it was of any use.
func (n *node) endedAtOnce(ctx context.Context, c network.Conn) error {
	if n.sessionWith(c.RemotePeer()) != nil {
		return peer.Refuse(peer.Duplicate)
	}
	_, err := c.NewStream(ctx)
	var conn *network.ConnError
	if errors.As(err, &conn) && conn.Remote {
		switch conn.ErrorCode {
		case network.ConnSupplanted:
			return &peer.RefusedError{Reason: peer.Duplicate, Remote: true}
		case network.ConnGated:
			return &peer.RefusedError{Reason: peer.ByRemote, Remote: true, Detail: "its gater refused the connection"}
		}
	}
	return &peer.RefusedError{Reason: peer.LinkLost, Detail: "the connection ended at once"}
}

// giveUp closes a connection on which a handshake of ours failed, unless
// another handshake made it a session.
func (n *node) giveUp(ctx context.Context, l *link, err error) error {
	// If both sides opened a status stream on this one connection, ours is
	// reset and theirs goes on: it may already be done, or still be under way.
	theirs := func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return l.session != nil || l.status
	}
	if theirs() {
		return peer.Refuse(peer.Duplicate)
	}
	why := n.whyFailed(ctx, l, err)
	if theirs() {
		return peer.Refuse(peer.Duplicate)
	}
	if n.sessionWith(l.conn.RemotePeer()) != nil { // on another link, which stays
		n.part(l, peer.Duplicate, "")
		return &peer.RefusedError{Reason: peer.Duplicate, Remote: why.Remote}
	}
	n.fault(l.conn, err)
	n.part(l, why.Reason, why.Detail)
	return why
}

// acceptStatus makes a connection a session, as the one who was dialled, and
// keeps the status exchange going.
func (n *node) acceptStatus(st network.Stream) {
	c := st.Conn()
	l := n.link(c)
	if l == nil || !n.beginStatus(l) {
		st.Reset()
		return
	}
	defer n.endStatus(l)
	ctx, cancel := context.WithTimeout(n.ctx, sessionTime)
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
		n.fault(c, err)
		return
	}
	s.keepAnswering()
}

// answerHandshake reads the dialler's status, judges it, offers the session to
// the Host and answers.
func (n *node) answerHandshake(ctx context.Context, s *session) error {
	l, c := s.link, s.link.conn
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
	if err := n.yield(ctx, l); err != nil {
		return err
	}
	if why := n.open(ctx, s, theirs, peer.Addr{}); why != nil {
		return why
	}
	return s.write()
}

// yield waits for a dial of ours to the same peer that is in its handshake and
// is to stay: the one of the lower ID.
func (n *node) yield(ctx context.Context, l *link) error {
	id := l.conn.RemotePeer()
	n.mu.Lock()
	c := n.peers[id]
	var d *dialling
	if c != nil && c.dial != nil && c.dial.conn != nil && n.p2p.ID() < id {
		d = c.dial
	}
	n.mu.Unlock()
	if d == nil {
		return nil
	}
	select {
	case <-d.done:
		return nil
	case <-l.gone:
		return peer.Refuse(peer.LinkLost)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// beginStatus lets one status stream of the remote in. If both sides opened
// one on the same connection, the lower ID's stays.
func (n *node) beginStatus(l *link) bool {
	id := l.conn.RemotePeer()
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.status || l.ending || l.session != nil {
		return false
	}
	if c := n.peers[id]; c != nil && c.dial != nil && c.dial.conn == l.conn && n.p2p.ID() < id {
		return false
	}
	l.status = true
	return true
}

func (n *node) endStatus(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.status = false
}

// refused reports an inbound handshake that failed.
func (n *node) refused(l *link, why peer.Reason, detail string) {
	n.host.Report(wire.Refused{Link: linkOf(l.conn), Reason: why, Detail: peer.Clean(detail)})
}

// open offers a session to the Host and makes it live. On failure it is
// closed.
func (n *node) open(ctx context.Context, s *session, theirs codec.Status, dialled peer.Addr) *peer.RefusedError {
	old, why := n.claim(s)
	if why != peer.OK {
		err := &peer.RefusedError{Reason: why}
		if why == peer.Duplicate {
			n.probe(s.link.conn.RemotePeer())
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
	c := s.link.conn
	protos, _ := n.p2p.P2P().Peerstore().GetProtocols(c.RemotePeer())
	n.p2p.Promote(c)
	n.mu.Lock()
	s.link.isReady = true
	close(s.link.ready)
	n.mu.Unlock()
	n.gossip.Opened(c, protos)
	n.surplus(c)
	s.heard(theirs, 0)
	n.w.cfg.Logger.Debug("session", "peer", c.RemotePeer().String(), "addr", c.RemoteMultiaddr().String(), "dir", s.info.Direction.String())
	return nil
}

// probe checks a session in whose favour another was refused: if its peer does
// not answer, it must have dialled because it lost that session.
func (n *node) probe(id libpeer.ID) {
	s := n.sessionWith(id)
	if s == nil {
		return
	}
	n.goes(func() {
		ctx, cancel := context.WithTimeout(n.ctx, 2*time.Second)
		defer cancel()
		// An error before the deadline is a link that is about to end by itself.
		if _, err := n.p2p.Ping(ctx, s.link.conn); err != nil && ctx.Err() != nil && n.ctx.Err() == nil {
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
