package txpool

import (
	"slices"
	"sync"

	"github.com/starlingp2p/starling/chain"
)

// Entry is a transaction as a family's pool holds it. What these methods tell
// does not change.
type Entry[E any] interface {
	// Tx is the transaction.
	Tx() chain.Tx
	// Cost is what it costs the pool, in bytes.
	Cost() int
	// Own reports whether it is this node's own.
	Own() bool
	// Compare orders this node's own transactions, as Held.Local lists them.
	Compare(E) int
}

// Held is what a pool holds. Its lock guards it, and what else the family keeps
// of its transactions; it is never held while the disk is read or a signature is
// checked. Local, Get and Len take the lock; for all else the caller does.
type Held[E Entry[E]] struct {
	sync.Mutex
	ByHash map[chain.Hash]E // only Put and Remove change it
	// Others and Ours are the sums of what came from peers and of what is this
	// node's own.
	Others, Ours Sum
}

// Sum is how many transactions there are, and what they cost in bytes.
type Sum struct{ Txs, Bytes int }

// NewHeld makes one that holds nothing.
func NewHeld[E Entry[E]]() *Held[E] { return &Held[E]{ByHash: map[chain.Hash]E{}} }

// Put takes a transaction in that is not there.
func (p *Held[E]) Put(e E) {
	p.ByHash[e.Tx().Hash] = e
	p.count(e, 1)
}

// Remove takes out one that is there.
func (p *Held[E]) Remove(e E) {
	delete(p.ByHash, e.Tx().Hash)
	p.count(e, -1)
}

func (p *Held[E]) count(e E, n int) {
	sum := &p.Others
	if e.Own() {
		sum = &p.Ours
	}
	sum.Txs, sum.Bytes = sum.Txs+n, sum.Bytes+n*e.Cost()
}

// Get is the transaction with a hash; false: it is not there.
func (p *Held[E]) Get(h chain.Hash) (chain.Tx, bool) {
	p.Lock()
	defer p.Unlock()
	e, ok := p.ByHash[h]
	if !ok {
		return chain.Tx{}, false
	}
	return e.Tx(), true
}

// Len is the number of transactions and what they cost in bytes.
func (p *Held[E]) Len() (n, bytes int) {
	p.Lock()
	defer p.Unlock()
	return len(p.ByHash), p.Others.Bytes + p.Ours.Bytes
}

// Local lists this node's own transactions, in their order.
func (p *Held[E]) Local() []chain.Tx {
	p.Lock()
	var own []E
	for _, e := range p.ByHash {
		if e.Own() {
			own = append(own, e)
		}
	}
	p.Unlock()
	slices.SortFunc(own, E.Compare)
	txs := make([]chain.Tx, len(own))
	for i, e := range own {
		txs[i] = e.Tx()
	}
	return txs
}
