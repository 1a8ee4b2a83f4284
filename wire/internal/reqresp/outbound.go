package reqresp

import (
	"context"
	"sync"
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
// decode budget. A part is cut into shares, one a session that has one of what
// comes in: so a peer gets short answers at least while others, who do not read
// theirs, hold the rest.
type outbound struct {
	size  int64 // without the shares
	share int64
	free  *semaphore.Weighted

	mu   sync.Mutex       // a leaf
	item map[string]int64 // by kind: bytes of the largest items served lately
}

func newOutbound(size int64) *outbound {
	if size <= 0 {
		size = intake.DefaultBudget()
	}
	share := min(size/sharesOf/maxShares, maxShare)
	size = max(size-share*maxShares, 1)
	return &outbound{size: size, share: share, free: semaphore.NewWeighted(size), item: map[string]int64{}}
}

// peerOut is what requests of one peer hold.
type peerOut struct {
	asked, answered *semaphore.Weighted
	own             *semaphore.Weighted // 1: whoever has it uses the share; nil: there is none
	reserved        *atomic.Int64       // bytes of both
	in              *inbound
	out             *outbound
}

func newPeerOut(in *inbound, out *outbound, shared bool) peerOut {
	h := peerOut{
		asked: semaphore.NewWeighted(askedBytes), answered: semaphore.NewWeighted(answeredBytes),
		reserved: new(atomic.Int64), in: in, out: out,
	}
	if shared {
		h.own = semaphore.NewWeighted(1)
	}
	return h
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
// and keeps what it really takes until free is called. Where others hold the
// memory, the answer is short.
func (h peerOut) answering(ctx context.Context, r wire.Request, make func(wire.Request) (wire.Response, error)) (resp wire.Response, free func(), err error) {
	most := h.guess(r)
	if err := h.answered.Acquire(ctx, most); err != nil {
		return nil, func() {}, err
	}
	all := min(most, h.out.size)
	if !wait(ctx, h.out.free, all) {
		h.answered.Release(most)
		return h.short(ctx, r, make)
	}
	kept := int64(0)
	h.reserved.Add(most)
	defer func() { // a panic gives back too
		h.reserved.Add(kept - most)
		h.out.free.Release(all - min(kept, all))
		h.answered.Release(most - kept)
	}()
	if resp, err = make(r); err != nil {
		return nil, func() {}, err
	}
	kept = min(h.out.learn(r, resp), most)
	return resp, func() {
		h.reserved.Add(-kept)
		h.out.free.Release(min(kept, all))
		h.answered.Release(kept)
	}, nil
}

// short has an answer made that fits the peer's own share, unless one item of
// its kind is likely to be larger. The share is in use until free is called.
func (h peerOut) short(ctx context.Context, r wire.Request, make func(wire.Request) (wire.Response, error)) (resp wire.Response, free func(), err error) {
	each := h.out.each(r)
	if h.own == nil || each > h.out.share || !wait(ctx, h.own, 1) {
		return nil, func() {}, &wire.Refusal{Code: wire.RefusedBusy, Limit: "answer-memory", RetryAfter: time.Second}
	}
	h.reserved.Add(h.out.share)
	free = func() {
		h.reserved.Add(-h.out.share)
		h.own.Release(1)
	}
	defer func() { // a panic gives back too
		if resp == nil {
			free()
			free = func() {}
		}
	}()
	if resp, err = make(shorten(r, int(h.out.share), int(h.out.share/each))); err != nil {
		return nil, free, err
	}
	h.out.learn(r, resp)
	return resp, free, nil
}

// learn takes in how large the items of an answer are, and gives its size. What
// was larger is forgotten by an eighth an answer.
func (o *outbound) learn(r wire.Request, resp wire.Response) int64 {
	n, items := sizeOf(resp)
	if items > 0 {
		o.mu.Lock()
		defer o.mu.Unlock()
		kind := wire.KindOf(r)
		o.item[kind] = max(int64(n/items), o.item[kind]*7/8)
	}
	return int64(n)
}

// each is what an item of the answer to a request is taken for.
func (o *outbound) each(r wire.Request) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return max(o.item[wire.KindOf(r)], leastItem)
}

// wait takes n of some memory, if it is free in time.
func wait(ctx context.Context, of *semaphore.Weighted, n int64) bool {
	ctx, cancel := context.WithTimeout(ctx, answeredWait)
	defer cancel()
	return of.Acquire(ctx, n) == nil
}

// shorten asks for less: at most so many bytes and items.
func shorten(r wire.Request, bytes, items int) wire.Request {
	least := func(n, most int) int {
		if n <= 0 {
			return most
		}
		return min(n, most)
	}
	switch q := r.(type) {
	case wire.GetHeaders:
		q.Range.MaxBytes, q.Range.Count = least(q.Range.MaxBytes, bytes), min(q.Range.Count, items)
		return q
	case wire.GetBlocks:
		q.Range.MaxBytes, q.Range.Count = least(q.Range.MaxBytes, bytes), min(q.Range.Count, items)
		return q
	case wire.GetBodies:
		q.Hashes = q.Hashes[:min(len(q.Hashes), items)]
		return q
	case wire.GetBlocksByHash:
		q.Hashes = q.Hashes[:min(len(q.Hashes), items)]
		return q
	case wire.GetTxs:
		q.Hashes = q.Hashes[:min(len(q.Hashes), items)]
		return q
	}
	return r
}

// guess is what the answer to a request takes, if its items are as large as the
// largest of its kind that were served lately.
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
	each := h.out.each(r)
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
