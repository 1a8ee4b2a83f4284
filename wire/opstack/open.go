package opstack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/book"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Dial implements wire.Wire.
func (w *Wire) Dial(ctx context.Context, a peer.Addr) error {
	n := w.node.Load()
	if n == nil {
		return wire.ErrClosed
	}
	return n.book.Dial(ctx, n.p2p, a, func(ctx context.Context, d *book.Attempt, c network.Conn) error {
		n.book.Reached(d, c)
		return n.become(ctx, c, c.Stat().Direction == network.DirOutbound, a)
	})
}

// accept makes an inbound connection a session.
func (n *node) accept(c network.Conn) {
	ctx, cancel := context.WithTimeout(n.tasks.Ctx, sessionTime)
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
	l := n.book.Link(c)
	if l == nil {
		return &peer.RefusedError{Reason: peer.LinkLost, Detail: "the connection ended at once"}
	}
	if !n.book.BeginOpening(l) { // the dialler of a connection that we have already
		return peer.Refuse(peer.Duplicate)
	}
	defer n.book.EndOpening(l)
	if err := n.p2p.Identify(ctx, c); err != nil {
		why := n.whyFailed(ctx, err)
		n.part(l, why.Reason)
		return why
	}
	if why := n.wrongChain(ctx, c); why != nil {
		n.part(l, why.Reason)
		return why
	}
	if dialled.IsZero() {
		if err := n.book.Yield(ctx, l); err != nil {
			n.part(l, peer.HandshakeSlow)
			return err
		}
	}
	if why := n.open(ctx, n.newSession(l, ours), dialled); why != nil {
		return why
	}
	return nil
}

// whyFailed says why a connection ended before identify was done.
func (n *node) whyFailed(ctx context.Context, err error) *peer.RefusedError {
	if why := book.ByRemote(err); why != nil {
		return why
	}
	switch {
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

// open offers a session to the Host and makes it live. On failure it is
// closed.
func (n *node) open(ctx context.Context, s *session, dialled peer.Addr) *peer.RefusedError {
	old, why := n.book.Claim(s)
	if why != peer.OK {
		if why == peer.Duplicate {
			n.probe(s.link.Conn.RemotePeer())
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
	c := s.link.Conn
	protos, _ := n.p2p.P2P().Peerstore().GetProtocols(c.RemotePeer()) // it has just been asked
	n.p2p.Promote(c)
	n.book.Opened(s.link)
	n.gossip.Opened(c, protos)
	n.book.Surplus(n.p2p.P2P().Network().ConnsToPeer(c.RemotePeer()), c)
	n.w.cfg.Logger.Debug("session", "peer", c.RemotePeer().String(), "addr", c.RemoteMultiaddr().String(), "dir", s.info.Direction.String())
	return nil
}

// probe checks a session in whose favour another was refused: if its peer does
// not answer, it must have dialled because it lost that session.
func (n *node) probe(id libpeer.ID) {
	if s := n.book.With(id); s != nil {
		n.tasks.Go(func() { n.ping(s, 2*time.Second) })
	}
}
