package opstack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/opstack/codec"
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
	n.mu.Lock()
	d.conn = c
	n.mu.Unlock()
	return n.become(ctx, c, c.Stat().Direction == network.DirOutbound, a)
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

// accept makes an inbound connection a session.
func (n *node) accept(c network.Conn) {
	ctx, cancel := context.WithTimeout(n.ctx, sessionTime)
	defer cancel()
	var why *peer.RefusedError
	if err := n.become(ctx, c, false, peer.Addr{}); errors.As(err, &why) && why.Reason != peer.Duplicate {
		n.host.Report(wire.Refused{Link: p2phost.LinkOf(c), Reason: why.Reason, Remote: why.Remote, Detail: why.Detail})
	}
}

// become makes a connection a session: identify, a look at what the peer
// speaks, and the Host. On failure it is closed, unless it serves another
// session. The error is a *peer.RefusedError.
func (n *node) become(ctx context.Context, c network.Conn, ours bool, dialled peer.Addr) error {
	l := n.link(c)
	if l == nil {
		return &peer.RefusedError{Reason: peer.LinkLost, Detail: "the connection ended at once"}
	}
	if !n.beginOpening(l) { // the dialler of a connection that we have already
		return peer.Refuse(peer.Duplicate)
	}
	defer n.endOpening(l)
	if err := n.p2p.Identify(ctx, c); err != nil {
		why := n.whyFailed(ctx, err)
		n.part(l, why.Reason)
		return why
	}
	if why := n.wrongChain(ctx, c); why != nil {
		n.part(l, why.Reason)
		return why
	}
	if !ours {
		if err := n.yield(ctx, l); err != nil {
			n.part(l, peer.HandshakeSlow)
			return err
		}
	}
	if why := n.open(ctx, n.newSession(l, ours), dialled); why != nil {
		return why
	}
	return nil
}

func (n *node) beginOpening(l *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.opening || l.ending || l.session != nil {
		return false
	}
	l.opening = true
	return true
}

func (n *node) endOpening(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.opening = false
}

// whyFailed says why a connection ended before identify was done.
func (n *node) whyFailed(ctx context.Context, err error) *peer.RefusedError {
	var conn *network.ConnError
	switch {
	case errors.As(err, &conn) && conn.Remote && conn.ErrorCode == network.ConnSupplanted:
		return &peer.RefusedError{Reason: peer.Duplicate, Remote: true}
	case errors.As(err, &conn) && conn.Remote && conn.ErrorCode == network.ConnGated:
		return &peer.RefusedError{Reason: peer.ByRemote, Remote: true, Detail: "its gater refused the connection"}
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return &peer.RefusedError{Reason: peer.HandshakeSlow, Detail: "no identify within " + sessionTime.String()}
	case ctx.Err() != nil:
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: "given up"}
	}
	return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: peer.Clean(err.Error())}
}

// What identify tells may be older than the peer's last handlers: op-node
// listens before it speaks of blocks. So nobody is refused at once.
const (
	speakWait = 3 * time.Second
	speakLook = 200 * time.Millisecond
)

// wrongChain says what stands against a peer by the protocols that it speaks:
// another chain's, or none of ours; nil if nothing does.
func (n *node) wrongChain(ctx context.Context, c network.Conn) *peer.RefusedError {
	late := time.NewTimer(speakWait)
	defer late.Stop()
	look := time.NewTicker(speakLook)
	defer look.Stop()
	for {
		why := n.speaks(c.RemotePeer())
		if why == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-late.C:
			return why
		case <-ctx.Done():
			return why
		}
		if c.IsClosed() {
			return &peer.RefusedError{Reason: peer.LinkLost, Detail: "the connection ended before the peer said what it speaks"}
		}
	}
}

func (n *node) speaks(id libpeer.ID) *peer.RefusedError {
	protos, err := n.p2p.P2P().Peerstore().GetProtocols(id)
	if err != nil {
		return &peer.RefusedError{Reason: peer.Internal, Detail: err.Error()}
	}
	gossips, other := false, ""
	for _, p := range protos {
		if at, ok := codec.ProtocolChain(string(p)); ok {
			if at == n.w.chainID {
				return nil
			}
			other = fmt.Sprintf("ours is chain %d, the peer's is %d", n.w.chainID, at)
		}
		gossips = gossips || isGossip(p)
	}
	switch {
	case other != "":
		return &peer.RefusedError{Reason: peer.WrongNetwork, Detail: other}
	case !gossips:
		return &peer.RefusedError{Reason: peer.NoCommonProto, Detail: "the peer speaks neither gossip nor payload_by_number"}
	}
	return nil
}

// isGossip reports whether a protocol is pubsub's.
func isGossip(p protocol.ID) bool {
	const mesh, flood = "/meshsub/", "/floodsub/"
	return len(p) > len(mesh) && p[:len(mesh)] == mesh || len(p) > len(flood) && p[:len(flood)] == flood
}

// yield waits for a dial of ours to the same peer that is under way and is to
// stay: the one of the lower ID.
func (n *node) yield(ctx context.Context, l *link) error {
	id := l.conn.RemotePeer()
	n.mu.Lock()
	c := n.peers[id]
	var d *dialling
	if c != nil && c.dial != nil && c.dial.conn != nil && c.dial.conn != l.conn && n.p2p.ID() < id {
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
		return &peer.RefusedError{Reason: peer.HandshakeSlow, Detail: "our own dial to the peer took too long"}
	}
}

// open offers a session to the Host and makes it live. On failure it is
// closed.
func (n *node) open(ctx context.Context, s *session, dialled peer.Addr) *peer.RefusedError {
	old, why := n.claim(s)
	if why != peer.OK {
		if why == peer.Duplicate {
			n.probe(s.link.conn.RemotePeer())
		}
		s.abandon(why)
		return &peer.RefusedError{Reason: why}
	}
	if old != nil {
		old.end(peer.Duplicate, false, "")
	}
	s.describe(dialled)
	ours := n.w.cfg.Status()
	// The protocol has no handshake in which the peer would say more.
	s.claims = chain.Status{Network: ours.Network, Genesis: ours.Genesis}
	if err := n.host.Open(ctx, s, s.claims); err != nil {
		refusal := &peer.RefusedError{Reason: peer.Internal, Detail: "the node failed to open the session"}
		errors.As(err, &refusal)
		s.abandon(refusal.Reason)
		return refusal
	}
	if why := s.opened(); why != peer.OK {
		return &peer.RefusedError{Reason: why}
	}
	c := s.link.conn
	protos, _ := n.p2p.P2P().Peerstore().GetProtocols(c.RemotePeer()) // it has just been asked
	n.p2p.Promote(c)
	n.mu.Lock()
	s.link.isReady = true
	close(s.link.ready)
	n.mu.Unlock()
	n.gossip.Opened(c, protos)
	n.surplus(c)
	n.w.cfg.Logger.Debug("session", "peer", c.RemotePeer().String(), "addr", c.RemoteMultiaddr().String(), "dir", s.info.Direction.String())
	return nil
}

// probe checks a session in whose favour another was refused: if its peer does
// not answer, it must have dialled because it lost that session.
func (n *node) probe(id libpeer.ID) {
	n.mu.Lock()
	c := n.peers[id]
	var s *session
	if c != nil {
		s = c.session
	}
	n.mu.Unlock()
	if s != nil {
		n.goes(func() { n.ping(s, 2*time.Second) })
	}
}
