package ontology

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/internal/txjournal"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// restore reads the journal and writes it anew, without what blocks include.
func (p *Pool) restore(ctx context.Context) error {
	j, txs, lost, err := txjournal.Open(p.c.FS, p.c.Journal, codec.MaxTx)
	if err != nil {
		return err
	}
	if lost > 0 {
		p.c.Logger.Warn("the end of the transaction journal was torn", "path", p.c.Journal, "bytes", lost)
	}
	p.journal = j
	for _, b := range txs {
		p.admit(b, true)
	}
	included, err := p.lookUp(ctx)
	if err == nil {
		p.include(included)
		err = p.rotate(true)
	}
	if err != nil {
		return errors.Join(err, j.Close())
	}
	return nil
}

// Close closes the journal. The pool is not to be used after it.
func (p *Pool) Close() error {
	p.journalMu.Lock()
	defer p.journalMu.Unlock()
	if p.journal == nil {
		return nil
	}
	return p.journal.Close()
}

// rotate writes the journal anew where most of it is no longer in the pool.
func (p *Pool) rotate(force bool) error {
	p.journalMu.Lock()
	defer p.journalMu.Unlock()
	if p.journal == nil || p.journal.Closed() {
		return nil
	}
	own := p.Local()
	size := int64(0)
	for _, tx := range own {
		size += int64(len(tx.Bytes) + txjournal.RecordOverhead)
	}
	if !force && !p.journal.Due(size) {
		return nil
	}
	return p.journal.Rewrite(own)
}

// AddLocal implements chain.LocalTxPool. A transaction that is accepted is in
// the journal, synced, when AddLocal returns. It blocks on the disk.
func (p *Pool) AddLocal(ctx context.Context, txs []chain.Tx) []chain.Verdict {
	vs := make([]chain.Verdict, len(txs))
	p.journalMu.Lock()
	defer p.journalMu.Unlock()
	var added []chain.Tx
	var at []int
	for i, tx := range txs {
		if ctx.Err() != nil {
			vs[i] = chain.Ignored("cancelled")
			continue
		}
		var e *pooled
		if e, vs[i] = p.admit(tx.Bytes, true); e != nil {
			added, at = append(added, e.tx), append(at, i)
		}
	}
	if p.journal != nil && len(added) > 0 {
		if err := p.journal.Append(added); err != nil {
			p.c.Logger.Warn("transactions could not be journalled", "err", err)
			for k, tx := range added {
				p.drop(tx.Hash, "journal-failed")
				vs[at[k]] = chain.Ignored("journal-failed")
			}
			return vs
		}
	}
	p.publish(added)
	return vs
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
