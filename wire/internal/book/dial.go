package book

import (
	"context"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
)

// Attempt is an attempt of ours to reach a peer. Its fields are under the Book's
// lock, but for the channel.
type Attempt struct {
	id   libpeer.ID
	conn network.Conn  // nil until it is there
	done chan struct{} // closed when it is over
}

// Dial connects to a peer, and makes a session of the connection with use, which
// calls Reached or ReachedFirst. It blocks, at most p2phost.SessionTime, or until
// the run ends. The error is a *peer.RefusedError, or use's own.
func (b *Book[S, O]) Dial(ctx context.Context, h *p2phost.Host, a peer.Addr, use func(context.Context, *Attempt, network.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, p2phost.SessionTime)
	defer cancel()
	stop := context.AfterFunc(b.ctx, cancel)
	defer stop()
	id, err := p2phost.IDOf(a)
	if err != nil {
		return err
	}
	d, err := b.beginDial(ctx, id)
	if err != nil {
		return err
	}
	defer b.endDial(d)
	c, done, err := h.Connect(ctx, a)
	if err != nil {
		return err
	}
	defer done()
	return use(ctx, d, c)
}

// beginDial notes an attempt; endDial is to be called after it. A connection to
// the peer that we are about to close is awaited, since the library would take
// it for a live one. The error is a *peer.RefusedError.
func (b *Book[S, O]) beginDial(ctx context.Context, id libpeer.ID) (*Attempt, error) {
	d := &Attempt{id: id, done: make(chan struct{})}
	b.Lock()
	ending := b.endingTo(id)
	c := b.contact(id)
	var why peer.Reason
	switch {
	case b.stopping:
		why = peer.Stopping
	case c.session != nil:
		why = peer.Duplicate
	case c.dial != nil:
		why = peer.AlreadyDialling
	default:
		c.dial = d
	}
	b.tidy(id)
	b.Unlock()
	if why != peer.OK {
		return nil, peer.Refuse(why)
	}
	for _, l := range ending {
		select {
		case <-l.Gone:
		case <-ctx.Done():
			b.endDial(d)
			return nil, &peer.RefusedError{Reason: peer.DialTimeout, Detail: "the last connection is still closing"}
		}
	}
	return d, nil
}

// endDial notes that an attempt is over.
func (b *Book[S, O]) endDial(d *Attempt) {
	b.Lock()
	defer b.Unlock()
	if c := b.peers[d.id]; c != nil && c.dial == d {
		c.dial = nil
		b.tidy(d.id)
	}
	close(d.done)
}

// Reached notes the connection of an attempt. From here on the remote may see
// that we dialled, so which link stays follows Claim's rule.
func (b *Book[S, O]) Reached(d *Attempt, c network.Conn) {
	b.Lock()
	defer b.Unlock()
	d.conn = c
}

// ReachedFirst is Reached unless there is a session with the peer meanwhile,
// which it gives.
func (b *Book[S, O]) ReachedFirst(d *Attempt, c network.Conn) *S {
	b.Lock()
	defer b.Unlock()
	if k := b.peers[d.id]; k != nil && k.session != nil {
		return k.session
	}
	d.conn = c
	return nil
}

// Shared reports whether an attempt of ours that is to stay uses a connection.
func (b *Book[S, O]) Shared(l *Link[S, O]) bool {
	id := l.Conn.RemotePeer()
	b.Lock()
	defer b.Unlock()
	c := b.peers[id]
	return c != nil && c.dial != nil && c.dial.conn == l.Conn && b.self < id
}

// Yield waits, where the remote wants a connection to become a session, for a
// dial of ours to the same peer that has its connection, which may be this one,
// and is to stay: the one of the lower ID.
func (b *Book[S, O]) Yield(ctx context.Context, l *Link[S, O]) error {
	id := l.Conn.RemotePeer()
	b.Lock()
	c := b.peers[id]
	var d *Attempt
	if c != nil && c.dial != nil && c.dial.conn != nil && b.self < id {
		d = c.dial
	}
	b.Unlock()
	if d == nil {
		return nil
	}
	select {
	case <-d.done:
		return nil
	case <-l.Gone:
		return peer.Refuse(peer.LinkLost)
	case <-ctx.Done():
		return &peer.RefusedError{Reason: peer.HandshakeSlow, Detail: "our own dial to the peer took too long"}
	}
}
