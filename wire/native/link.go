package native

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// link is what we know of one connection. Its fields are under the node's
// lock, but for the channels.
type link struct {
	conn  network.Conn
	ready chan struct{} // closed when its session is open
	gone  chan struct{} // closed when the connection has ended
	said  chan struct{} // closed when the remote said goodbye

	word      codec.Goodbye // what it said
	session   *session      // the session on it, open or being offered
	isReady   bool
	ending    bool // we are closing it
	status    bool // the remote has a status stream
	consensus bool // the remote has a consensus stream
	goodbyes  int  // goodbye streams of the remote
	requests  int  // request streams of the remote
}

// contact is what we have with one peer.
type contact struct {
	session *session  // open, or being offered to the Host
	dial    *dialling // ours, under way
}

// dialling is an attempt of ours.
type dialling struct {
	conn network.Conn  // nil until it shakes hands
	done chan struct{} // closed when it is over
}

// link finds or makes what belongs to a live connection; nil if it has ended.
func (n *node) link(c network.Conn) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[c]
	if l == nil && !c.IsClosed() && n.ctx.Err() == nil {
		l = &link{conn: c, ready: make(chan struct{}), gone: make(chan struct{}), said: make(chan struct{})}
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

// sessionOn is the session on a connection, or that was on it a moment ago:
// what it told before its end is judged, and paid for.
func (n *node) sessionOn(c network.Conn) *session {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.links[c]; l != nil {
		if l.isReady {
			return l.session
		}
		return nil
	}
	now := time.Now()
	for _, p := range slices.Backward(n.past) {
		if p.session.link.conn == c && now.Before(p.until) {
			return p.session
		}
	}
	return nil
}

// Sessions that have ended are kept for so long, and so many, the oldest going
// first. Gossip remembers connections for as long.
const (
	pastTime = 5 * time.Second
	maxPast  = 256
)

// pastSession is a session whose connection has ended.
type pastSession struct {
	session *session
	until   time.Time
}

// remember keeps a session that ended with its connection. The lock is held.
func (n *node) remember(s *session) {
	now := time.Now()
	n.past = slices.DeleteFunc(n.past, func(p pastSession) bool { return now.After(p.until) })
	if len(n.past) == maxPast {
		n.past = slices.Delete(n.past, 0, 1)
	}
	n.past = append(n.past, pastSession{s, now.Add(pastTime)})
}

// claim makes s the session with its peer, or says why not. What it takes the
// place of is to be closed. Of two sessions the one that the lower ID dialled
// stays; both sides come to the same, so one link is left. A second one of the
// same dialler takes the place of the first: nobody dials a peer that it has,
// so it has lost the first.
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

// sessionWith is the session with a peer, open or being offered.
func (n *node) sessionWith(id libpeer.ID) *session {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.peers[id]; c != nil {
		return c.session
	}
	return nil
}

// surplus closes the connections to a peer beside its session's: discovery's,
// and what simultaneous dials left. Those in a handshake end by themselves.
func (n *node) surplus(keep network.Conn) {
	id := keep.RemotePeer()
	for _, c := range n.p2p.P2P().Network().ConnsToPeer(id) {
		n.mu.Lock()
		l, k := n.links[c], n.peers[id]
		busy := l != nil && l.status || k != nil && k.dial != nil && k.dial.conn == c
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
	if l != nil && l.isReady {
		n.remember(l.session)
	}
	n.mu.Unlock()
	if l == nil {
		return
	}
	close(l.gone)
	n.mu.Lock()
	s, why := l.session, l.lastWord()
	n.mu.Unlock()
	if s != nil {
		s.end(why, true, "")
	}
}

// lastWord is why the remote ended a connection. The lock is held.
func (l *link) lastWord() peer.Reason {
	select {
	case <-l.said:
		return l.word.Reason
	default:
		return peer.LinkLost
	}
}

// part says goodbye on a connection and closes it, on a goroutine of its own.
func (n *node) part(l *link, why peer.Reason, detail string) {
	n.mu.Lock()
	was := l.ending
	l.ending = true
	if was {
		n.mu.Unlock()
		return
	}
	if n.ctx.Err() == nil {
		n.wg.Go(func() { n.sayGoodbye(l, why, detail) })
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	l.conn.CloseWithError(closeCode(why))
}

// closeCode is the libp2p code nearest to a reason: for peers that read no
// goodbye.
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
