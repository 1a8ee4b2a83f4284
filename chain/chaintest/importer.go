package chaintest

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
)

// Import implements chain.Importer. It verifies again what the caller should
// have verified.
func (c *Chain) Import(ctx context.Context, blocks []chain.Block) (int, error) {
	if err := c.faults.imports.wait(ctx); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range blocks {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		if err := c.take(b); err != nil {
			return i, fmt.Errorf("import of %s: %w", b.Ref(), err)
		}
		c.faults.imported.Add(1)
	}
	return len(blocks), nil
}

// take imports one block. The caller holds mu.
func (c *Chain) take(b chain.Block) error {
	hash := b.Header.Ref.Hash
	if _, ok := c.blocks[hash]; ok {
		delete(c.staged, hash)
		return nil
	}
	parent, ok := c.blocks[b.Header.Parent]
	if !ok {
		return fmt.Errorf("%w %s", chain.ErrUnknownParent, b.Header.Parent)
	}
	if _, err := c.VerifyHeaders(parent.block.Header, []chain.Header{b.Header}); err != nil {
		return err
	}
	if err := c.VerifyBody(b.Header, b.Body, b.Extra); err != nil {
		return err
	}
	f, err := parse(b.Header)
	if err != nil {
		return err
	}
	weight := parent.weight + uint64(f.weight)
	heavier := weight > c.blocks[c.canon[len(c.canon)-1]].weight
	if heavier {
		if err := c.allowed(b); err != nil {
			return err
		}
	}
	c.blocks[hash] = stored{block: b, weight: weight}
	delete(c.staged, hash)
	if heavier {
		c.adopt(b)
	}
	return nil
}

// allowed says whether b may become the head. The caller holds mu.
func (c *Chain) allowed(b chain.Block) error {
	anc := c.canonicalAncestor(b)
	head := uint64(len(c.canon) - 1)
	final := c.status.Load().Finalized.Number
	if undone := head - anc; undone > uint64(c.cfg.MaxReorg) || anc < final {
		return fmt.Errorf("%w: %d blocks, at most %d; final is %d", chain.ErrReorgTooDeep, undone, c.cfg.MaxReorg, final)
	}
	return nil
}

// canonicalAncestor is the number of the last canonical block below b, whose
// parent is imported. The caller holds mu.
func (c *Chain) canonicalAncestor(b chain.Block) uint64 {
	for {
		b = c.blocks[b.Header.Parent].block
		if n := b.Header.Ref.Number; n < uint64(len(c.canon)) && c.canon[n] == b.Header.Ref.Hash {
			return n
		}
	}
}

// adopt makes b, which is imported, the head. The caller holds mu.
func (c *Chain) adopt(b chain.Block) {
	anc := c.canonicalAncestor(b)
	for n := uint64(len(c.canon) - 1); n > anc; n-- {
		for _, tx := range c.txsOf(c.canon[n]) {
			if c.txs[tx.Hash].number == n {
				delete(c.txs, tx.Hash)
			}
		}
	}
	c.canon = c.canon[:anc+1]
	var branch []chain.Hash
	for at := b; at.Header.Ref.Number > anc; at = c.blocks[at.Header.Parent].block {
		branch = append(branch, at.Header.Ref.Hash)
	}
	slices.Reverse(branch)
	for _, h := range branch {
		n := uint64(len(c.canon))
		c.canon = append(c.canon, h)
		for _, tx := range c.txsOf(h) {
			if _, ok := c.txs[tx.Hash]; !ok {
				c.txs[tx.Hash] = txPlace{tx: tx, number: n}
			}
		}
	}
	c.publish(c.status.Load().Finalized)
}

// txsOf gives the transactions of an imported block. The caller holds mu.
func (c *Chain) txsOf(h chain.Hash) []chain.Tx {
	txs, err := Txs(c.blocks[h].block.Body)
	if err != nil {
		panic(fmt.Sprintf("chaintest: imported block %s does not decode: %v", h, err)) // VerifyBody let it in
	}
	return txs
}

// Stage implements chain.Importer.
func (c *Chain) Stage(ctx context.Context, blocks []chain.Block) error {
	if err := c.faults.stages.wait(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range blocks {
		if _, ok := c.blocks[b.Header.Ref.Hash]; !ok {
			c.staged[b.Header.Ref.Hash] = b
		}
	}
	return nil
}

// Staged implements chain.Importer.
func (c *Chain) Staged(ctx context.Context) ([]chain.Ref, error) {
	if err := c.faults.reads.wait(ctx); err != nil {
		return nil, err
	}
	c.mu.RLock()
	refs := make([]chain.Ref, 0, len(c.staged))
	for _, b := range c.staged {
		refs = append(refs, b.Ref())
	}
	c.mu.RUnlock()
	slices.SortFunc(refs, func(a, b chain.Ref) int {
		if d := cmp.Compare(a.Number, b.Number); d != 0 {
			return d
		}
		return slices.Compare(a.Hash[:], b.Hash[:])
	})
	return refs, nil
}
