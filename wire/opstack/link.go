package opstack

import (
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/internal/book"
)

// link is one connection.
type link = book.Link[session, streams]

// streams are those that the remote has on a connection, under the book's lock.
type streams struct{ requests int }

// tie is what the book asks of a session.
func (s *session) tie() (*link, bool) { return s.link, s.ours }

// sessionOn is the open session with the peer at the other end of a
// connection, or that was on it a moment ago. Peers of ours that speak op-node's
// protocol may keep two connections, and use either.
func (n *node) sessionOn(c network.Conn) *session {
	if s := n.book.OpenWith(c.RemotePeer()); s != nil {
		return s
	}
	return n.book.On(c)
}

// disconnected ends what was on a connection.
func (n *node) disconnected(c network.Conn) {
	if _, s := n.book.Gone(c); s != nil {
		s.end(peer.LinkLost, true, "")
	}
}

// part closes a connection, with the nearest code that libp2p has: op-node
// reads no other word.
func (n *node) part(l *link, why peer.Reason) {
	if !n.book.BeginEnding(l) {
		return
	}
	if !n.tasks.Go(func() { l.Conn.CloseWithError(book.CloseCode(why)) }) {
		l.Conn.CloseWithError(book.CloseCode(why))
	}
}
