package starling

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// host is the node as its wire sees it. It joins the parts and owns one fact:
// which session stands for a peer, since a duplicate may take the place of an
// older one before that one has closed.
type host struct {
	node *Node

	stopping atomic.Bool // refuse whatever is new

	mu       sync.Mutex // a leaf
	sessions map[peer.ID]member
}

// member is a session with the last that its peer claimed.
type member struct {
	session wire.Session
	claims  chain.Status
}

var (
	_ wire.Host   = (*host)(nil)
	_ wire.Scorer = (*host)(nil)
)

// Admit implements wire.Host.
func (h *host) Admit(l wire.Link) peer.Reason {
	if h.stopping.Load() {
		return peer.Stopping
	}
	return h.node.swarm.Admit(l)
}

// Open implements wire.Host.
func (h *host) Open(ctx context.Context, s wire.Session, claims chain.Status) error {
	if h.stopping.Load() {
		return peer.Refuse(peer.Stopping)
	}
	if err := h.node.swarm.Open(ctx, s, claims); err != nil {
		return err
	}
	id := s.Peer().ID
	h.mu.Lock()
	h.sessions[id] = member{s, claims}
	h.mu.Unlock()
	h.node.sync.Join(s, claims)
	h.node.heard()
	return nil
}

// Report implements wire.Host.
func (h *host) Report(r wire.Report) {
	switch r := r.(type) {
	case wire.Closed:
		id := r.Session.Peer().ID
		h.mu.Lock()
		current := h.sessions[id].session == r.Session
		if current {
			delete(h.sessions, id)
		}
		h.mu.Unlock()
		if current {
			h.node.sync.Leave(id)
		}
	case wire.Claimed:
		id := r.Session.Peer().ID
		h.mu.Lock()
		current := h.sessions[id].session == r.Session
		if current {
			h.sessions[id] = member{r.Session, r.Status}
		}
		h.mu.Unlock()
		if current {
			h.node.sync.Claimed(id, r.Status)
		}
	case wire.TopicChanged:
		if r.Joined {
			h.node.heard()
		}
	}
	h.node.swarm.Report(r)
}

// Serve implements wire.Host.
func (h *host) Serve(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
	if h.stopping.Load() {
		return nil, &wire.Refusal{Code: wire.RefusedBusy, Text: "quitting"}
	}
	return h.node.server.Serve(ctx, s, r)
}

// Score implements wire.Scorer.
func (h *host) Score(id peer.ID) float64 { return h.node.swarm.Score(id) }

// session gives the session that stands for a peer.
func (h *host) session(id peer.ID) (wire.Session, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, ok := h.sessions[id]
	return m.session, ok
}

// claims gives what a peer claimed last.
func (h *host) claims(id peer.ID) chain.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[id].claims
}

// all gives every session, in no order.
func (h *host) all() []wire.Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]wire.Session, 0, len(h.sessions))
	for _, m := range h.sessions {
		out = append(out, m.session)
	}
	return out
}
