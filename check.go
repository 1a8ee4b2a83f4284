package starling

import (
	"context"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/swarm"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// validationTimeout bounds the check of one message, its wait included.
const validationTimeout = 3 * time.Second

// validationQuota is how many messages of one peer may be under check or wait
// for it, in each class.
const validationQuota = 8

// gates are the validation pools. Consensus has its own, so that it never
// waits behind bulk; so has the application, whose code may be slow.
type gates struct{ block, tx, consensus, app *gate }

func newGates(workers int) gates {
	return gates{
		block:     newGate(workers, validationQuota),
		tx:        newGate(workers, validationQuota),
		consensus: newGate(workers, 2*validationQuota), // by topic and by lane
		app:       newGate(workers, validationQuota),
	}
}

// of is the pool for a message; nil where the node takes no such message.
func (g gates) of(m wire.Message) *gate {
	switch m.(type) {
	case wire.Block, wire.BlockAnnounce:
		return g.block
	case wire.Txs, wire.TxAnnounce:
		return g.tx
	case wire.Consensus:
		return g.consensus
	case wire.App:
		return g.app
	}
	return nil
}

// Check implements wire.Host.
func (h *host) Check(ctx context.Context, s wire.Session, m wire.Message) chain.Verdict {
	g := h.node.gates.of(m)
	if g == nil {
		return chain.Ignored("unknown-message")
	}
	if h.node.relay != nil {
		if v, done := h.relayed(s, m); done {
			h.node.counts.verdict(m, v)
			return v
		}
	}
	// What is known takes no worker: whoever sends one block in many encodings
	// must not keep others waiting past their deadline.
	if b, ok := m.(wire.Block); ok && h.node.known != nil && h.node.known.seen(b.Block.Header.Ref.Hash, false) {
		v := chain.Ignored("known-block")
		h.node.counts.verdict(m, v)
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, validationTimeout)
	defer cancel()
	began := time.Now()
	ctx, sp := h.node.tracer.start(ctx, spanValidate)
	id := s.Peer().ID
	sp.set("msg", kindOf(m))
	sp.set("peer", string(id))
	leave, why := g.enter(ctx, id)
	if leave == nil {
		return h.verdict(m, chain.Ignored(why), began, sp)
	}
	v, panicked := h.judge(ctx, s, id, m)
	leave()
	if txs, ok := m.(wire.Txs); ok && h.node.relay != nil && settles(v) {
		h.node.relay.Settled(txs.Txs)
	}
	if v.Action == chain.Reject && v.Clock && h.node.swarm.ClockDoubtful() {
		v = chain.Ignored("clock-suspect")
	}
	if b, ok := m.(wire.Block); ok && h.node.known != nil {
		v = h.node.known.once(b.Block, v)
	}
	h.verdict(m, v, began, sp)
	switch {
	case v.Action == chain.Reject && panicked:
		h.node.charge(s, peer.BrokeHandler, v.Severity, v.Reason)
	case v.Action == chain.Reject && v.Clock && v.Severity == peer.None:
		if h.node.stale.flood(id) {
			h.node.charge(s, peer.DeadGossip, peer.None, v.Reason)
		}
	case v.Action == chain.Reject && v.Severity != peer.None:
		h.node.charge(s, peer.InvalidGossip, v.Severity, v.Reason)
	case v.Action == chain.Accept:
		h.take(ctx, s, m)
	}
	return v
}

// relayed tells the relay what a peer has, and judges what needs no worker.
func (h *host) relayed(s wire.Session, m wire.Message) (v chain.Verdict, done bool) {
	r, id := h.node.relay, s.Peer().ID
	switch m := m.(type) {
	case wire.Block:
		r.BlockSeen(id, m.Block.Header.Ref.Hash)
		if !r.IsOpen() {
			return h.hint(id, m.Block), true
		}
	case wire.BlockAnnounce:
		r.BlockSeen(id, m.Ref.Hash)
	case wire.Txs, wire.TxAnnounce:
		if h.node.pool == nil {
			return chain.Ignored("no-pool"), true
		}
		if !r.IsOpen() {
			return chain.Ignored("not-synced"), true
		}
		switch m := m.(type) {
		case wire.Txs:
			r.Have(id, m.Txs)
		case wire.TxAnnounce:
			r.Announced(id, m.Txs)
			return chain.Accepted(), true
		}
	}
	return v, false
}

// verdict counts the outcome of a check and passes it on.
func (h *host) verdict(m wire.Message, v chain.Verdict, began time.Time, sp span) chain.Verdict {
	h.node.counts.verdict(m, v)
	h.node.counts.checks.Observe(kindOf(m), time.Since(began))
	sp.set("verdict", v.Action.String())
	sp.set("reason", peer.Clean(v.Reason))
	sp.end(nil)
	return v
}

// judge asks whoever knows about the message. A panic in a chain's or an
// application's check is caught: a peer must not be able to stop the node by
// finding one.
func (h *host) judge(ctx context.Context, s wire.Session, id peer.ID, m wire.Message) (v chain.Verdict, panicked bool) {
	defer func() {
		if r := recover(); r != nil {
			h.node.warn("a check panicked", "peer", id, "msg", kindOf(m), "err", fmt.Sprintf("%.200v", r))
			v, panicked = chain.Rejected("panic"), true
		}
	}()
	n := h.node
	switch m := m.(type) {
	case wire.Block:
		return n.chain.Check(m.Block), false
	case wire.BlockAnnounce:
		return chain.Accepted(), false
	case wire.Txs:
		if n.pool == nil {
			return chain.Ignored("no-pool"), false
		}
		return bundleVerdict(n.pool.Add(m.Txs)), false
	case wire.Consensus:
		if n.consensus == nil {
			return chain.Ignored("no-consensus"), false
		}
		return n.consensus.Handle(ctx, id, m.Bytes), false
	case wire.App:
		return n.judgeApp(ctx, id, m), false
	}
	return chain.Ignored("unknown-message"), false
}

// bundleVerdict is the verdict on a bundle of transactions: one that must not
// be relayed spoils it, one that is new carries it, unless the pool has not
// looked at another.
func bundleVerdict(vs []chain.Verdict) chain.Verdict {
	out, unchecked := chain.Ignored("known-txs"), chain.Ignored(chain.Unchecked)
	for _, v := range vs {
		switch {
		case v.Action == chain.Reject && (out.Action != chain.Reject || v.Severity < out.Severity):
			out = v
		case out.Action == chain.Reject || out == unchecked:
		case v.Action == chain.Accept, v == unchecked:
			out = v
		case v.Action == chain.Ignore && out.Action == chain.Ignore && v.Reason != "":
			out = v
		}
	}
	return out
}

// take hands an accepted message on.
func (h *host) take(ctx context.Context, s wire.Session, m wire.Message) {
	switch m := m.(type) {
	case wire.Block:
		id := s.Peer().ID
		h.delivered(s, m.Block.Ref())
		if !h.node.cfg.OwnBlocksOnly { // a block that nothing proves costs nothing to make
			h.node.swarm.Useful(id, swarm.Usefulness{Blocks: 1})
		}
		h.node.bus.publish(BlockSeen{Ref: m.Block.Ref(), From: id})
		h.node.sync.Offer(s, m.Block)
		if h.node.relay != nil {
			h.node.relayBlock(ctx, id, m.Block)
		}
	case wire.Txs:
		h.node.swarm.Useful(s.Peer().ID, swarm.Usefulness{Txs: len(m.Txs)})
	case wire.BlockAnnounce:
		h.announced(ctx, s.Peer().ID, m)
	}
}

// kindOf is the fixed name of a message, fit for a metric label.
func kindOf(m wire.Message) string {
	switch m.(type) {
	case wire.Block:
		return "block"
	case wire.BlockAnnounce:
		return "block-announce"
	case wire.Txs:
		return "txs"
	case wire.TxAnnounce:
		return "tx-announce"
	case wire.Consensus:
		return "consensus"
	case wire.App:
		return "app"
	}
	return "unknown"
}
