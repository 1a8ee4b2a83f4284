package sequenced

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/starlingp2p/starling/chain"
)

// Local implements chain.LocalTxPool: by sender, each one's by ascending nonce.
func (p *Pool) Local() []chain.Tx {
	p.mu.Lock()
	var own []*pooled
	for _, e := range p.txs {
		if e.local {
			own = append(own, e)
		}
	}
	p.mu.Unlock()
	slices.SortFunc(own, func(a, b *pooled) int {
		return cmp.Or(bytes.Compare(a.t.From[:], b.t.From[:]), cmp.Compare(a.t.Nonce, b.t.Nonce))
	})
	txs := make([]chain.Tx, len(own))
	for i, e := range own {
		txs[i] = e.tx
	}
	return txs
}

// HashOf is the hash of an encoded transaction; false if it does not decode.
func HashOf(b []byte) (chain.Hash, bool) {
	if _, err := DecodeTx(b); err != nil {
		return chain.Hash{}, false
	}
	return txHash(unsigned(b), b), true
}
