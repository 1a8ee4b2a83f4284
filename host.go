package starling

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// host is the node as its wire sees it. It joins the parts. The peer table
// decides which session stands for a peer; the host keeps what the table told,
// for those who need the session itself.
type host struct {
	node     *Node
	stopping atomic.Bool // refuse whatever is new

	mu       sync.Mutex                    // a leaf
	offered  map[wire.Session]chain.Status // with the table, for its decision
	sessions map[peer.ID]member
}

// member is a session with the last that its peer claimed. The claimed head
// rises with the accepted blocks that the peer delivers, for people to see; the
// sync counts deliveries by itself.
type member struct {
	session wire.Session
	claims  chain.Status
}

var (
	_ wire.Host   = (*host)(nil)
	_ wire.Scorer = (*host)(nil)
	_ wire.Turner = (*host)(nil)
)

func newHost(n *Node) *host {
	return &host{node: n, offered: make(map[wire.Session]chain.Status), sessions: make(map[peer.ID]member)}
}

// Admit implements wire.Host.
func (h *host) Admit(l wire.Link) peer.Reason {
	if h.stopping.Load() {
		return peer.Stopping
	}
	why := h.node.swarm.Admit(l)
	if why == peer.OK {
		h.node.arrived.begin(l)
	}
	return why
}

// Open implements wire.Host.
func (h *host) Open(ctx context.Context, s wire.Session, claims chain.Status) error {
	if h.stopping.Load() {
		return peer.Refuse(peer.Stopping)
	}
	h.mu.Lock()
	h.offered[s] = claims
	h.mu.Unlock()
	err := h.node.swarm.Open(ctx, s, claims)
	h.mu.Lock()
	delete(h.offered, s)
	h.mu.Unlock()
	h.node.opening(ctx, s, err)
	return err
}

// opened is called by the table, before anybody is told of the session.
func (h *host) opened(s wire.Session, id peer.ID) {
	h.mu.Lock()
	claims := h.offered[s]
	h.sessions[id] = member{s, claims}
	h.mu.Unlock()
	h.node.sync.Join(s, claims)
	if h.node.relay != nil {
		h.node.relay.Join(s)
	}
	h.node.heard()
}

// closed is called by the table: before a session that takes this one's place
// is opened, and perhaps before the link has ended.
func (h *host) closed(s wire.Session, id peer.ID) {
	h.mu.Lock()
	current := h.sessions[id].session == s
	if current {
		delete(h.sessions, id)
	}
	h.mu.Unlock()
	if current {
		h.node.sync.Leave(id)
		if h.node.relay != nil {
			h.node.relay.Leave(id)
		}
	}
}

// Report implements wire.Host.
func (h *host) Report(r wire.Report) {
	h.node.reported(r)
	switch r := r.(type) {
	case wire.Claimed:
		h.claimed(r)
	case wire.TopicChanged:
		if r.Joined {
			h.node.heard()
		}
	}
	h.node.swarm.Report(r)
}

func (h *host) claimed(r wire.Claimed) {
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
}

// delivered notes that a peer has an accepted block: it need not claim it again.
func (h *host) delivered(s wire.Session, ref chain.Ref) {
	id := s.Peer().ID
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.sessions[id]; m.session == s && m.claims.Head.Number < ref.Number {
		m.claims.Head = ref
		h.sessions[id] = m
	}
}

// Turn implements wire.Turner.
func (h *host) Turn(work func()) { h.node.server.Turn(work) }

// Serve implements wire.Host.
func (h *host) Serve(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
	if h.stopping.Load() {
		return nil, &wire.Refusal{Code: wire.RefusedBusy, Text: "quitting"}
	}
	return h.node.serve(ctx, s, r)
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

// count is how many sessions are open.
func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions)
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
