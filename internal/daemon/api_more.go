package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/wire"
)

// CapsReply answers starling_caps.
type CapsReply struct {
	V              int      `json:"v"`
	Wire           string   `json:"wire"`
	Protocols      []string `json:"protocols"`
	ProvenIdentity bool     `json:"proven_identity"`
	Gossip         string   `json:"gossip"` // "none", "topics" or "sessions"
	Skeleton       bool     `json:"skeleton"`
	BodiesApart    bool     `json:"bodies_apart"`
	Receipts       bool     `json:"receipts"`
	ByNumber       bool     `json:"by_number"`
	ByHash         bool     `json:"by_hash"`
	MaxBlocks      int      `json:"max_blocks"` // in one request
	MaxInFlight    int      `json:"max_in_flight"`
	AnswersInOrder bool     `json:"answers_in_order"`
	SilentRefusal  bool     `json:"silent_refusal"`
	ConsensusLink  bool     `json:"consensus_link"`
}

// VerdictReply is one entry of starling_verdicts.
type VerdictReply struct {
	Message string `json:"message"`
	Action  string `json:"action"` // "accept", "ignore" or "reject"
	Reason  string `json:"reason"`
	Count   uint64 `json:"count"`
	Why     string `json:"why,omitempty"` // the reason in words, where the wire has some
}

// KnownReply is one entry of starling_knownPeers.
type KnownReply struct {
	ID      string     `json:"id"` // empty where only the address is known
	Addr    string     `json:"addr"`
	Source  string     `json:"source"`
	Proven  bool       `json:"proven"`
	Tried   *time.Time `json:"tried"` // the last dial; null: none
	Seen    *time.Time `json:"seen"`  // the last session; null: none
	Avoided string     `json:"avoided,omitempty"`
}

// How many addresses starling_knownPeers gives.
const (
	defaultKnown = 100
	mostKnown    = 1000
)

func (n *Node) caps() CapsReply {
	c := n.stack.wire.Caps()
	r := CapsReply{
		V: 1, Wire: c.Name, Protocols: Protocols()[c.Name], ProvenIdentity: c.ProvenIdentity, Gossip: "none",
		Skeleton: c.Skeleton, BodiesApart: c.BodiesApart, Receipts: c.Receipts, ByNumber: c.ByNumber, ByHash: c.ByHash,
		MaxBlocks: c.MaxBatch.Blocks, MaxInFlight: c.MaxInFlight, AnswersInOrder: c.AnswersInOrder, SilentRefusal: c.SilentRefusal, ConsensusLink: c.ConsensusLink,
	}
	switch c.Gossip {
	case wire.GossipTopics:
		r.Gossip = "topics"
	case wire.GossipSessions:
		r.Gossip = "sessions"
	}
	return r
}

func (n *Node) verdicts() []VerdictReply {
	out := []VerdictReply{}
	for k, count := range n.node.Client().Verdicts() {
		out = append(out, VerdictReply{Message: k.Message, Action: k.Action, Reason: k.Reason, Count: count, Why: n.stack.reasons[k.Reason]})
	}
	slices.SortFunc(out, func(a, b VerdictReply) int {
		return cmp.Or(cmp.Compare(a.Message, b.Message), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

func (n *Node) callKnown(ctx context.Context, params json.RawMessage) (any, error) {
	most := defaultKnown
	if err := rpc.Params(params, &most); err != nil {
		return nil, err
	}
	if most < 1 || most > mostKnown {
		return nil, rpc.BadParams("max is %d, want 1 to %d", most, mostKnown)
	}
	// The owner of the book is asked once in a while, however often we are.
	state, err := n.why.look(ctx)
	if err != nil {
		return nil, err
	}
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	out := []KnownReply{}
	for _, k := range state.Known[:min(most, len(state.Known))] {
		out = append(out, KnownReply{
			ID: string(k.ID), Addr: k.Addr.String(), Source: string(k.Source), Proven: k.Proven,
			Tried: at(k.Tried), Seen: at(k.Seen), Avoided: string(k.Avoided),
		})
	}
	return out, nil
}

func (n *Node) callTarget(ctx context.Context, params json.RawMessage) (any, error) {
	var text string
	if err := rpc.Params(params, &text); err != nil {
		return nil, err
	}
	ref, err := parseTarget(text)
	if err != nil {
		return nil, rpc.BadParams("%v", err)
	}
	return true, n.node.Client().SetTarget(ctx, ref)
}
