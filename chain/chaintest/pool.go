package chaintest

import (
	"context"
	"slices"
	"sync"

	"github.com/starlingp2p/starling/chain"
)

// Bounds of a Pool.
const (
	MaxPoolTxs   = 8192
	MaxPoolBytes = 64 << 20
	MaxTxBytes   = 128 << 10
	maxUnfit     = 1024 // hashes of unfit transactions that are remembered
	subscription = 256  // calls of Add that a reader may lag behind
)

// Unfit is the first byte of a transaction that a Pool rejects.
const Unfit = 0xff

// Pool is a pool in memory for tests: first come, first served. It takes any
// bytes up to MaxTxBytes that do not begin with Unfit; when it is full it
// ignores what comes. It implements chain.TxPool.
type Pool struct {
	mu    sync.Mutex // never held while waiting
	order []chain.Hash
	txs   map[chain.Hash]chain.Tx
	bytes int
	unfit []chain.Hash // oldest first
	subs  []chan []chain.Tx
}

// NewPool makes an empty pool.
func NewPool() *Pool { return &Pool{txs: map[chain.Hash]chain.Tx{}} }

// Has implements chain.TxPool.
func (p *Pool) Has(hash chain.Hash) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.txs[hash]
	return ok || slices.Contains(p.unfit, hash)
}

// Get implements chain.TxPool.
func (p *Pool) Get(hash chain.Hash) (chain.Tx, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tx, ok := p.txs[hash]
	return tx, ok
}

// Add implements chain.TxPool.
func (p *Pool) Add(txs []chain.Tx) []chain.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	verdicts := make([]chain.Verdict, len(txs))
	var fresh []chain.Tx
	for i, tx := range txs {
		tx = NewTx(tx.Bytes)
		if verdicts[i] = p.admit(tx); verdicts[i].Action == chain.Accept {
			p.order = append(p.order, tx.Hash)
			p.txs[tx.Hash] = tx
			p.bytes += len(tx.Bytes)
			fresh = append(fresh, tx)
		}
	}
	if len(fresh) > 0 {
		p.tell(fresh)
	}
	return verdicts
}

// admit judges a transaction. The caller holds mu.
func (p *Pool) admit(tx chain.Tx) chain.Verdict {
	switch _, known := p.txs[tx.Hash]; {
	case known:
		return chain.Ignored("known")
	case len(tx.Bytes) == 0 || len(tx.Bytes) > MaxTxBytes || tx.Bytes[0] == Unfit:
		if !slices.Contains(p.unfit, tx.Hash) {
			p.unfit = append(p.unfit, tx.Hash)
			p.unfit = p.unfit[max(0, len(p.unfit)-maxUnfit):]
		}
		return chain.Rejected("unfit")
	case len(p.txs) >= MaxPoolTxs || p.bytes+len(tx.Bytes) > MaxPoolBytes:
		return chain.Ignored("pool-full")
	}
	return chain.Accepted()
}

// tell hands transactions to the readers; one that lags loses its oldest. The
// caller holds mu.
func (p *Pool) tell(fresh []chain.Tx) {
	for _, sub := range p.subs {
		for sent := false; !sent; {
			select {
			case sub <- fresh:
				sent = true
			default:
				select {
				case <-sub:
				default:
				}
			}
		}
	}
}

// Remove takes transactions out, as those of an imported block.
func (p *Pool) Remove(hashes ...chain.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range hashes {
		if tx, ok := p.txs[h]; ok {
			p.bytes -= len(tx.Bytes)
			delete(p.txs, h)
		}
	}
	p.order = slices.DeleteFunc(p.order, func(h chain.Hash) bool { _, ok := p.txs[h]; return !ok })
}

// Pending implements chain.TxPool.
func (p *Pool) Pending(limit, maxBytes int) []chain.Tx {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []chain.Tx
	sum := 0
	for _, h := range p.order {
		tx := p.txs[h]
		if limit > 0 && len(out) == limit || maxBytes > 0 && sum+len(tx.Bytes) > maxBytes {
			break
		}
		out = append(out, tx)
		sum += len(tx.Bytes)
	}
	return out
}

// Subscribe implements chain.TxPool.
func (p *Pool) Subscribe(ctx context.Context) <-chan []chain.Tx {
	sub := make(chan []chain.Tx, subscription)
	p.mu.Lock()
	p.subs = append(p.subs, sub)
	p.mu.Unlock()
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.subs = slices.DeleteFunc(p.subs, func(s chan []chain.Tx) bool { return s == sub })
		close(sub)
	})
	return sub
}
