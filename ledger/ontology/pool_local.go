package ontology

import (
	"context"

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
	p.held.Lock()
	defer p.held.Unlock()
	if e := p.held.ByHash[h]; e != nil {
		p.take(e)
		p.in.Count(reason, 1)
	}
}

// Local implements chain.LocalTxPool: as they came.
func (p *Pool) Local() []chain.Tx { return p.held.Local() }

// HashOf is the hash of an encoded transaction; false if it does not decode.
func HashOf(b []byte) (chain.Hash, bool) {
	t, err := codec.DecodeTx(b, codec.Strict)
	return t.Hash.Chain(), err == nil
}
