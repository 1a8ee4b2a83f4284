package ethereum

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"

	"github.com/starlingp2p/starling/chain"
)

// Pending implements chain.TxPool: by effective tip, then by arrival, and each
// sender's in the order of their nonces, from the lowest that is here to the
// first that is missing.
func (p *Pool) Pending(max, maxBytes int) []chain.Tx {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := make(fronts, 0, len(p.senders))
	for _, q := range p.senders { // the heap orders them
		h = append(h, &front{q: q})
	}
	heap.Init(&h)
	var out []chain.Tx
	for size := 0; len(h) > 0 && (max <= 0 || len(out) < max); {
		f := h[0]
		e := f.q.txs[f.i]
		if maxBytes > 0 && size+len(e.tx.Bytes) > maxBytes {
			heap.Pop(&h) // a sender's later ones must not overtake
			continue
		}
		size += len(e.tx.Bytes)
		out = append(out, e.tx)
		if f.i++; f.i < len(f.q.txs) && f.q.txs[f.i].nonce == e.nonce+1 {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return out
}

// Local implements chain.LocalTxPool: by sender, each one's by ascending nonce.
func (p *Pool) Local() []chain.Tx {
	p.mu.Lock()
	own := p.own()
	p.mu.Unlock()
	slices.SortFunc(own, func(a, b *pooled) int {
		return cmp.Or(bytes.Compare(a.from[:], b.from[:]), cmp.Compare(a.nonce, b.nonce))
	})
	txs := make([]chain.Tx, len(own))
	for i, e := range own {
		txs[i] = e.tx
	}
	return txs
}

// own lists our own transactions, in no order. The caller holds mu.
func (p *Pool) own() (own []*pooled) {
	for _, e := range p.txs {
		if e.local {
			own = append(own, e)
		}
	}
	return own
}

// front is the next transaction of a sender.
type front struct {
	q *queue
	i int
}

type fronts []*front

func (h fronts) Len() int { return len(h) }

func (h fronts) Less(i, j int) bool {
	a, b := h[i].q.txs[h[i].i], h[j].q.txs[h[j].i]
	if c := a.tip.Cmp(b.tip); c != 0 {
		return c > 0
	}
	return a.arrival < b.arrival
}

func (h fronts) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *fronts) Push(x any)   { *h = append(*h, x.(*front)) }
func (h *fronts) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	*h = (*h)[:last]
	return f
}
