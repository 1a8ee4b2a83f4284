package daemon

import (
	"context"
	"encoding/json"
	"net/netip"
	"sync"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/wire"
)

const (
	sampleEvery = 2 * time.Second // between two looks at the counts of decisions
	stateFor    = time.Second     // a question may be answered from a state this old
	knownShown  = 4096            // addresses of the book that a question about a peer looks through
)

// explainer feeds what happens to the core that says why, and answers.
type explainer struct {
	client *starling.Client
	wire   wire.Wire
	events *eventlog.Log
	began  time.Time
	own    func() []why.Finding // of parts beside the node; nil: none

	mu   sync.Mutex // a leaf, over the core
	core *why.Core
	seen uint64

	survey func() *why.State // asks the node's owners
	asking chan struct{}     // capacity 1: whoever holds it looks at the node
	at     time.Time         // of state; the holder of asking has it
	state  *why.State
}

func newExplainer(c *starling.Client, w wire.Wire, events *eventlog.Log, began time.Time) *explainer {
	e := &explainer{client: c, wire: w, events: events, began: began, core: why.New(true), asking: make(chan struct{}, 1)}
	e.survey = e.stateNow
	return e
}

// run takes events in until ctx ends.
func (e *explainer) run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.take()
		case <-ctx.Done():
			return
		}
	}
}

// take brings the core up to now.
func (e *explainer) take() {
	sums := e.client.DecisionCounts()
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		recs, _ := e.events.Since(e.seen, 256)
		for _, r := range recs {
			e.core.Take(r.Time, r.Event)
			e.seen = r.ID
		}
		if len(recs) == 0 {
			break
		}
	}
	e.core.Sample(time.Now(), sums)
}

// look gives the node's state, which is at most stateFor old: however often
// somebody asks, the node's owners are asked once in that time.
func (e *explainer) look(ctx context.Context) (*why.State, error) {
	select {
	case e.asking <- struct{}{}:
		defer func() { <-e.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if e.state != nil && time.Since(e.at) < stateFor {
		return e.state, nil
	}
	e.state, e.at = e.survey(), time.Now()
	return e.state, nil
}

func (e *explainer) stateNow() *why.State {
	st := &why.State{
		Began: e.began, Status: e.client.Status(), Peers: e.client.Peers(), Bans: e.client.Bans(),
		Known: e.client.KnownPeers(knownShown), Outlook: e.client.Outlook(), IPs: e.ips(),
	}
	if e.own != nil {
		st.Own = e.own()
	}
	return st
}

// ips are the IP addresses that the node gives as its own.
func (e *explainer) ips() (out []netip.Addr) {
	l, ok := e.wire.(wire.Locator)
	if !ok {
		return nil
	}
	for _, a := range e.wire.Addrs() {
		if ep, _, ok := l.Locate(a); ok {
			out = append(out, ep.Addr())
		}
	}
	return out
}

// explain answers for a peer, or for the node where who is empty.
func (e *explainer) explain(ctx context.Context, who string) (why.Report, error) {
	st, err := e.look(ctx)
	if err != nil {
		return why.Report{}, err
	}
	e.take()
	e.mu.Lock()
	defer e.mu.Unlock()
	if who == "" {
		return e.core.Node(time.Now(), st), nil
	}
	r, err := e.core.Peer(time.Now(), st, who)
	if err != nil {
		return r, rpc.BadParams("%v", err)
	}
	return r, nil
}

// callWhy takes a peer's identity or address, or nothing for the node.
func (n *Node) callWhy(ctx context.Context, params json.RawMessage) (any, error) {
	var who string
	if err := rpc.Params(params, &who); err != nil {
		return nil, err
	}
	return n.why.explain(ctx, who)
}
