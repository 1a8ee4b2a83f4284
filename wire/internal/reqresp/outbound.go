package reqresp

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

// What requests of one peer may hold in memory, in bytes. A stream that waits
// for its turn holds next to nothing.
const (
	askedBytes    = 4 << 20          // requests that are being read, or are the application's
	answeredBytes = 16 << 20         // answers that are being made or written
	leastItem     = 64 << 10         // what an item of an answer is taken for at least
	askedWait     = 10 * time.Second // for memory for a request
	answeredWait  = 2 * time.Second  // for the node's memory for an answer
)

// outbound is the memory of a node for answers that it gives: as much as its
// decode budget.
type outbound struct {
	size int64
	free *semaphore.Weighted
	item atomic.Int64 // bytes of the largest item that was served
}

func newOutbound(size int64) *outbound {
	if size <= 0 {
		size = intake.DefaultBudget()
	}
	return &outbound{size: size, free: semaphore.NewWeighted(size)}
}

// peerOut is what requests of one peer hold.
type peerOut struct {
	asked, answered *semaphore.Weighted
	reserved        *atomic.Int64 // bytes of both
	in              *inbound
	out             *outbound
}

func newPeerOut(in *inbound, out *outbound) peerOut {
	return peerOut{semaphore.NewWeighted(askedBytes), semaphore.NewWeighted(answeredBytes), new(atomic.Int64), in, out}
}

// take waits for memory for one request, of the peer's and of the node's decode
// budget. If the request then comes in too slowly while others wait, it is cut.
func (h peerOut) take(ctx context.Context, cut func()) (g *intake.Grant, giveBack func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, askedWait)
	defer cancel()
	if err := h.asked.Acquire(ctx, codec.MaxRequest); err != nil {
		return nil, nil, err
	}
	if g, err = h.in.budget.Frame(ctx, codec.MaxRequest, cut); err != nil {
		h.asked.Release(codec.MaxRequest)
		return nil, nil, err
	}
	h.reserved.Add(codec.MaxRequest)
	return g, func() {
		g.GiveBack()
		h.reserved.Add(-codec.MaxRequest)
		h.asked.Release(codec.MaxRequest)
	}, nil
}

// answering waits until what an answer is likely to take is free, has it made,
// and keeps what it really takes until free is called.
func (h peerOut) answering(ctx context.Context, r wire.Request, make func() (wire.Response, error)) (resp wire.Response, free func(), err error) {
	most := h.guess(r)
	if err := h.answered.Acquire(ctx, most); err != nil {
		return nil, func() {}, err
	}
	wait, cancel := context.WithTimeout(ctx, answeredWait)
	all := min(most, h.out.size)
	err = h.out.free.Acquire(wait, all)
	cancel()
	if err != nil {
		h.answered.Release(most)
		return nil, func() {}, &wire.Refusal{Code: wire.RefusedBusy, Limit: "answer-memory", RetryAfter: time.Second}
	}
	kept := int64(0)
	h.reserved.Add(most)
	defer func() { // a panic gives back too
		h.reserved.Add(kept - most)
		h.out.free.Release(all - min(kept, all))
		h.answered.Release(most - kept)
	}()
	if resp, err = make(); err != nil {
		return nil, func() {}, err
	}
	n, items := sizeOf(resp)
	if each := int64(n / max(items, 1)); each > h.out.item.Load() {
		h.out.item.Store(each) // of two at once one may win; the next large one corrects it
	}
	kept = min(int64(n), most)
	return resp, func() {
		h.reserved.Add(-kept)
		h.out.free.Release(min(kept, all))
		h.answered.Release(kept)
	}, nil
}

// guess is what the answer to a request takes, if its items are as large as the
// largest that were ever served.
func (h peerOut) guess(r wire.Request) int64 {
	items, most := 1, codec.MaxAnswer
	switch r := r.(type) {
	case wire.GetHeaders:
		items, most = r.Range.Count, r.Range.MaxBytes
	case wire.GetBlocks:
		items, most = r.Range.Count, r.Range.MaxBytes
	case wire.GetBodies:
		items = len(r.Hashes)
	case wire.GetBlocksByHash:
		items = len(r.Hashes)
	case wire.GetTxs:
		items = len(r.Hashes)
	}
	if most <= 0 || most > codec.MaxAnswer {
		most = codec.MaxAnswer
	}
	each := max(h.out.item.Load(), leastItem)
	items = max(1, min(items, codec.MaxHeadersAsked))
	return max(min(int64(items)*each, int64(most)), min(each, codec.MaxAnswer)) // one item is given in any case
}

// sizeOf is what a response takes in memory, about, and of how many items.
func sizeOf(resp wire.Response) (n, items int) {
	const header = 160
	ofBlock := func(b chain.Block) int { return b.Size() + header }
	switch r := resp.(type) {
	case wire.Headers:
		items = len(r.Headers)
		for _, h := range r.Headers {
			n += len(h.Bytes) + header
		}
	case wire.Blocks:
		items = len(r.Blocks)
		for _, b := range r.Blocks {
			n += ofBlock(b)
		}
	case wire.Bodies:
		items = len(r.Bodies)
		for _, b := range r.Bodies {
			n += len(b.Body) + len(b.Extra) + header
		}
	case wire.TxList:
		items = len(r.Txs)
		for _, tx := range r.Txs {
			n += len(tx.Bytes) + header
		}
	case wire.Addrs:
		items = len(r.Addrs)
		for _, a := range r.Addrs {
			n += len(a.Scheme) + len(a.Text)
		}
	case wire.AppResponse:
		n, items = len(r.Bytes), 1
	}
	return n, items
}
