package reqresp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// ServeFunc produces the response to a request, or a *wire.Refusal; any other
// error is told as "internal", without its text.
type ServeFunc func(ctx context.Context, r wire.Request) (wire.Response, error)

// Answer reads the request off a fresh stream, has it served and writes the
// answer. It blocks until the asker has it, and ends the stream in every case;
// when ctx ends, at once. w is the peer's window; nil leaves pacing to the
// multiplexer. A refusal that was told is no error. A *wire.Fault is the
// asker's.
func Answer(ctx context.Context, s Stream, w *Window, l Limits, serve ServeFunc) error {
	l = l.withDefaults()
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	err := answer(ctx, s, w, l, serve)
	if !stop() && err != nil {
		err = fmt.Errorf("reqresp: answer: %w", context.Cause(ctx))
	}
	if err != nil {
		s.Reset()
		return err
	}
	s.Close()
	return nil
}

func answer(ctx context.Context, s Stream, w *Window, l Limits, serve ServeFunc) error {
	end := time.Now().Add(l.Exchange)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	in := newFrames(s, s, l, end)
	defer in.giveBack()
	body, err := in.next(l.First, codec.MaxRequest)
	early := in.br.Buffered()
	in.free()
	if err != nil {
		return err
	}
	if early > 0 {
		return faulty(peer.Unasked, "%d bytes after the request", early)
	}
	req, err := codec.DecodeRequest(body)
	if err != nil {
		return err
	}
	if _, app := req.Ask.(wire.AppRequest); !app { // whose bytes alias the frame
		req.Ask = few(req.Ask)
		in.giveBack()
	}
	o := &sender{s: s, l: l, end: end, w: w}
	defer o.free()
	if req.AckEvery > 0 {
		o.every = clampAck(int(min(req.AckEvery, maxAckEvery)))
	}
	out := newOutput(o, answerMax(req, l))
	defer out.free()
	if err := fill(ctx, out, req.Ask, serve, end); err != nil {
		return err
	}
	o.settle()
	return nil
}

// few keeps of a list of hashes what could be answered: a frame has room for
// 32,768 of them.
func few(ask wire.Request) wire.Request {
	most := func(hs []chain.Hash) []chain.Hash {
		if len(hs) > codec.MaxTxsAsked {
			return slices.Clone(hs[:codec.MaxTxsAsked])
		}
		return hs
	}
	switch r := ask.(type) {
	case wire.GetBodies:
		r.Hashes = most(r.Hashes)
		return r
	case wire.GetBlocksByHash:
		r.Hashes = most(r.Hashes)
		return r
	case wire.GetTxs:
		r.Hashes = most(r.Hashes)
		return r
	}
	return ask
}

// answerMax is how many bytes this answer may have.
func answerMax(req codec.Request, l Limits) int {
	most := l.AnswerMax
	if req.AnswerMax > 0 && req.AnswerMax < uint64(most) {
		most = int(req.AnswerMax)
	}
	if req.AckEvery == 0 {
		most = min(most, unackedAnswer)
	}
	return most
}

// fill has the request served and writes what comes of it.
func fill(ctx context.Context, out *output, ask wire.Request, serve ServeFunc, end time.Time) error {
	if ask == nil {
		return out.finish(codec.End{Code: wire.RefusedUnsupported})
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	resp, err := serve(ctx, bounded(ask, out.most))
	var why *wire.Refusal
	switch {
	case err == nil:
	case errors.As(err, &why):
		return out.finish(codec.EndOf(why))
	case errors.Is(err, wire.ErrUnsupported):
		return out.finish(codec.End{Code: wire.RefusedUnsupported})
	default:
		return out.finish(codec.End{Code: wire.RefusedInternal})
	}
	code, err := out.items(resp)
	if err != nil {
		return err
	}
	return out.finish(code)
}

// bounded lowers what is wished for to what the answer may have, so that nobody
// reads the disk for what is not sent.
func bounded(ask wire.Request, most int) wire.Request {
	lower := func(wish *int) {
		if *wish <= 0 || *wish > most {
			*wish = most
		}
	}
	switch r := ask.(type) {
	case wire.GetHeaders:
		lower(&r.Range.MaxBytes)
		return r
	case wire.GetBlocks:
		lower(&r.Range.MaxBytes)
		return r
	case wire.GetBlocksByHash:
		lower(&r.MaxBytes)
		return r
	case wire.GetBodies:
		lower(&r.MaxBytes)
		return r
	case wire.GetReceipts:
		lower(&r.MaxBytes)
		return r
	case wire.GetTxs:
		lower(&r.MaxBytes)
		return r
	}
	return ask
}
