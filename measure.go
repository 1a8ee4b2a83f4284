package starling

import (
	"context"
	"errors"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// dial is the wire's Dial, measured.
func (n *Node) dial(ctx context.Context, a peer.Addr) error {
	ctx, sp := n.tracer.start(ctx, spanDial)
	sp.set("addr", peer.Clean(a.String()))
	err := n.wire.Dial(ctx, a)
	n.counts.dialled(err)
	sp.end(err)
	return err
}

// request is a session's Request, measured.
func (n *Node) request(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
	began := time.Now()
	ctx, sp := n.tracer.start(ctx, spanRequest)
	kind := wire.KindOf(r)
	sp.set("kind", kind)
	sp.set("peer", string(s.Peer().ID))
	res, err := s.Request(ctx, r)
	n.counts.requests.Observe(Exchange{Kind: kind, Result: resultOf(err)}, time.Since(began))
	sp.end(err)
	return res, err
}

// serve answers a peer's request, measured.
func (n *Node) serve(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
	began := time.Now()
	ctx, sp := n.tracer.start(ctx, spanServe)
	kind := wire.KindOf(r)
	sp.set("kind", kind)
	sp.set("peer", string(s.Peer().ID))
	res, err := n.server.Serve(ctx, s, r)
	n.counts.requests.Observe(Exchange{Served: true, Kind: kind, Result: resultOf(err)}, time.Since(began))
	sp.end(err)
	return res, err
}

// opening measures a handshake that has come to its end: err is the decision
// about its session.
func (n *Node) opening(ctx context.Context, s wire.Session, err error) {
	info := s.Peer()
	began, known := n.arrived.end(info)
	if known && err == nil {
		n.counts.handshakes[info.Direction].Observe(time.Since(began))
	}
	if known {
		sp := n.tracer.since(ctx, spanHandshake, began)
		sp.set("peer", string(info.ID))
		sp.set("direction", info.Direction.String())
		sp.end(err)
	}
	if info.Direction != peer.Inbound {
		return
	}
	var refused *peer.RefusedError
	switch {
	case err == nil:
		n.counts.accepts.Add(Outcome{Result: ResultOK}, 1)
	case errors.As(err, &refused):
		n.counts.accepts.Add(Outcome{ResultRefused, refused.Reason}, 1)
	default:
		n.counts.accepts.Add(Outcome{ResultFailed, peer.HandshakeSlow}, 1)
	}
}

// reported counts what the wire reports, before any queue may drop it.
func (n *Node) reported(r wire.Report) {
	switch r := r.(type) {
	case wire.Dropped:
		n.counts.drops.Add(Drop{r.Queue, "full"}, uint64(max(r.Count, 0)))
	case wire.Refused:
		if r.Link.Direction != peer.Inbound {
			return
		}
		result := ResultRefused
		if r.Remote || r.Reason == peer.HandshakeFailed || r.Reason == peer.HandshakeSlow {
			result = ResultFailed
		}
		n.counts.accepts.Add(Outcome{result, r.Reason}, 1)
	}
}

// importing is the chain with its imports measured.
type importing struct {
	chain.Chain
	node *Node
}

// VerifyBodies implements chain.BodiesChecker: by the chain, where it does.
func (c importing) VerifyBodies(bs []chain.Block) []error { return chain.VerifyBodies(c.Chain, bs) }

// VerifyHeadersContext implements chain.HeadersChecker: by the chain, where it does.
func (c importing) VerifyHeadersContext(ctx context.Context, parent chain.Header, hs []chain.Header) (int, error) {
	return chain.VerifyHeaders(ctx, c.Chain, parent, hs)
}

// Import implements chain.Importer.
func (c importing) Import(ctx context.Context, blocks []chain.Block) (int, error) {
	began := time.Now()
	ctx, sp := c.node.tracer.start(ctx, spanImport)
	sp.count("blocks", len(blocks))
	taken, err := c.Chain.Import(ctx, blocks)
	c.node.counts.imports.Observe(time.Since(began))
	c.node.counts.imported.Add(uint64(max(taken, 0)))
	sp.count("imported", taken)
	sp.end(err)
	return taken, err
}
