package ontology

import (
	"cmp"
	"context"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// restore reads the journal and writes it anew, without what blocks include.
func (p *Pool) restore(ctx context.Context) error {
	if err := p.in.Restore(p.c.FS, p.c.Journal, codec.MaxTx); err != nil {
		return err
	}
	included, err := p.lookUp(ctx)
	if err == nil {
		p.include(included)
		err = p.in.Rotate(true)
	}
	if err != nil {
		return p.in.Abandon(err)
	}
	return nil
}

// Close closes the journal. The pool is not to be used after it.
func (p *Pool) Close() error { return p.in.Close() }

// AddLocal implements chain.LocalTxPool. A transaction that is accepted is in
// the journal, synced, when AddLocal returns. It blocks on the disk.
func (p *Pool) AddLocal(ctx context.Context, txs []chain.Tx) []chain.Verdict {
	return p.in.AddLocal(ctx, txs)
}

// drop takes a transaction out.
func (p *Pool) drop(h chain.Hash, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.txs[h]; e != nil {
		p.take(e)
		p.dropped[reason]++
	}
}

// Local implements chain.LocalTxPool: as they came.
func (p *Pool) Local() []chain.Tx {
	p.mu.Lock()
	var own []*pooled
	for _, e := range p.txs {
		if e.local {
			own = append(own, e)
		}
	}
	p.mu.Unlock()
	slices.SortFunc(own, func(a, b *pooled) int { return cmp.Compare(a.arrival, b.arrival) })
	txs := make([]chain.Tx, len(own))
	for i, e := range own {
		txs[i] = e.tx
	}
	return txs
}

// HashOf is the hash of an encoded transaction; false if it does not decode.
func HashOf(b []byte) (chain.Hash, bool) {
	t, err := codec.DecodeTx(b, codec.Strict)
	return t.Hash.Chain(), err == nil
}
