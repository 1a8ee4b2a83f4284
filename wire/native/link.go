package native

import (
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/internal/book"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// link is one connection.
type link = book.Link[session, streams]

// streams is what the remote has on a connection, and what it said there. It is
// under the book's lock, but for the channel.
type streams struct {
	said      chan struct{} // closed when the remote said goodbye
	word      codec.Goodbye // what it said
	consensus int
	goodbyes  int
	requests  int
}

// tie is what the book asks of a session.
func (s *session) tie() (*link, bool) { return s.link, s.ours }

// disconnected ends what was on a connection.
func (n *node) disconnected(c network.Conn) {
	if l, s := n.book.Gone(c); s != nil {
		s.end(n.lastWord(l), true, "")
	}
}

// lastWord is why the remote ended a connection.
func (n *node) lastWord(l *link) peer.Reason {
	select {
	case <-l.Own.said: // the word is not written any more
		return l.Own.word.Reason
	default:
		return peer.LinkLost
	}
}

// part says goodbye on a connection and closes it, on a goroutine of its own.
func (n *node) part(l *link, why peer.Reason, detail string) {
	if !n.book.BeginEnding(l) {
		return
	}
	if !n.tasks.Go(func() { n.sayGoodbye(l, why, detail) }) {
		l.Conn.CloseWithError(book.CloseCode(why))
	}
}
