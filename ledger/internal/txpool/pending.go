package txpool

import (
	"container/heap"

	"github.com/starlingp2p/starling/chain"
)

// Front is a sender's next transaction that could go into a block.
type Front[F any] interface {
	// Tx is the transaction.
	Tx() chain.Tx
	// Before reports whether it goes into a block before that of another sender.
	Before(F) bool
	// Next goes on to the sender's next transaction; false: there is none that
	// could go into the same block.
	Next() bool
}

// Pending takes transactions for a block: always the first of all senders'
// next. most and maxBytes bound them; 0: no bound. Where a transaction does not
// fit, its sender's later ones do not overtake it. It uses up the fronts.
func Pending[F Front[F]](all []F, most, maxBytes int) []chain.Tx {
	h := fronts[F](all)
	heap.Init(&h)
	var out []chain.Tx
	for size := 0; len(h) > 0 && (most <= 0 || len(out) < most); {
		tx := h[0].Tx()
		if maxBytes > 0 && size+len(tx.Bytes) > maxBytes {
			heap.Pop(&h)
			continue
		}
		size += len(tx.Bytes)
		out = append(out, tx)
		if h[0].Next() {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return out
}

// fronts is a heap.
type fronts[F Front[F]] []F

func (h fronts[F]) Len() int           { return len(h) }
func (h fronts[F]) Less(i, j int) bool { return h[i].Before(h[j]) }
func (h fronts[F]) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *fronts[F]) Push(x any)        { *h = append(*h, x.(F)) }
func (h *fronts[F]) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	*h = (*h)[:last]
	return f
}
