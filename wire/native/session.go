package native

import (
	"bufio"
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/book"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

// session is our relation to one peer over one link.
type session struct {
	node *node
	link *link
	ours bool // we opened the status stream: we dialled
	info peer.Info

	stream network.Stream // of status; one goroutine uses it
	in     *bufio.Reader

	ctx  context.Context // ends with the session
	stop context.CancelFunc

	requests *reqresp.Peer
	lane     *lane

	life book.Life

	mu      sync.Mutex   // a leaf
	claimed codec.Status // the last that was reported
}

var _ wire.Session = (*session)(nil)

func (n *node) newSession(l *link, st network.Stream, ours bool) *session {
	s := &session{node: n, link: l, ours: ours, stream: st, requests: n.shared.Peer()}
	s.ctx, s.stop = context.WithCancel(n.tasks.Ctx)
	context.AfterFunc(s.ctx, s.requests.Close)
	if n.w.cfg.ServeUnpaced {
		s.requests.Window = nil
	}
	s.lane = newLane(s)
	return s
}

// describe fixes what Peer tells.
func (s *session) describe(theirs codec.Status, dialled peer.Addr) {
	s.info = s.node.p2p.Info(s.link.Conn)
	s.info.Wire = Name
	s.info.Direction = peer.Inbound
	if s.ours {
		s.info.Direction = peer.Outbound
	}
	if !dialled.IsZero() {
		s.info.Addr = dialled
	}
	if theirs.Agent != "" {
		s.info.Agent = peer.Clean(theirs.Agent)
	}
}

// Peer implements wire.Session.
func (s *session) Peer() peer.Info { return s.info }

// Done implements wire.Session.
func (s *session) Done() <-chan struct{} { return s.ctx.Done() }

// Close implements wire.Session.
func (s *session) Close(why peer.Reason) { s.end(why, false, "") }

// Send implements wire.Session: consensus messages only. Blocks, transactions
// and broadcasts travel over topics.
func (s *session) Send(ctx context.Context, _ wire.Lane, m wire.Message) error {
	if c, ok := m.(wire.Consensus); ok {
		return s.lane.send(ctx, c.Bytes)
	}
	return wire.ErrUnsupported
}

// opened marks that the Host took the session. If it has ended meanwhile, its
// end is reported now, and the reason is given back.
func (s *session) opened() peer.Reason {
	closed, ended := s.life.Take()
	if !ended {
		return peer.OK
	}
	s.node.host.Report(closed)
	return closed.Reason
}

// end ends the session, once. It never blocks. Unless the remote did it, the
// remote is told why.
func (s *session) end(why peer.Reason, byRemote bool, detail string) {
	closed := wire.Closed{Session: s, Reason: why, ByRemote: byRemote}
	first, taken := s.life.End(closed)
	if !first {
		return
	}
	s.node.book.Unclaim(s)
	s.stop()
	if taken {
		s.node.host.Report(closed)
	}
	if byRemote {
		s.link.Conn.Close()
	} else {
		s.node.part(s.link, why, detail)
	}
}

// abandon ends a session that the Host did not take.
func (s *session) abandon(why *peer.RefusedError) {
	s.life.End(wire.Closed{Session: s, Reason: why.Reason, ByRemote: why.Remote})
	s.node.book.Unclaim(s)
	s.stop()
	if !s.node.book.ServesOther(s.link, s) {
		s.node.part(s.link, why.Reason, why.Detail)
	}
}

// await blocks until the session on a link is open, at most SessionTime: what
// a peer sends as soon as its side is open must not be lost. nil if there is
// no session.
func (n *node) await(l *link) *session {
	ctx, cancel := context.WithTimeout(n.tasks.Ctx, p2phost.SessionTime)
	defer cancel()
	select {
	case <-l.Ready:
	case <-l.Gone:
		return nil
	case <-ctx.Done():
		return nil
	}
	if s := n.book.On(l.Conn); s != nil && s.ctx.Err() == nil {
		return s
	}
	return nil
}
