package reqresp

import (
	"context"
	"errors"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

// MaxInFlight is how many requests of ours are under way with one peer at once.
const MaxInFlight = 16

// Shared is what the requests of all peers of a node share: the memory for
// answers that come in, and for those that are given. It is safe for concurrent
// use. Make one with NewShared.
type Shared struct {
	in  *inbound
	out *outbound
}

// NewShared makes the memory of a node, size bytes in each direction; 0: 256 MiB
// or a quarter of the memory limit.
func NewShared(size int64) *Shared { return &Shared{newInbound(size), newOutbound(size)} }

// Budget is the part of the memory for what comes in that gossip shares.
func (s *Shared) Budget() *intake.Budget { return s.in.budget }

// Used is how many bytes answers to us hold now, and how many peers have a
// share of their own.
func (s *Shared) Used() (bytes, shares int) {
	return int(s.in.budget.Used() + s.in.taken.Load()), int(s.in.sharing.Load())
}

// Peer is the request layer with one peer: all its requests go through it, and
// so do ours. It is safe for concurrent use. Make one with Shared.Peer.
type Peer struct {
	// Window paces answers to it; nil: the multiplexer does.
	Window *Window
	// Limiter keeps us under what it serves.
	Limiter *SelfLimiter

	places chan struct{} // one for each request of ours
	costs  costs
	in     *peerIn
	out    peerOut
}

// Peer makes the request layer with a peer, until Close.
func (s *Shared) Peer() *Peer {
	in := s.in.of()
	return &Peer{
		Window: NewWindow(), Limiter: NewSelfLimiter(),
		places: make(chan struct{}, MaxInFlight), in: in, out: newPeerOut(s.in, s.out, in.shared),
	}
}

// Close gives back the peer's share, with its last answer. It never blocks.
func (p *Peer) Close() { p.in.close() }

// Held is how many bytes answers of the peer hold, and how many are reserved
// for what it asks and is answered.
func (p *Peer) Held() (asking, serving int) {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	return p.in.held, int(p.out.reserved.Load())
}

// Count is told what a request took on its stream, in bytes. The asker is known
// by who calls.
type Count func(kind string, request, answer int)

// oursError is a failure that is not graded.
type oursError struct{ error }

func (e oursError) Unwrap() error { return e.error }

// Ours reports whether an Ask failed before there was a stream for it, or for
// want of our memory. A refusal does not tell: the peer may name any limit.
func Ours(err error) bool { return errors.As(err, new(oursError)) }

// Ask asks one request over a stream that open gives it, and blocks for the
// answer. Before, it waits for one of the places that bound what is under way
// with the peer, and for the pace that the peer serves at. Its error is
// wire.ErrClosed where that is the cause of the end of ctx, or where an answer
// was cut and gone says that its connection has ended. See Ours too.
func (p *Peer) Ask(ctx context.Context, r wire.Request, open func(context.Context) (Stream, error), count Count, gone func() bool) (wire.Response, error) {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	case <-ctx.Done():
		return nil, oursError{context.Cause(ctx)}
	}
	items, cost := p.costs.guess(r)
	if err := p.Limiter.Wait(ctx, cost); err != nil {
		return nil, oursError{err}
	}
	start := time.Now()
	counted := &Counted{}
	resp, err := p.ask(ctx, r, open, counted)
	count(wire.KindOf(r), counted.Out, counted.In)
	p.Limiter.Settle(cost, counted.In, time.Since(start), err)
	if err == nil {
		p.costs.learn(r, items, counted.In)
		return resp, nil
	}
	if context.Cause(ctx) == wire.ErrClosed {
		return resp, wire.ErrClosed
	}
	var fault *wire.Fault
	if errors.As(err, &fault) && fault.Offense == peer.TruncatedFrame && gone() {
		return nil, wire.ErrClosed // the connection ended, not the stream
	}
	return resp, err
}

func (p *Peer) ask(ctx context.Context, r wire.Request, open func(context.Context) (Stream, error), counted *Counted) (wire.Response, error) {
	st, err := open(ctx)
	if err != nil {
		return nil, oursError{err}
	}
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	memory := p.in.begin(ctx, func() { cut(errStarved) }) // which resets the stream
	defer memory.done()
	counted.Stream, counted.came = st, memory.grant.Came
	resp, err := Do(ctx, counted, r, Limits{AckEvery: p.Limiter.AckEvery(), Memory: memory})
	if errors.Is(err, errStarved) {
		return nil, oursError{&wire.Refusal{Code: wire.RefusedBusy, Limit: "decode-budget", Text: "there was no memory for the answer: ask again later"}}
	}
	return resp, err
}

// Serve answers the request on a stream that the peer opened, within its memory
// and that of all, and blocks until it has the answer; it ends the stream.
func (p *Peer) Serve(ctx context.Context, st Stream, serve ServeFunc, count Count) error {
	free := func() {}
	defer func() { free() }()
	kind, counted := "unknown", &Counted{Stream: st}
	defer func() { count(kind, counted.In, counted.Out) }()
	whole := func() {}
	limits := Limits{Take: func() (func(), error) {
		grant, giveBack, err := p.out.take(ctx, func() { st.Reset() })
		if err != nil {
			return nil, err
		}
		counted.came, whole = grant.Came, grant.Whole
		return giveBack, nil
	}}
	return Answer(ctx, counted, p.Window, limits, func(ctx context.Context, r wire.Request) (resp wire.Response, err error) {
		whole()
		kind = wire.KindOf(r)
		resp, free, err = p.out.answering(ctx, r, func(r wire.Request) (wire.Response, error) { return serve(ctx, r) })
		return resp, err
	})
}
