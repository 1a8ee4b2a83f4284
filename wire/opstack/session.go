package opstack

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/book"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

// session is our relation to one peer over one link.
type session struct {
	node *node
	link *link
	ours bool // we dialled
	info peer.Info

	ctx  context.Context // ends with the session
	stop context.CancelFunc

	ranged   bool          // the peer is a Starling, asked for ranges
	requests *reqresp.Peer // with a Starling
	pace     *pace         // of our requests with others
	inFlight chan struct{} // a place for each request of ours
	held     held          // by answers to them
	served   *rate.Limiter // of theirs
	prefix   *rate.Limiter // of those of all its prefix; nil: none
	answers  chan struct{} // a place for each answer that is being made
	checking chan struct{} // the place for a message of its gossip that is judged
	began    time.Time     // with the monotonic clock
	used     atomic.Int64  // when it last served something, in nanoseconds since began

	life book.Life

	mu     sync.Mutex   // a leaf
	topics int          // of ours that the peer has joined
	claims chain.Status // the last that was reported
	warned bool         // it was told that it asks too fast
}

var (
	_ wire.Session = (*session)(nil)
	_ wire.Pinger  = (*session)(nil)
	_ wire.Batcher = (*session)(nil)
	_ wire.Grader  = (*session)(nil)
)

// maxAnswering is how many answers to one peer are made or written at once.
const maxAnswering = 4

func (n *node) newSession(l *link, ours bool) *session {
	cfg := n.w.cfg
	s := &session{
		node: n, link: l, ours: ours, began: time.Now(), pace: newPace(), requests: n.shared.Peer(),
		held:     held{n.held, semaphore.NewWeighted(heldByPeer)},
		inFlight: make(chan struct{}, maxInFlight), answers: make(chan struct{}, maxAnswering), checking: make(chan struct{}, 1),
		served: rate.NewLimiter(rate.Limit(cfg.ServeRate), cfg.ServeBurst),
	}
	s.ctx, s.stop = context.WithCancel(n.tasks.Ctx)
	context.AfterFunc(s.ctx, s.requests.Close)
	if cfg.ServeUnpaced {
		s.requests.Window = nil
	}
	s.use()
	return s
}

// describe fixes what Peer tells.
func (s *session) describe(dialled peer.Addr) {
	s.info = s.node.p2p.Info(s.link.Conn)
	s.info.Wire = Name
	s.prefix = s.node.prefixes.limiter(s.info.Endpoint.Addr())
	s.ranged = s.node.ranged(s.link.Conn)
	s.info.Direction = peer.Inbound
	if s.ours {
		s.info.Direction = peer.Outbound
	}
	if !dialled.IsZero() {
		s.info.Addr = dialled
	}
}

// Peer implements wire.Session.
func (s *session) Peer() peer.Info { return s.info }

// Done implements wire.Session.
func (s *session) Done() <-chan struct{} { return s.ctx.Done() }

// Close implements wire.Session.
func (s *session) Close(why peer.Reason) { s.end(why, false, "") }

// Send implements wire.Session: the protocol has no messages beside gossip.
func (s *session) Send(context.Context, wire.Lane, wire.Message) error {
	if s.ctx.Err() != nil {
		return wire.ErrClosed
	}
	return wire.ErrUnsupported
}

// Ping implements wire.Pinger.
func (s *session) Ping(ctx context.Context) (time.Duration, error) {
	return s.node.p2p.Ping(ctx, s.link.Conn)
}

// opened marks that the Host took the session. If it has ended meanwhile, its
// end is reported now, and the reason is given back.
func (s *session) opened() peer.Reason {
	closed, ended := s.life.Take()
	if !ended {
		s.node.w.scores.joined(s.info.ID)
		return peer.OK
	}
	s.node.host.Report(closed)
	return closed.Reason
}

// end ends the session, once. It never blocks.
func (s *session) end(why peer.Reason, byRemote bool, _ string) {
	closed := wire.Closed{Session: s, Reason: why, ByRemote: byRemote}
	first, taken := s.life.End(closed)
	if !first {
		return
	}
	s.node.book.Unclaim(s)
	s.stop()
	if taken {
		s.node.w.scores.gone(s.info.ID)
		s.node.host.Report(closed)
	}
	s.node.part(s.link, why)
}

// abandon ends a session that the Host did not take.
func (s *session) abandon(why peer.Reason) {
	s.life.End(wire.Closed{Session: s, Reason: why})
	s.node.book.Unclaim(s)
	s.stop()
	if !s.node.book.ServesOther(s.link, s) {
		s.node.part(s.link, why)
	}
}

// await blocks until the session with the peer on a link is open, at most
// SessionTime: op-node asks as soon as it is connected. nil if there is none.
func (n *node) await(l *link) *session {
	id := l.Conn.RemotePeer()
	if s := n.book.OpenWith(id); s != nil {
		return s
	}
	late := time.NewTimer(p2phost.SessionTime)
	defer late.Stop()
	select {
	case <-l.Ready:
	case <-l.Gone:
	case <-late.C:
	case <-n.tasks.Ctx.Done():
	}
	return n.book.OpenWith(id)
}
