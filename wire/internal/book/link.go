package book

import (
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

// Link is what we know of one connection. S is the wire's session, and O what
// the wire itself keeps with a connection, under the Book's lock.
type Link[S, O any] struct {
	Conn  network.Conn
	Ready chan struct{} // closed when its session is open
	Gone  chan struct{} // closed when the connection has ended
	Own   O

	session *S // on it, open or being offered
	ready   bool
	ending  bool // we are closing it
	opening bool // it is becoming a session, or finding out that it will not
	gone    bool // it has ended
}

// Link finds or makes what belongs to a live connection; nil if it has ended.
func (b *Book[S, O]) Link(c network.Conn) *Link[S, O] {
	b.Lock()
	defer b.Unlock()
	l := b.links[c]
	if l == nil && !c.IsClosed() && b.ctx.Err() == nil {
		l = &Link[S, O]{Conn: c, Ready: make(chan struct{}), Gone: make(chan struct{}), Own: b.own()}
		b.links[c] = l
	}
	return l
}

// BeginOpening lets a connection become a session, one attempt at a time;
// false: it is one, it is ending, or an attempt is under way.
func (b *Book[S, O]) BeginOpening(l *Link[S, O]) bool {
	b.Lock()
	defer b.Unlock()
	if l.opening || l.ending || l.session != nil {
		return false
	}
	l.opening = true
	return true
}

// EndOpening is called after a BeginOpening that gave true.
func (b *Book[S, O]) EndOpening(l *Link[S, O]) {
	b.Lock()
	defer b.Unlock()
	l.opening = false
}

// Serves reports whether a connection is a session, or an attempt at one is
// under way.
func (b *Book[S, O]) Serves(l *Link[S, O]) bool {
	b.Lock()
	defer b.Unlock()
	return l.session != nil || l.opening
}

// ServesOther reports whether a connection serves another session than s.
func (b *Book[S, O]) ServesOther(l *Link[S, O], s *S) bool {
	b.Lock()
	defer b.Unlock()
	return l.session != nil && l.session != s
}

// Opened marks the session on a connection as open.
func (b *Book[S, O]) Opened(l *Link[S, O]) {
	b.Lock()
	defer b.Unlock()
	l.ready = true
	close(l.Ready)
}

// BeginEnding marks a connection as one that we are closing; false: we are at
// it already.
func (b *Book[S, O]) BeginEnding(l *Link[S, O]) bool {
	b.Lock()
	defer b.Unlock()
	was := l.ending
	l.ending = true
	return !was
}

// Surplus closes the connections to a peer beside its session's: discovery's,
// and what simultaneous dials left. Those that are becoming a session find out
// by themselves.
func (b *Book[S, O]) Surplus(conns []network.Conn, keep network.Conn) {
	for _, c := range conns {
		b.Lock()
		l, k := b.links[c], b.peers[keep.RemotePeer()]
		busy := l != nil && l.opening || k != nil && k.dial != nil && k.dial.conn == c
		b.Unlock()
		if c != keep && !busy {
			c.CloseWithError(network.ConnSupplanted)
		}
	}
}

// Gone takes in that a connection has ended, and gives what was on it; nil
// where there was nothing.
func (b *Book[S, O]) Gone(c network.Conn) (*Link[S, O], *S) {
	b.Lock()
	l := b.links[c]
	if l == nil {
		b.Unlock()
		return nil, nil
	}
	delete(b.links, c)
	l.gone = true
	s := l.session
	if l.ready {
		b.remember(c, s)
	}
	b.Unlock()
	close(l.Gone)
	return l, s
}

// Enter counts one more of what a link has, unless that would be over most.
func (b *Book[S, O]) Enter(count *int, most int) bool {
	b.Lock()
	defer b.Unlock()
	if *count >= most {
		return false
	}
	*count++
	return true
}

// Leave is called after an Enter that gave true.
func (b *Book[S, O]) Leave(count *int) {
	b.Lock()
	defer b.Unlock()
	*count--
}

// endingTo lists the connections to a peer that we are closing. The lock is
// held.
func (b *Book[S, O]) endingTo(id libpeer.ID) (all []*Link[S, O]) {
	for _, l := range b.links { // each is awaited: the order has no effect
		if l.ending && l.Conn.RemotePeer() == id {
			all = append(all, l)
		}
	}
	return all
}
