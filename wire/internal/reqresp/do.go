package reqresp

import (
	"context"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// Do asks one request over a fresh stream and blocks for the answer. It ends
// the stream in every case: by Close once the answer is complete, by Reset
// otherwise, and at once when ctx ends. What the answer holds aliases the
// frames that it came in (about 128 KiB each), which live as long as a part of
// them does.
func Do(ctx context.Context, s Stream, r wire.Request, l Limits) (wire.Response, error) {
	l = l.withDefaults()
	if err := ctx.Err(); err != nil {
		s.Reset()
		return nil, context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	resp, err := do(ctx, s, r, l)
	if !stop() && err != nil { // the end of ctx reset the stream: that is why
		err = fmt.Errorf("reqresp: %s: %w", wire.KindOf(r), context.Cause(ctx))
	}
	return resp, err
}

func do(ctx context.Context, s Stream, r wire.Request, l Limits) (wire.Response, error) {
	complete := false
	defer func() {
		if !complete {
			s.Reset()
		}
	}()
	end := time.Now().Add(l.Exchange)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	full := codec.Request{Ask: r, AnswerMax: uint64(l.AnswerMax), AckEvery: uint64(max(l.AckEvery, 0))}
	if err := ask(s, full, l, end); err != nil {
		return nil, err
	}
	in := newFrames(s, &ackReader{s: s, every: max(l.AckEvery, 0)}, l, end)
	defer in.free()
	a, err := gather(in, r, l)
	if err != nil {
		return nil, err
	}
	complete = true
	s.Close() // tells the server that all has arrived; on QUIC it may fail though it has
	return conclude(r, a)
}

// ask writes the request.
func ask(s Stream, full codec.Request, l Limits, end time.Time) error {
	buf, scratch := codec.TakeBuffer(), codec.TakeBuffer()
	defer buf.Free()
	defer scratch.Free()
	var head [codec.PackedHead]byte
	b, err := codec.AppendRequest(append(buf.B, head[:]...), full)
	if err != nil {
		return fmt.Errorf("reqresp: %w", err)
	}
	buf.B = b
	s.SetWriteDeadline(end)
	if _, err := s.Write(codec.SealPacked(b, scratch)); err != nil {
		if isTimeout(err) {
			return fmt.Errorf("%w: %w", ErrTimeout, err)
		}
		return fmt.Errorf("reqresp: write %s request: %w", wire.KindOf(full.Ask), err)
	}
	return nil
}

// gather reads frames up to the end of the answer.
func gather(in *frames, r wire.Request, l Limits) (*codec.Answer, error) {
	a := new(codec.Answer)
	total, wait := 0, l.First
	for n := 0; a.End == nil; n++ {
		if n == codec.MaxFrames {
			return nil, faulty(peer.Unasked, "answer of over %d frames", n)
		}
		body, err := in.next(wait, min(l.AnswerMax+endRoom, codec.MaxFrame))
		if err != nil {
			return nil, failed(r, err)
		}
		if total += len(body); total > l.AnswerMax+endRoom {
			return nil, faulty(peer.Unasked, "answer of over %d bytes, bound %d", total, l.AnswerMax)
		}
		if err := codec.DecodeAnswer(body, a); err != nil {
			return nil, err
		}
		if err := fits(r, a); err != nil {
			return nil, err
		}
		wait = l.Frame
	}
	return a, nil
}

func faulty(o peer.Offense, format string, args ...any) error {
	return &wire.Fault{Offense: o, Err: fmt.Errorf("reqresp: "+format, args...)}
}

// failed names the request in an error of the link.
func failed(r wire.Request, err error) error {
	if _, ok := err.(*wire.Fault); ok {
		return err
	}
	return fmt.Errorf("reqresp: %s: %w", wire.KindOf(r), err)
}

// fits checks that the answer holds only what was asked for, and no more.
func fits(r wire.Request, a *codec.Answer) error {
	asked, got := 0, 0
	switch r := r.(type) {
	case wire.GetHeaders:
		asked, got = r.Range.Count, len(a.Headers)
	case wire.GetBlocks:
		asked, got = r.Range.Count, len(a.Blocks)
	case wire.GetBlocksByHash:
		asked, got = len(r.Hashes), len(a.Blocks)
	case wire.GetBodies:
		asked, got = len(r.Hashes), len(a.Bodies)
	case wire.GetTxs:
		asked, got = len(r.Hashes), len(a.Txs)
	case wire.GetAddrs:
		asked, got = r.Max, len(a.Addrs)
	case wire.AppRequest:
		asked = 1
		if a.HasApp {
			got = 1
		}
	}
	all := len(a.Headers) + len(a.Blocks) + len(a.Bodies) + len(a.Txs) + len(a.Addrs)
	if a.HasApp {
		all++
	}
	if all != got {
		return faulty(peer.Unasked, "answer to %s holds %d items of other kinds", wire.KindOf(r), all-got)
	}
	if got > max(asked, 0) {
		return faulty(peer.Unasked, "answer to %s holds %d items, asked for %d", wire.KindOf(r), got, asked)
	}
	return nil
}

// conclude makes the response out of a complete answer. Items that came before
// a refusal count: the refusal is told only where there are none.
func conclude(r wire.Request, a *codec.Answer) (wire.Response, error) {
	refusal := a.End.Refusal()
	items := len(a.Headers) + len(a.Blocks) + len(a.Bodies) + len(a.Txs) + len(a.Addrs)
	if refusal != nil && items == 0 && !a.HasApp {
		return nil, refusal
	}
	switch r := r.(type) {
	case wire.GetHeaders:
		return wire.Headers{Headers: a.Headers}, nil
	case wire.GetBlocks:
		return wire.Blocks{Blocks: a.Blocks}, nil
	case wire.GetBlocksByHash:
		got := make([]chain.Hash, len(a.Blocks))
		for i, b := range a.Blocks {
			got[i] = b.Header.Ref.Hash
		}
		if err := among(r.Hashes, got); err != nil {
			return nil, err
		}
		return wire.Blocks{Blocks: a.Blocks}, nil
	case wire.GetBodies:
		if err := among(r.Hashes, a.Hashes); err != nil {
			return nil, err
		}
		return wire.Bodies{Hashes: a.Hashes, Bodies: a.Bodies}, nil
	case wire.GetTxs:
		return wire.TxList{Txs: a.Txs}, nil
	case wire.GetAddrs:
		return wire.Addrs{Addrs: a.Addrs}, nil
	case wire.AppRequest:
		return wire.AppResponse{Bytes: a.App}, nil
	}
	return nil, fmt.Errorf("reqresp: %T: %w", r, wire.ErrUnsupported)
}

// among checks that got is asked with gaps: nothing else, in the same order.
func among(asked, got []chain.Hash) error {
	next := 0
	for _, h := range got {
		for next < len(asked) && asked[next] != h {
			next++
		}
		if next < len(asked) {
			next++
			continue
		}
		for _, known := range asked {
			if known == h {
				return faulty(peer.UnorderedAnswer, "%s is out of order, or there twice", h)
			}
		}
		return faulty(peer.WrongBlock, "%s was not asked for", h)
	}
	return nil
}
