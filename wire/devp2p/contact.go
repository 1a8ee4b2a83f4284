package devp2p

import (
	"context"

	"github.com/starlingp2p/starling/peer"
)

// contact is all that goes on with one peer. The node's lock guards it.
type contact struct {
	claim *claim   // the link that has finished Hello first
	dial  *dialing // a dial of ours that is under way
}

// claim is a link that has finished Hello and is, or becomes, the session.
type claim struct {
	offered *session // nil until the Host is asked to take it; for descriptions only
	session *session // nil until it runs
}

// dialing is a dial of ours.
type dialing struct{ done chan struct{} }

// contact gives the peer's, making it if need be. The lock is held.
func (n *node) contact(id peer.ID) *contact {
	c := n.peers[id]
	if c == nil {
		c = &contact{}
		n.peers[id] = c
	}
	return c
}

// tidy forgets a contact that holds nothing. The lock is held.
func (n *node) tidy(id peer.ID) {
	if c := n.peers[id]; c != nil && c.claim == nil && c.dial == nil {
		delete(n.peers, id)
	}
}

// beginDial notes a dial of ours, unless there is something with the peer. Run
// waits for it, and so for the session that it starts, until endDial.
func (n *node) beginDial(id peer.ID) (*dialing, peer.Reason) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.contact(id)
	defer n.tidy(id)
	switch {
	case n.stopping:
		return nil, peer.Stopping
	case c.claim != nil:
		return nil, peer.Duplicate
	case c.dial != nil:
		return nil, peer.AlreadyDialling
	}
	c.dial = &dialing{done: make(chan struct{})}
	n.wg.Add(1)
	return c.dial, peer.OK
}

func (n *node) endDial(id peer.ID, d *dialing) {
	defer n.wg.Done()
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.peers[id]; c != nil && c.dial == d {
		c.dial = nil
		n.tidy(id)
	}
	close(d.done)
}

// take claims the peer for a link that has finished Hello; nil if another was
// first.
func (n *node) take(id peer.ID) (*claim, peer.Reason) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.contact(id)
	switch {
	case n.stopping:
		n.tidy(id)
		return nil, peer.Stopping
	case c.claim != nil:
		return nil, peer.Duplicate
	}
	c.claim = &claim{}
	return c.claim, peer.OK
}

// yield waits for a dial of ours to the same peer, if ours is the lower
// identity: then the peer decides which of the two links stays.
func (n *node) yield(ctx context.Context, id peer.ID) {
	n.mu.Lock()
	var d *dialing
	if c := n.peers[id]; c != nil && n.self < id {
		d = c.dial
	}
	n.mu.Unlock()
	if d == nil {
		return
	}
	select {
	case <-d.done:
	case <-ctx.Done():
	}
}

// give gives a claim back.
func (n *node) give(id peer.ID, cl *claim) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.peers[id]; c != nil && c.claim == cl {
		c.claim = nil
		n.tidy(id)
	}
}

// sessionWith is the session with a peer, nil if there is none.
func (n *node) sessionWith(id peer.ID) *session {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.peers[id]; c != nil && c.claim != nil {
		return c.claim.session
	}
	return nil
}

// offer makes the session known that the Host is about to be asked to take: who
// hears of it from the Host may want it described at once.
func (n *node) offer(cl *claim, s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cl.offered = s
}

// described is the session with a peer, or the one that the Host is deciding on;
// nil if there is none. It is not to be used otherwise.
func (n *node) described(id peer.ID) *session {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.peers[id]; c != nil && c.claim != nil {
		return c.claim.offered
	}
	return nil
}

// settle makes a claim's session known; false if the node is stopping.
func (n *node) settle(cl *claim, s *session) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return false
	}
	cl.session = s
	return true
}
