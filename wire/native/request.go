package native

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/native/codec"
	"github.com/starlingp2p/starling/wire/native/reqresp"
)

// Request implements wire.Session. It waits for one of the places that bound
// what is under way with the peer, and for the pace that the peer serves at.
func (s *session) Request(ctx context.Context, r wire.Request) (wire.Response, error) {
	if _, ok := r.(wire.GetReceipts); ok || r == nil {
		return nil, wire.ErrUnsupported
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(s.ctx, func() { cancel(wire.ErrClosed) })
	defer stop()
	select {
	case s.inFlight <- struct{}{}:
		defer func() { <-s.inFlight }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	items, cost := s.costs.guess(r)
	if err := s.limiter.Wait(ctx, cost); err != nil {
		return nil, err
	}
	start := time.Now()
	counted := &countedStream{}
	resp, err := s.ask(ctx, r, counted)
	s.node.countAsked(wire.KindOf(r), false, counted.written, counted.read)
	s.limiter.Settle(cost, counted.read, time.Since(start), err)
	if err == nil {
		s.costs.learn(r, items, counted.read)
	}
	if err != nil && context.Cause(ctx) == wire.ErrClosed {
		return resp, wire.ErrClosed
	}
	var fault *wire.Fault
	if errors.As(err, &fault) && fault.Offense == peer.TruncatedFrame && s.link.conn.IsClosed() {
		return nil, wire.ErrClosed // the connection ended, not the stream: see charge
	}
	return resp, err
}

func (s *session) ask(ctx context.Context, r wire.Request, counted *countedStream) (wire.Response, error) {
	st, err := s.node.p2p.OpenStream(ctx, s.link.conn, codec.RequestProtocol)
	if err != nil {
		return nil, fmt.Errorf("native: %s request: %w", wire.KindOf(r), err)
	}
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	memory := s.answers.begin(ctx, func() { cut(errStarved) }) // which resets the stream
	defer memory.done()
	counted.Stream, counted.came = st, memory.grant.Came
	resp, err := reqresp.Do(ctx, counted, r, reqresp.Limits{AckEvery: s.limiter.AckEvery(), Memory: memory})
	if errors.Is(err, errStarved) {
		return nil, &wire.Refusal{Code: wire.RefusedBusy, Limit: "decode-budget", Text: "there was no memory for the answer: ask again later"}
	}
	return resp, err
}

// costs learns how large the items of each kind of answer are.
type costs struct {
	mu   sync.Mutex // a leaf
	size map[string]int
}

// defaultItem is what an item is taken for, in bytes, before one was seen.
const defaultItem = 1024

func (c *costs) guess(r wire.Request) (items, cost int) {
	switch r := r.(type) {
	case wire.GetHeaders:
		items = r.Range.Count
	case wire.GetBlocks:
		items = r.Range.Count
	case wire.GetBodies:
		items = len(r.Hashes)
	case wire.GetBlocksByHash:
		items = len(r.Hashes)
	case wire.GetTxs:
		items = len(r.Hashes)
	default:
		items = 1
	}
	items = max(1, min(items, codec.MaxItems))
	c.mu.Lock()
	defer c.mu.Unlock()
	each := defaultItem
	if n, ok := c.size[wire.KindOf(r)]; ok {
		each = n
	}
	return items, min(items*each, codec.MaxAnswer)
}

func (c *costs) learn(r wire.Request, items, got int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size == nil {
		c.size = map[string]int{}
	}
	each, kind := max(got/items, 1), wire.KindOf(r)
	if old, ok := c.size[kind]; ok {
		each = (3*old + each) / 4
	}
	c.size[kind] = max(each, 1)
}

// acceptRequest serves one request of a peer with a session.
func (n *node) acceptRequest(st network.Stream) {
	l := n.link(st.Conn())
	if l == nil {
		st.Reset()
		return
	}
	if !n.enter(&l.requests, maxStreams) {
		st.ResetWithError(network.StreamResourceLimitExceeded)
		n.charge(st.Conn(), peer.StreamFlood, fmt.Sprintf("more than %d request streams", maxStreams))
		return
	}
	defer n.leave(&l.requests)
	s := n.await(l)
	if s == nil {
		st.Reset()
		return
	}
	free := func() {}
	defer func() { free() }()
	kind, counted := "unknown", &countedStream{Stream: st}
	defer func() { n.countAsked(kind, true, counted.read, counted.written) }()
	whole := func() {}
	limits := reqresp.Limits{Take: func() (func(), error) {
		grant, giveBack, err := s.held.take(s.ctx, func() { st.Reset() })
		if err != nil {
			return nil, err
		}
		counted.came, whole = grant.Came, grant.Whole
		return giveBack, nil
	}}
	err := reqresp.Answer(s.ctx, counted, s.window, limits, func(ctx context.Context, r wire.Request) (resp wire.Response, err error) {
		whole()
		kind = wire.KindOf(r)
		resp, free, err = s.held.answering(ctx, r, func() (wire.Response, error) { return n.host.Serve(ctx, s, r) })
		return resp, err
	})
	if err != nil {
		n.fault(st.Conn(), err)
	}
}
