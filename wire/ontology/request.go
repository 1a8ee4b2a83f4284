package ontology

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// Request implements wire.Session. Where a peer leaves a question unanswered,
// as it may, the error is framed.ErrNoAnswer.
func (s *session) Request(ctx context.Context, r wire.Request) (wire.Response, error) {
	select {
	case <-s.link.Done():
		return nil, wire.ErrClosed
	default:
	}
	switch r := r.(type) {
	case wire.GetHeaders:
		return s.getHeaders(ctx, r.Range)
	case wire.GetBlocksByHash:
		blocks, err := s.getBlocks(ctx, r.Hashes)
		if len(blocks) == 0 && err != nil {
			return nil, err
		}
		return wire.Blocks{Blocks: blocks}, nil
	case wire.GetTxs:
		return s.getTxs(ctx, r.Hashes)
	case wire.GetAddrs:
		return s.getAddrs(ctx, r.Max)
	}
	return nil, wire.ErrUnsupported
}

// getHeaders asks for headers from a known one on, which comes first in the
// answer. The protocol only tells what follows a header: the first one is ours,
// or comes with its block.
func (s *session) getHeaders(ctx context.Context, r chain.Range) (wire.Response, error) {
	if r.Skip != 0 || r.Reverse || r.From.Hash.IsZero() {
		return nil, wire.ErrUnsupported
	}
	if r.Count <= 0 {
		return wire.Headers{}, nil
	}
	if r.Count == 1 {
		blocks, err := s.getBlocks(ctx, []chain.Hash{r.From.Hash})
		if err != nil {
			return nil, err
		}
		return wire.Headers{Headers: []chain.Header{blocks[0].Header}}, nil
	}
	first, err := s.base(ctx, r.From.Hash)
	if err != nil {
		return nil, err
	}
	hs, err := s.follow(ctx, codec.HashOf(r.From.Hash))
	if err != nil {
		return nil, err
	}
	out := append(make([]chain.Header, 0, len(hs)+1), first)
	for _, h := range hs[:min(len(hs), r.Count-1)] {
		out = append(out, h.Chain())
	}
	last := out[len(out)-1]
	s.node.tips.keep(last)
	if len(out) > codec.MaxHeaders {
		s.lookAhead(codec.HashOf(last.Ref.Hash))
	}
	return wire.Headers{Headers: out}, nil
}

// base is the header that a question begins with: ours, the last of an answer
// before it, or what its block brings.
func (s *session) base(ctx context.Context, h chain.Hash) (chain.Header, error) {
	if known, ok := s.node.tips.find(h); ok {
		return known, nil
	}
	first, err := s.node.cfg.Header(ctx, chain.Ref{Hash: h})
	if !errors.Is(err, chain.ErrNotFound) {
		return first, err
	}
	blocks, err := s.getBlocks(ctx, []chain.Hash{h})
	if err != nil {
		return chain.Header{}, err
	}
	return blocks[0].Header, nil
}

// question queues a question ahead of our answers.
func (s *session) question(ctx context.Context, m *framed.Mark, c codec.Command, payload []byte) error {
	return s.link.Send(ctx, wire.LaneSync, framed.Out{Code: uint64(c), Payload: payload, Mark: m})
}

// ask asks for the headers behind one. Answers carry no number, so one
// question is under way at a time.
func (s *session) ask(ctx context.Context, base codec.Hash) ([]codec.Header, error) {
	select {
	case s.headers <- struct{}{}:
		defer func() { <-s.headers }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.link.Done():
		return nil, wire.ErrClosed
	}
	defer s.waits(&s.spans)()
	g := codec.GetHeaders{End: base}
	s.mu.Lock()
	s.behind = g.End
	s.mu.Unlock()
	v, err := s.asks.Do(ctx, question{codec.CmdHeaders, g.End}, headersTime, func(ctx context.Context, m *framed.Mark) error {
		return s.question(ctx, m, codec.CmdGetHeaders, g.Append(nil))
	})
	if err != nil {
		return nil, err
	}
	return v.([]codec.Header), nil
}

// getBlocks asks for blocks, each with a message of its own. Those before the
// first that is missing are given, and the error is about that: a peer answers
// each by itself, so that a gap would say nothing of it.
func (s *session) getBlocks(ctx context.Context, hashes []chain.Hash) (out []chain.Block, failed error) {
	defer s.waits(&s.blocks)()
	vs, err := s.getData(ctx, codec.KindBlock, codec.CmdBlock, hashes)
	whole := true
	for _, v := range vs {
		a, ok := v.(*answer)
		if ok {
			s.let(a)
		}
		if whole = whole && ok; whole {
			out = append(out, a.block.Chain())
		}
	}
	return out, err
}

func (s *session) getTxs(ctx context.Context, hashes []chain.Hash) (wire.Response, error) {
	vs, err := s.getData(ctx, codec.KindTx, codec.CmdTx, hashes)
	var out wire.TxList
	for _, v := range vs {
		if t, ok := v.(codec.Tx); ok {
			out.Txs = append(out.Txs, t.Chain())
		}
	}
	if len(out.Txs) == 0 && err != nil {
		return nil, err
	}
	return out, nil
}

// getData asks for one kind of thing by hash. What is missing is nil, or not
// there at the end; the error is about the first of it.
func (s *session) getData(ctx context.Context, kind codec.Kind, answer codec.Command, hashes []chain.Hash) (out []any, failed error) {
	if len(hashes) > maxBlocksAsked {
		return nil, fmt.Errorf("ontology: %d hashes in one request, at most %d", len(hashes), maxBlocksAsked)
	}
	var waits []*framed.Pending[question, any]
	for _, h := range hashes {
		hash := codec.HashOf(h)
		p, err := s.asks.Ask(ctx, question{answer, hash}, func(ctx context.Context, m *framed.Mark) error {
			if err := s.rest(ctx, hash); err != nil {
				return err
			}
			return s.question(ctx, m, codec.CmdGetData, codec.GetData{Kind: kind, Hash: hash}.Append(nil))
		})
		if err != nil {
			failed = err
			break
		}
		waits = append(waits, p)
	}
	for _, p := range waits {
		if errors.Is(failed, framed.ErrNoAnswer) || ctx.Err() != nil {
			failed = errors.Join(failed, context.Cause(ctx))
			v, _ := p.Wait(ctx, 0) // the others have waited as long
			out = append(out, v)
			continue
		}
		v, err := p.Wait(ctx, dataTime)
		if err != nil {
			v = nil
			if failed == nil {
				failed = err
			}
		}
		out = append(out, v)
	}
	return out, failed
}

// rest waits until a getdata may be repeated: newer releases drop it silently
// within 3 s of the first.
func (s *session) rest(ctx context.Context, h codec.Hash) error {
	for {
		wait := s.mayAsk(h)
		if wait <= 0 {
			return nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-s.link.Done():
			t.Stop()
			return wire.ErrClosed
		}
	}
}

// mayAsk notes a getdata that goes out now, or tells how long it must wait.
func (s *session) mayAsk(h codec.Hash) time.Duration {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, again := s.asked[h]; again {
		if wait := last.Add(repeatAfter).Sub(now); wait > 0 {
			return wait
		}
	}
	if len(s.asked) >= max(4*maxAsked, s.sweepAt) {
		for k, at := range s.asked { // each is judged alone: the order has no effect
			if now.Sub(at) >= repeatAfter {
				delete(s.asked, k)
			}
		}
		s.sweepAt = 2 * len(s.asked) // all may be new: looking through them each time would cost much
	}
	s.asked[h] = now
	return 0
}

// getAddrs asks for addresses. The answer is whatever the peer tells next.
func (s *session) getAddrs(ctx context.Context, most int) (wire.Response, error) {
	v, err := s.asks.Do(ctx, question{kind: codec.CmdAddr}, headersTime, func(ctx context.Context, m *framed.Mark) error {
		return s.question(ctx, m, codec.CmdGetAddr, nil)
	})
	if err != nil {
		return nil, err
	}
	as := v.([]peer.Addr)
	return wire.Addrs{Addrs: as[:min(len(as), max(most, 0))]}, nil
}
