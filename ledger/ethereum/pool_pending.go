package ethereum

import (
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/internal/txpool"
)

// Pending implements chain.TxPool: by effective tip, then by arrival, and each
// sender's in the order of their nonces, from the lowest that is here to the
// first that is missing.
func (p *Pool) Pending(max, maxBytes int) []chain.Tx {
	p.held.Lock()
	defer p.held.Unlock()
	all := make([]*front, 0, len(p.senders))
	for _, q := range p.senders { // Pending orders them
		all = append(all, &front{q: q})
	}
	return txpool.Pending(all, max, maxBytes)
}

// Local implements chain.LocalTxPool: by sender, each one's by ascending nonce.
func (p *Pool) Local() []chain.Tx { return p.held.Local() }

// front is the next transaction of a sender.
type front struct {
	q *queue
	i int
}

// Tx implements txpool.Front.
func (f *front) Tx() chain.Tx { return f.q.txs[f.i].tx }

// Before implements txpool.Front: by effective tip, then by arrival.
func (f *front) Before(other *front) bool {
	a, b := f.q.txs[f.i], other.q.txs[other.i]
	if c := a.tip.Cmp(b.tip); c != 0 {
		return c > 0
	}
	return a.arrival < b.arrival
}

// Next goes to the sender's next nonce, if it is here.
func (f *front) Next() bool {
	f.i++
	return f.i < len(f.q.txs) && f.q.txs[f.i].nonce == f.q.txs[f.i-1].nonce+1
}
