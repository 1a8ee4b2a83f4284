package opstack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Times of one request, as op-node's client has them, but for the answer: its
// server may take 20 s to begin.
const (
	openTime  = 5 * time.Second
	writeTime = 10 * time.Second
)

// busyAfter is how long a peer that says "other error" is left alone: op-node
// says so when it has made a request wait for as long as it does.
const busyAfter = 4 * time.Second

// Request implements wire.Session: blocks by number. Of a longer range than one
// block a peer that is no Starling gives the first.
func (s *session) Request(ctx context.Context, r wire.Request) (wire.Response, error) {
	if s.ctx.Err() != nil {
		return nil, wire.ErrClosed
	}
	q, ok := r.(wire.GetBlocks)
	if !ok || !q.Range.From.Hash.IsZero() {
		return nil, wire.ErrUnsupported
	}
	if q.Range.Count <= 0 {
		return wire.Blocks{}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(s.ctx, func() { cancel(wire.ErrClosed) })
	defer stop()
	s.use()
	if s.ranged {
		resp, err := s.askRange(ctx, q)
		s.grade(err)
		return resp, err
	}
	select {
	case s.inFlight <- struct{}{}:
		defer func() { <-s.inFlight }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := s.pace.wait(ctx); err != nil {
		return nil, err
	}
	b, err := s.ask(ctx, q.Range.From.Number)
	s.learn(err)
	if err != nil {
		if context.Cause(ctx) == wire.ErrClosed || s.link.Conn.IsClosed() {
			return nil, wire.ErrClosed
		}
		return nil, err
	}
	return wire.Blocks{Blocks: []chain.Block{b}}, nil
}

// learn takes in how a request went, for the pace and the score.
func (s *session) learn(err error) {
	var refusal *wire.Refusal
	switch {
	case err == nil, errors.As(err, &refusal) && refusal.Code == wire.RefusedNotFound:
		s.pace.answered()
	case refusal != nil, errors.Is(err, context.DeadlineExceeded):
		s.pace.throttled()
	}
	s.grade(err)
}

// grade takes in how a request went, for the score. What the peer does not have
// costs it nothing, nor what we lacked.
func (s *session) grade(err error) {
	var refusal *wire.Refusal
	var fault *wire.Fault
	id, scores := s.info.ID, s.node.w.scores
	switch {
	case err == nil:
		scores.valid(id)
	case reqresp.Ours(err):
	case errors.As(err, &refusal) && refusal.Code == wire.RefusedNotFound:
	case refusal != nil, errors.Is(err, context.DeadlineExceeded):
		scores.error(id)
	case errors.As(err, &fault):
		scores.rejected(id)
	case errors.Is(err, context.Canceled), errors.Is(err, errStarved), errors.Is(err, wire.ErrClosed):
	default:
		scores.error(id)
	}
}

// ask asks for one block and checks that the answer is what it says it is.
func (s *session) ask(ctx context.Context, number uint64) (chain.Block, error) {
	rules := s.node.w.cfg.Rules.Config()
	at, ok := rules.TimeAt(number)
	if !ok {
		return chain.Block{}, &wire.Refusal{Code: wire.RefusedBadRequest, Text: "the number is before the genesis, or too high"}
	}
	st, err := s.stream(ctx, s.node.protos...)
	if err != nil {
		return chain.Block{}, err
	}
	defer st.Reset() // whatever is left of it
	stop := context.AfterFunc(ctx, func() { st.Reset() })
	defer stop()
	start := time.Now()
	st.SetDeadline(start.Add(writeTime))
	counted := &reqresp.Counted{Stream: st}
	defer func() { s.node.countAsked(onNumber, false, codec.RequestSize, counted.In) }()
	if _, err := st.Write(codec.AppendRequest(nil, number)); err != nil {
		return chain.Block{}, s.broken(ctx, "send a request", err)
	}
	st.CloseWrite()
	st.SetDeadline(start.Add(requestTime))
	grow, free := s.held.answer()
	defer free() // from here on the block is the caller's
	res, e, err := codec.ReadAnswerWithin(counted, func(bool) codec.Version { return rules.VersionAt(at) }, grow)
	if err != nil {
		return chain.Block{}, s.broken(ctx, "read an answer", err)
	}
	switch res {
	case codec.ResultOK:
	case codec.ResultNotFound:
		return chain.Block{}, &wire.Refusal{Code: wire.RefusedNotFound}
	case codec.ResultInvalid:
		return chain.Block{}, &wire.Refusal{Code: wire.RefusedBadRequest}
	default:
		return chain.Block{}, &wire.Refusal{Code: wire.RefusedBusy, RetryAfter: busyAfter, Text: fmt.Sprintf("result code %d", res)}
	}
	wrong := func(format string, args ...any) (chain.Block, error) {
		return chain.Block{}, &wire.Fault{Offense: peer.WrongBlock, Err: fmt.Errorf("opstack: "+format, args...)}
	}
	if e.Number != number {
		return wrong("asked for block %d, got %d", number, e.Number)
	}
	b, err := e.Block(nil)
	if err != nil {
		return chain.Block{}, err
	}
	if codec.HeaderHash(b.Header.Bytes) != b.Header.Ref.Hash {
		return wrong("block %d does not have the hash that it claims", number)
	}
	if len(e.Withdrawals) > 0 {
		return wrong("block %d has withdrawals", number)
	}
	return b, nil
}

func (s *session) stream(ctx context.Context, protos ...protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	st, err := s.node.p2p.OpenStream(ctx, s.link.Conn, protos...)
	if errors.Is(err, p2phost.ErrNoProtocol) {
		return nil, fmt.Errorf("opstack: the peer serves no payloads: %w", wire.ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("opstack: request: %w", err)
	}
	return st, nil
}

// broken says why a stream failed. A missed deadline is nobody's fault, nor is
// a stream that was cut with its connection.
func (s *session) broken(ctx context.Context, what string, err error) error {
	var fault *wire.Fault
	switch {
	case errors.Is(err, errStarved):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case p2phost.IsTimeout(err):
		return fmt.Errorf("opstack: %s: %w", what, context.DeadlineExceeded)
	case errors.As(err, &fault) && (fault.Offense != peer.TruncatedFrame || !s.link.Conn.IsClosed()):
		return err
	}
	return fmt.Errorf("opstack: %s: %w", what, err)
}
