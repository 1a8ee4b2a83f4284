package opstack

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling/peer"
)

// link is what we know of one connection. Its fields are under the node's
// lock, but for the channels.
type link struct {
	conn  network.Conn
	ready chan struct{} // closed when its session is open
	gone  chan struct{} // closed when the connection has ended

	session  *session // the session on it, open or being offered
	isReady  bool
	ending   bool // we are closing it
	opening  bool // it is becoming a session, or finding out that it will not
	requests int  // request streams of the remote
}

// contact is what we have with one peer.
type contact struct {
	session *session  // open, or being offered to the Host
	dial    *dialling // ours, under way
}

// dialling is an attempt of ours.
type dialling struct {
	conn network.Conn  // nil until it is there
	done chan struct{} // closed when it is over
}

// link finds or makes what belongs to a live connection; nil if it has ended.
func (n *node) link(c network.Conn) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[c]
	if l == nil && !c.IsClosed() && n.ctx.Err() == nil {
		l = &link{conn: c, ready: make(chan struct{}), gone: make(chan struct{})}
		n.links[c] = l
	}
	return l
}

// contact finds or makes what belongs to a peer. The lock is held.
func (n *node) contact(id libpeer.ID) *contact {
	c := n.peers[id]
	if c == nil {
		c = &contact{}
		n.peers[id] = c
	}
	return c
}

// tidy forgets a peer with which we have nothing. The lock is held.
func (n *node) tidy(id libpeer.ID) {
	if c := n.peers[id]; c != nil && c.session == nil && c.dial == nil {
		delete(n.peers, id)
	}
}

// sessionOn is the open session with the peer at the other end of a
// connection. Peers of ours that speak op-node's protocol may keep two
// connections, and use either.
func (n *node) sessionOn(c network.Conn) *session {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.peers[c.RemotePeer()]; k != nil && k.session != nil && k.session.link.isReady {
		return k.session
	}
	return nil
}

// claim makes s the session with its peer, or says why not. What it takes the
// place of is to be closed. Of two sessions the one that the lower ID dialled
// stays; between two Starlings both sides come to the same, so one link is
// left. A second one of the same dialler takes the place of the first: nobody
// dials a peer that it has, so it has lost the first.
func (n *node) claim(s *session) (old *session, why peer.Reason) {
	id := s.link.conn.RemotePeer()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return nil, peer.Stopping
	}
	if s.link.ending || s.link.session != nil {
		return nil, peer.Duplicate
	}
	c := n.contact(id)
	old = c.session
	if old != nil && old.ours != s.ours && s.ours != (n.p2p.ID() < id) {
		return nil, peer.Duplicate
	}
	c.session = s
	s.link.session = s
	return old, peer.OK
}

// unclaim takes s out of the books.
func (n *node) unclaim(s *session) {
	id := s.link.conn.RemotePeer()
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.peers[id]; c != nil && c.session == s {
		c.session = nil
		n.tidy(id)
	}
}

// surplus closes the connections to a peer beside its session's: what
// simultaneous dials left. Those that are becoming a session find out by
// themselves.
func (n *node) surplus(keep network.Conn) {
	for _, c := range n.p2p.P2P().Network().ConnsToPeer(keep.RemotePeer()) {
		n.mu.Lock()
		l := n.links[c]
		busy := l != nil && l.opening
		n.mu.Unlock()
		if c != keep && !busy {
			c.CloseWithError(network.ConnSupplanted)
		}
	}
}

// disconnected ends what was on a connection.
func (n *node) disconnected(c network.Conn) {
	n.mu.Lock()
	l := n.links[c]
	delete(n.links, c)
	var s *session
	if l != nil {
		s = l.session
	}
	n.mu.Unlock()
	if l == nil {
		return
	}
	close(l.gone)
	if s != nil {
		s.end(peer.LinkLost, true, "")
	}
}

// part closes a connection, with the nearest code that libp2p has: op-node
// reads no other word.
func (n *node) part(l *link, why peer.Reason) {
	n.mu.Lock()
	was := l.ending
	l.ending = true
	n.mu.Unlock()
	if !was {
		n.goes(func() { l.conn.CloseWithError(closeCode(why)) })
		if n.ctx.Err() != nil {
			l.conn.Close()
		}
	}
}

// closeCode is the libp2p code nearest to a reason.
func closeCode(why peer.Reason) network.ConnErrorCode {
	switch {
	case why == peer.Stopping:
		return network.ConnShutdown
	case why == peer.Duplicate:
		return network.ConnSupplanted
	case slices.Contains([]peer.Reason{peer.TooManyPeers, peer.TooManyInbound, peer.Useless, peer.Idle}, why):
		return network.ConnGarbageCollected
	case why == peer.BadScore:
		return network.ConnProtocolViolation
	}
	return network.ConnNoError
}

// enter counts one more of what a link has, unless that would be over most.
func (n *node) enter(count *int, most int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if *count >= most {
		return false
	}
	*count++
	return true
}

func (n *node) leave(count *int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*count--
}
