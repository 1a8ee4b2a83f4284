package wiretest

import (
	"context"
	"fmt"
	"sync"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Host is a node for tests: it decides as its funcs say, accepts what they do
// not mention, and records everything. All methods are safe for concurrent
// use; the funcs are set before the wire runs, and are called concurrently.
type Host struct {
	OnAdmit func(wire.Link) peer.Reason
	OnOpen  func(context.Context, wire.Session, chain.Status) error
	OnCheck func(context.Context, wire.Session, wire.Message) chain.Verdict
	OnServe func(context.Context, wire.Session, wire.Request) (wire.Response, error)
	OnScore func(peer.ID) float64

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each record
	open    []wire.Session
	opened  []Opened
	reports []wire.Report
	checked []Checked
	admits  []wire.Link
	wrong   []error
}

// Opened is a session that the Host took.
type Opened struct {
	Session wire.Session
	Claims  chain.Status
}

// Checked is a message that the Host judged.
type Checked struct {
	From    wire.Session
	Message wire.Message
	Verdict chain.Verdict
}

var (
	_ wire.Host   = (*Host)(nil)
	_ wire.Scorer = (*Host)(nil)
)

func (h *Host) record(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// Admit implements wire.Host.
func (h *Host) Admit(l wire.Link) peer.Reason {
	h.record(func() { h.admits = append(h.admits, l) })
	if h.OnAdmit != nil {
		return h.OnAdmit(l)
	}
	return peer.OK
}

// Open implements wire.Host.
func (h *Host) Open(ctx context.Context, s wire.Session, claims chain.Status) error {
	if h.OnOpen != nil {
		if err := h.OnOpen(ctx, s, claims); err != nil {
			return err
		}
	}
	h.record(func() {
		h.open = append(h.open, s)
		h.opened = append(h.opened, Opened{s, claims})
	})
	return nil
}

// Report implements wire.Host.
func (h *Host) Report(r wire.Report) {
	h.record(func() {
		h.reports = append(h.reports, r)
		c, ok := r.(wire.Closed)
		if !ok {
			return
		}
		for i, s := range h.open {
			if s == c.Session {
				h.open = append(h.open[:i:i], h.open[i+1:]...)
				return
			}
		}
		h.wrong = append(h.wrong, fmt.Errorf("wiretest: Closed (%s) for a session that is not open: reported twice, or never taken", c.Reason))
	})
}

// Check implements wire.Host.
func (h *Host) Check(ctx context.Context, s wire.Session, m wire.Message) chain.Verdict {
	v := chain.Accepted()
	if h.OnCheck != nil {
		v = h.OnCheck(ctx, s, m)
	}
	h.record(func() { h.checked = append(h.checked, Checked{s, m, v}) })
	return v
}

// Serve implements wire.Host. Without OnServe nothing is found.
func (h *Host) Serve(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
	if h.OnServe != nil {
		return h.OnServe(ctx, s, r)
	}
	return nil, &wire.Refusal{Code: wire.RefusedNotFound}
}

// Score implements wire.Scorer.
func (h *Host) Score(id peer.ID) float64 {
	if h.OnScore != nil {
		return h.OnScore(id)
	}
	return 0
}

// Sessions are those that are open, in the order in which they were opened.
func (h *Host) Sessions() []wire.Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]wire.Session(nil), h.open...)
}

// Session is the open session with a peer, nil if there is none.
func (h *Host) Session(id peer.ID) wire.Session {
	for _, s := range h.Sessions() {
		if s.Peer().ID == id {
			return s
		}
	}
	return nil
}

// Opened are all sessions that were ever opened, in order.
func (h *Host) Opened() []Opened {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Opened(nil), h.opened...)
}

// Checked are the messages that were judged, in order.
func (h *Host) Checked() []Checked {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Checked(nil), h.checked...)
}

// Admits are the links that were asked about, in order.
func (h *Host) Admits() []wire.Link {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]wire.Link(nil), h.admits...)
}

// Wrong are the broken promises that the Host saw by itself.
func (h *Host) Wrong() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]error(nil), h.wrong...)
}

// Reports are the reports of one kind, in order.
func Reports[R wire.Report](h *Host) []R {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []R
	for _, r := range h.reports {
		if r, ok := r.(R); ok {
			out = append(out, r)
		}
	}
	return out
}

// Until blocks until cond holds, which is tried whenever something is
// recorded, or until ctx ends.
func (h *Host) Until(ctx context.Context, cond func() bool) error {
	for {
		h.mu.Lock()
		if h.changed == nil {
			h.changed = make(chan struct{})
		}
		changed := h.changed
		h.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
