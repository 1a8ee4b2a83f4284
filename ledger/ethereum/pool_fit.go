package ethereum

import (
	"cmp"
	"container/heap"
	"math/big"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
)

// bumpBlob is by how much each fee must rise at least for a transaction to
// replace another of the same nonce, in percent, where one of them has blobs (geth
// core/txpool/blobpool: PriceBump).
const bumpBlob = 100

// fit says why a transaction is not wanted now; an empty reason: it may be. None
// of these is its deliverer's fault. The caller holds the lock, as for all below.
func (p *Pool) fit(e *pooled) chain.Verdict {
	if old := p.held.ByHash[e.tx.Hash]; old != nil && (old.local || !e.local) {
		return chain.Ignored("known")
	}
	if next, ok := p.floors.Peek(e.from); ok {
		if e.nonce < next {
			return chain.Ignored(nonceUsed)
		}
		if !e.local && e.nonce-next >= uint64(p.c.PerSender) {
			return chain.Ignored(nonceTooFar)
		}
	}
	q := p.senders[e.from]
	if q == nil {
		q = &queue{}
	}
	old := (*pooled)(nil)
	if i, ok := q.find(e.nonce); ok {
		old = q.txs[i]
		if old.tx.Hash != e.tx.Hash && (old.local && !e.local || !old.replacedBy(e, p.c.PriceBump)) {
			return chain.Ignored(underpricedReplacement)
		}
	}
	if !e.local && e.tipCap.Cmp(new(big.Int).SetUint64(p.c.MinTip)) < 0 {
		return chain.Ignored(underpriced)
	}
	perSender := p.c.PerSender
	if e.local {
		perSender = localPerSender
	}
	if old == nil && len(q.txs) >= perSender {
		return chain.Ignored("sender-full")
	}
	if p.room(e, old) {
		return chain.Verdict{}
	}
	if e.local {
		return chain.Ignored("pool-full")
	}
	e.tip = e.effectiveTip(p.head.baseFee)
	if !p.piles[e.pile()].yields(e) {
		return chain.Ignored(underpriced)
	}
	return chain.Verdict{}
}

// yields reports whether the cheapest of a pile makes room for e: it pays less,
// and e does not need it to go before.
func (pl *pile) yields(e *pooled) bool {
	if e.local || len(pl.cheap) == 0 {
		return false
	}
	c := pl.cheap[0]
	return c.tip.Cmp(e.tip) < 0 && (c.from != e.from || c.nonce > e.nonce)
}

// replacedBy reports whether another transaction of the same nonce pays enough
// more, in percent.
func (e *pooled) replacedBy(by *pooled, bump int) bool {
	percent := int64(bump)
	if e.blobCap != nil || by.blobCap != nil {
		percent = max(percent, bumpBlob)
	}
	more := func(old, now *big.Int) bool {
		least := new(big.Int).Mul(old, big.NewInt(100+percent))
		return now.Cmp(old) > 0 && new(big.Int).Mul(now, big.NewInt(100)).Cmp(least) >= 0
	}
	if !more(e.feeCap, by.feeCap) || !more(e.tipCap, by.tipCap) {
		return false
	}
	return e.blobCap == nil || by.blobCap == nil || more(e.blobCap, by.blobCap)
}

// room reports whether e fits into its pile once old is gone.
func (p *Pool) room(e, old *pooled) bool {
	pl := &p.piles[e.pile()]
	txs, bytes := pl.txs+1, pl.bytes+e.Cost()
	if old != nil && old.pile() == e.pile() {
		txs, bytes = txs-1, bytes-old.Cost()
	}
	return txs <= pl.maxTxs && bytes <= pl.maxBytes
}

// insert takes in what fits, in place of what it replaces and of what is
// cheaper. A reason in the verdict: cheaper ones would not have made enough
// room, and nothing has changed.
func (p *Pool) insert(e *pooled) chain.Verdict {
	var old *pooled
	if q := p.senders[e.from]; q != nil {
		if i, ok := q.find(e.nonce); ok {
			old = q.txs[i]
			p.remove(old)
		}
	}
	e.tip = e.effectiveTip(p.head.baseFee)
	pl := &p.piles[e.pile()]
	var gone []*pooled
	for !p.room(e, nil) {
		if !pl.yields(e) {
			for _, g := range gone {
				p.put(g)
			}
			if old != nil {
				p.put(old)
			}
			return chain.Ignored(underpriced)
		}
		gone = append(gone, pl.cheap[0])
		p.remove(pl.cheap[0])
	}
	for _, g := range gone {
		p.in.Count("evicted", 1)
		p.recent.add(g.tx.Hash, chain.Ignored(underpriced), false, time.Now())
	}
	if old != nil && old.tx.Hash != e.tx.Hash {
		p.in.Count("replaced", 1)
		p.recent.add(old.tx.Hash, chain.Ignored(underpricedReplacement), false, time.Now())
	}
	p.arrivals++
	e.arrival, e.since = p.arrivals, time.Now()
	p.put(e)
	p.recent.forget(e.tx.Hash)
	return chain.Verdict{}
}

// put and remove keep the maps, the sums and the heaps in step.
func (p *Pool) put(e *pooled) {
	q := p.senders[e.from]
	if q == nil {
		q = &queue{}
		p.senders[e.from] = q
	}
	i, _ := q.find(e.nonce)
	q.txs = slices.Insert(q.txs, i, e)
	p.held.Put(e)
	pl := &p.piles[e.pile()]
	pl.txs, pl.bytes = pl.txs+1, pl.bytes+e.Cost()
	if !e.local {
		heap.Push(&pl.cheap, e)
	}
}

func (p *Pool) remove(e *pooled) {
	p.held.Remove(e)
	pl := &p.piles[e.pile()]
	pl.txs, pl.bytes = pl.txs-1, pl.bytes-e.Cost()
	if !e.local {
		heap.Remove(&pl.cheap, e.index)
	}
	q := p.senders[e.from]
	if i, ok := q.find(e.nonce); ok && q.txs[i] == e {
		q.txs = slices.Delete(q.txs, i, i+1)
	}
	if len(q.txs) == 0 {
		delete(p.senders, e.from)
	}
}

// drop takes a transaction out by its hash.
func (p *Pool) drop(h chain.Hash, reason string) {
	p.held.Lock()
	defer p.held.Unlock()
	if e := p.held.ByHash[h]; e != nil {
		p.remove(e)
		p.in.Count(reason, 1)
	}
}

func (q *queue) find(nonce uint64) (int, bool) {
	return slices.BinarySearchFunc(q.txs, nonce, func(e *pooled, n uint64) int { return cmp.Compare(e.nonce, n) })
}

// pile is a part of the pool with bounds of its own.
type pile struct {
	txs, bytes       int
	maxTxs, maxBytes int
	cheap            cheapest // empty for our own, which are never evicted
}

// cheapest is a heap: the transaction with the least effective tip is first,
// and of equal ones the newest.
type cheapest []*pooled

func (h cheapest) Len() int { return len(h) }

func (h cheapest) Less(i, j int) bool {
	if c := h[i].tip.Cmp(h[j].tip); c != 0 {
		return c < 0
	}
	return h[i].arrival > h[j].arrival
}

func (h cheapest) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *cheapest) Push(x any) {
	e := x.(*pooled)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *cheapest) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
