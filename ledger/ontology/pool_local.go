package ontology

import (
	"cmp"
	"context"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// AddLocal implements chain.LocalTxPool.
func (p *Pool) AddLocal(ctx context.Context, txs []chain.Tx) []chain.Verdict {
	vs := make([]chain.Verdict, len(txs))
	var added []chain.Tx
	for i, tx := range txs {
		if ctx.Err() != nil {
			vs[i] = chain.Ignored("cancelled")
			continue
		}
		var e *pooled
		if e, vs[i] = p.admit(tx.Bytes, true); e != nil {
			added = append(added, e.tx)
		}
	}
	p.publish(added)
	return vs
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
