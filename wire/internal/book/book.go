package book

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling/peer"
)

// Sessions that have ended are kept for PastTime, and at most MaxPast of them,
// the oldest going first. Gossip remembers connections for as long.
const (
	PastTime = 5 * time.Second
	MaxPast  = 256
)

// Book keeps connections, dials and sessions by peer. It is safe for concurrent
// use. Its lock guards what Link says; nobody waits under it.
type Book[S, O any] struct {
	self libpeer.ID
	ctx  context.Context // the run's: once it has ended nothing is entered
	of   func(*S) (l *Link[S, O], ours bool)
	own  func() O

	sync.Mutex
	stopping bool
	links    map[network.Conn]*Link[S, O]
	peers    map[libpeer.ID]*contact[S]
	past     []past[S]
}

// contact is what we have with one peer.
type contact[S any] struct {
	session *S       // open, or being offered to the Host
	dial    *Attempt // ours, under way
}

// past is a session whose connection has ended.
type past[S any] struct {
	conn    network.Conn
	session *S
	until   time.Time
}

// New makes a book for the run of ctx. of tells a session's link and whether we
// dialled; own makes what the wire keeps with a new connection.
func New[S, O any](ctx context.Context, self libpeer.ID, of func(*S) (*Link[S, O], bool), own func() O) *Book[S, O] {
	return &Book[S, O]{
		ctx: ctx, self: self, of: of, own: own,
		links: map[network.Conn]*Link[S, O]{}, peers: map[libpeer.ID]*contact[S]{},
	}
}

// contact finds or makes what belongs to a peer. The lock is held.
func (b *Book[S, O]) contact(id libpeer.ID) *contact[S] {
	c := b.peers[id]
	if c == nil {
		c = &contact[S]{}
		b.peers[id] = c
	}
	return c
}

// tidy forgets a peer with which we have nothing. The lock is held.
func (b *Book[S, O]) tidy(id libpeer.ID) {
	if c := b.peers[id]; c != nil && c.session == nil && c.dial == nil {
		delete(b.peers, id)
	}
}

// Claim makes s the session with its peer, or says why not. What it takes the
// place of is to be closed. Of two sessions the one that the lower ID dialled
// stays; both sides come to the same, so one link is left. A second one of the
// same dialler takes the place of the first: nobody dials a peer that it has,
// so it has lost the first.
func (b *Book[S, O]) Claim(s *S) (old *S, why peer.Reason) {
	l, ours := b.of(s)
	id := l.Conn.RemotePeer()
	b.Lock()
	defer b.Unlock()
	if b.stopping {
		return nil, peer.Stopping
	}
	if l.gone {
		return nil, peer.LinkLost
	}
	if l.ending || l.session != nil {
		return nil, peer.Duplicate
	}
	c := b.contact(id)
	if old = c.session; old != nil {
		if _, theirs := b.of(old); theirs != ours && ours != (b.self < id) {
			return nil, peer.Duplicate
		}
	}
	c.session, l.session = s, s
	return old, peer.OK
}

// Unclaim takes s out, once it has ended.
func (b *Book[S, O]) Unclaim(s *S) {
	l, _ := b.of(s)
	id := l.Conn.RemotePeer()
	b.Lock()
	defer b.Unlock()
	if c := b.peers[id]; c != nil && c.session == s {
		c.session = nil
		b.tidy(id)
	}
}

// With is the session with a peer, open or being offered; nil: none.
func (b *Book[S, O]) With(id libpeer.ID) *S {
	b.Lock()
	defer b.Unlock()
	if c := b.peers[id]; c != nil {
		return c.session
	}
	return nil
}

// OpenWith is the open session with a peer, on whichever connection; nil: none.
func (b *Book[S, O]) OpenWith(id libpeer.ID) *S {
	b.Lock()
	defer b.Unlock()
	if c := b.peers[id]; c != nil && c.session != nil {
		if l, _ := b.of(c.session); l.ready {
			return c.session
		}
	}
	return nil
}

// On is the open session on a connection, or that was on it PastTime ago: what
// it told before its end is judged, and paid for. nil: none.
func (b *Book[S, O]) On(c network.Conn) *S {
	b.Lock()
	defer b.Unlock()
	if l := b.links[c]; l != nil {
		if l.ready {
			return l.session
		}
		return nil
	}
	now := time.Now()
	for _, p := range slices.Backward(b.past) {
		if p.conn == c && now.Before(p.until) {
			return p.session
		}
	}
	return nil
}

// Sessions lists the open ones, by peer.
func (b *Book[S, O]) Sessions() []*S {
	b.Lock()
	defer b.Unlock()
	type entry struct {
		id libpeer.ID
		s  *S
	}
	var all []entry
	for id, c := range b.peers {
		if c.session != nil {
			if l, _ := b.of(c.session); l.ready {
				all = append(all, entry{id, c.session})
			}
		}
	}
	slices.SortFunc(all, func(x, y entry) int { return cmp.Compare(x.id, y.id) })
	out := make([]*S, len(all))
	for i, e := range all {
		out[i] = e.s
	}
	return out
}

// Farewell lets nothing more in, ends the sessions, open or being offered, in any
// order, and waits until their connections have ended, at most for a time.
func (b *Book[S, O]) Farewell(end func(*S), most time.Duration) {
	var all []*S
	b.Lock()
	b.stopping = true
	for _, c := range b.peers {
		if c.session != nil {
			all = append(all, c.session)
		}
	}
	b.Unlock()
	for _, s := range all {
		end(s)
	}
	late := time.NewTimer(most)
	defer late.Stop()
	for _, s := range all {
		l, _ := b.of(s)
		select {
		case <-l.Gone:
		case <-late.C:
			return
		}
	}
}

// remember keeps a session that ended with its connection. The lock is held.
func (b *Book[S, O]) remember(c network.Conn, s *S) {
	now := time.Now()
	b.past = slices.DeleteFunc(b.past, func(p past[S]) bool { return now.After(p.until) })
	if len(b.past) == MaxPast {
		b.past = slices.Delete(b.past, 0, 1)
	}
	b.past = append(b.past, past[S]{c, s, now.Add(PastTime)})
}
