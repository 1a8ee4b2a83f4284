package blocksync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func (c *Core) onAnswered(in Answered) {
	r, ok := c.asked[in.ID]
	if !ok {
		if in.Err == nil {
			c.drops.Late++
		}
		return
	}
	late := r.cancelled
	r.cancelled = true // it has ended: nothing is left to cancel
	c.drop(r)
	if late {
		if in.Err == nil {
			c.drops.Late++
		}
		return
	}
	if in.Err != nil {
		c.failed(r, in.Err)
	}
	r.done(in.Response, in.Err)
}

// failed takes in why a request was not answered. Only a Fault costs the peer
// anything; a refusal costs it its turn.
func (c *Core) failed(r *request, err error) {
	p := r.peer
	pause := func(d time.Duration) {
		if until := c.now.Add(d); until.After(p.pausedUntil) {
			p.pausedUntil = until
		}
	}
	backOff := func() time.Duration {
		p.refusals = min(p.refusals+1, 5)
		p.window = max(1, p.window/2)
		return time.Second << (p.refusals - 1)
	}
	var refusal *wire.Refusal
	var fault *wire.Fault
	switch {
	case errors.As(err, &refusal):
		p.silent, p.mute, p.clogged = 0, 0, false
		switch refusal.Code {
		case wire.RefusedNotFound:
			if !r.byHash {
				p.addLack(r.lo, r.hi, c.now.Add(missFor))
			}
		case wire.RefusedUnsupported:
			p.unsupported[r.kind] = true
		case wire.RefusedBadRequest:
			p.addLack(r.lo, r.hi, c.now.Add(missFor))
			pause(backOff())
		default:
			d := backOff()
			if refusal.RetryAfter > 0 {
				// To come back early would be a flood.
				d = min(max(refusal.RetryAfter, 50*time.Millisecond), lackFor)
			}
			pause(d)
		}
	case errors.As(err, &fault) && fault.Offense != peer.NoAnswer:
		c.emit(Charge{Peer: p.id, Offense: fault.Offense, Detail: peer.Clean(err.Error())})
		p.addLack(r.lo, r.hi, c.now.Add(missFor))
		pause(backOff())
	case fault != nil, errors.Is(err, context.DeadlineExceeded):
		c.unanswered(p, r)
	case errors.Is(err, wire.ErrOurs):
		if r.held {
			c.unanswered(p, r)
		}
		pause(time.Second)
	case errors.Is(err, wire.ErrUnsupported):
		p.unsupported[r.kind] = true
	case errors.Is(err, wire.ErrClosed):
		pause(time.Second) // until it leaves
	default:
		pause(backOff())
	}
}

// lied makes a peer pay for an answer that was taken and is wrong.
func (c *Core) lied(id peer.ID, o peer.Offense, detail string) {
	c.emit(Charge{Peer: id, Offense: o, Detail: detail, Lied: true})
}

// wrongKind is an answer of another kind than was asked for: the wire lets
// none through, so it is ours to ignore.
func (c *Core) wrongKind(r *request) {
	r.peer.addLack(r.lo, r.hi, c.now.Add(missFor))
}

// run checks that headers are the consecutive ones from number first, at most
// most of them. It gives how many are good, and the offense of the next.
func run(hs []chain.Header, first uint64, most int) (int, peer.Offense, string) {
	if len(hs) > most {
		return 0, peer.UnorderedAnswer, fmt.Sprintf("%d headers, asked for %d", len(hs), most)
	}
	for i, h := range hs {
		switch want := first + uint64(i); {
		case i == 0 && h.Ref.Number != want:
			return 0, peer.WrongBlock, fmt.Sprintf("answer starts at %d, asked for %d", h.Ref.Number, want)
		case h.Ref.Number < want:
			return 0, peer.UnorderedAnswer, fmt.Sprintf("%d after %d", h.Ref.Number, want-1)
		case h.Ref.Number > want:
			return i, peer.ShortAnswer, fmt.Sprintf("%d to %d are left out", want, h.Ref.Number-1)
		case i > 0 && h.Parent != hs[i-1].Ref.Hash:
			return 0, peer.UnlinkedAnswer, fmt.Sprintf("%d does not link to its parent", h.Ref.Number)
		}
	}
	return len(hs), "", ""
}

// headersOf splits an answer of headers or of whole blocks.
func headersOf(resp wire.Response) ([]chain.Header, []chain.Block, bool) {
	switch resp := resp.(type) {
	case wire.Headers:
		return resp.Headers, nil, true
	case wire.Blocks:
		hs := make([]chain.Header, len(resp.Blocks))
		for i, b := range resp.Blocks {
			hs[i] = b.Header
		}
		return hs, resp.Blocks, true
	}
	return nil, nil, false
}

// size is what headers, and the blocks if there are, cost in memory.
func size(hs []chain.Header, bs []chain.Block) int {
	n := 0
	for _, h := range hs {
		n += len(h.Bytes) + headerCost
	}
	for _, b := range bs {
		n += len(b.Body) + len(b.Extra)
	}
	return n
}

// headerCost is what a header takes beside its bytes.
const headerCost = 160

// trim keeps of an answer of headers what fits the bound for unverified ones
// (L-06); a peer can make us hold no more.
func trim(hs []chain.Header) []chain.Header {
	n := 0
	for i, h := range hs {
		n += len(h.Bytes) + headerCost
		if n > maxHeaderAnswer && i > 0 {
			return hs[:i]
		}
	}
	return hs
}
