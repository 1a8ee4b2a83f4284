package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/chain"
)

const (
	// commitBytes is how much is staged in one batch; Pebble keeps batches of
	// half a memtable and more apart from the memtables.
	commitBytes = 8 << 20
	// importBytes is how much is imported in one batch. Such a batch stays
	// below 1 MiB as a whole, so that Pebble uses its memory again, and the log
	// is written while the next is made.
	importBytes = 832 << 10
)

// Import implements chain.Importer. Batches of about a megabyte are committed
// without a wait; the last one is synced, and all before it with it. A crash
// leaves a whole number of batches.
func (l *Ledger) Import(ctx context.Context, blocks []chain.Block) (n int, err error) {
	l.write.Lock()
	defer l.write.Unlock()
	size := int64(0)
	for _, b := range blocks {
		size += int64(b.Size())
	}
	if err := l.prepare(ctx, size); err != nil {
		return 0, err
	}
	txs := l.list(blocks)
	defer txs.end()
	all := l.newChange()
	unsynced := false
	for ; n < len(blocks); n++ {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		one := all.fork()
		one.listed = txs
		if err = one.importBlock(blocks[n]); err != nil {
			break
		}
		all.merge(one)
		if all.bytes >= importBytes && n < len(blocks)-1 {
			if cerr := all.commit(false); cerr != nil {
				return 0, cerr
			}
			unsynced = true
			st := all.status
			all = l.newChange()
			all.status = st
		}
	}
	if unsynced || !all.empty() {
		if cerr := all.commit(true); cerr != nil {
			return 0, cerr // what came before may have survived; it counts when it is repeated
		}
	}
	return n, err
}

// importBlock takes in one block and moves the head if it weighs more.
func (c *change) importBlock(b chain.Block) error {
	ref := b.Header.Ref
	have, err := c.stored(ref)
	if err != nil {
		return err
	}
	if have.kind == imported {
		return nil
	}
	if err := c.l.checkRef(b.Header); err != nil {
		return err
	}
	parent, err := c.info(b.Header.Parent)
	if err != nil {
		return err
	}
	if parent.kind != imported {
		return fmt.Errorf("ledger: block %v: %w %v", ref, chain.ErrUnknownParent, b.Header.Parent)
	}
	if ref.Number != parent.number+1 {
		return fmt.Errorf("ledger: block %v: %w: its parent has number %d", ref, chain.ErrInvalid, parent.number)
	}
	fork, branch, err := c.branch(b)
	if err != nil {
		return err
	}
	if have.kind == staged {
		c.remove(stageKey(ref))
		if len(b.Extra) == 0 { // the staged one may have had some
			c.remove(string(blockKey(ref, partExtra)))
		}
	}
	weight := c.l.weigh(parent.weight, b.Header)
	c.putBlock(b)
	c.putInfo(ref.Hash, info{imported, ref.Number, b.Header.Parent, weight})
	if weight.Compare(c.status.Weight) <= 0 {
		return nil
	}
	if b.Header.Parent == c.status.Head.Hash {
		return c.extend(b, weight)
	}
	return c.reorganise(b, weight, fork, branch)
}

// checkRef refuses a header whose bytes are not what it says.
func (l *Ledger) checkRef(h chain.Header) error {
	d, err := l.family.DecodeHeader(h.Bytes)
	if err != nil {
		return fmt.Errorf("ledger: block %v: %w: %v", h.Ref, chain.ErrInvalid, err)
	}
	if d.Ref != h.Ref || d.Parent != h.Parent {
		return fmt.Errorf("ledger: block %v: %w: its header is that of %v", h.Ref, chain.ErrInvalid, d.Ref)
	}
	return nil
}

// tooDeep refuses a block on a branch that leaves the canonical chain at the
// number of ancestor or below.
func (c *change) tooDeep(ref chain.Ref, ancestor uint64) error {
	st := &c.status
	if ancestor < st.Finalized.Number {
		return fmt.Errorf("ledger: block %v: %w: it forks at %d or below, and %v is final", ref, chain.ErrReorgTooDeep, ancestor, st.Finalized)
	}
	if depth := st.Head.Number - ancestor; ancestor < st.Head.Number && depth > uint64(c.l.o.MaxReorg) {
		return fmt.Errorf("ledger: block %v: %w: it would undo %d blocks, at most %d may be", ref, chain.ErrReorgTooDeep, depth, c.l.o.MaxReorg)
	}
	return nil
}

// extend makes b, a child of the head, the head.
func (c *change) extend(b chain.Block, weight chain.Weight) error {
	n := b.Header.Ref.Number
	if x, ok := c.l.family.(Executor); ok {
		if err := c.execute(x, b); err != nil {
			return err
		}
		if depth := uint64(c.l.o.MaxReorg); n > depth {
			c.remove(undoKey(n - depth))
		}
	}
	c.put(canonKey(n), b.Header.Ref.Hash[:])
	if err := c.putTxs(b); err != nil {
		return errors.Join(err, chain.ErrInvalid)
	}
	c.setHead(b.Header.Ref, weight)
	if d := uint64(c.l.o.FinalityDepth); d > 0 && n > d && n-d > c.status.Finalized.Number {
		return c.finalize(n - d)
	}
	return nil
}

// finalize makes the canonical block n final, if there is one.
func (c *change) finalize(n uint64) error {
	if n < c.l.spec.Genesis.Header.Ref.Number {
		return nil
	}
	h, err := c.get(canonKey(n))
	if err != nil {
		return err
	}
	if len(h) != 32 {
		return corrupt("canonical block %d is missing below head %v", n, c.status.Head)
	}
	c.setFinal(chain.Ref{Number: n, Hash: chain.Hash(h)})
	return nil
}

// execute applies b to the state and notes how to undo it.
func (c *change) execute(x Executor, b chain.Block) error {
	writes, err := x.Execute(c, b)
	if err != nil {
		return fmt.Errorf("ledger: block %v: %w", b.Ref(), err)
	}
	undo := make([]Write, 0, len(writes))
	for _, w := range writes {
		old, err := c.Get(w.Key)
		if err != nil {
			return err
		}
		undo = append(undo, Write{w.Key, old})
	}
	c.apply(writes)
	c.put(undoKey(b.Header.Ref.Number), encodeUndo(undo))
	return nil
}

func (c *change) apply(ws []Write) {
	for _, w := range ws {
		if w.Value == nil {
			c.remove(stateKey(w.Key))
		} else {
			c.put(stateKey(w.Key), w.Value)
		}
	}
}

// branch finds where b's branch leaves the canonical chain, and the blocks in
// between, b left out, towards that point. It refuses one that is too deep.
func (c *change) branch(b chain.Block) (fork chain.Ref, branch []chain.Ref, err error) {
	at := chain.Ref{Number: b.Header.Ref.Number - 1, Hash: b.Header.Parent}
	for {
		if err := c.tooDeep(b.Header.Ref, at.Number); err != nil {
			return fork, nil, err
		}
		h, err := c.get(canonKey(at.Number))
		if err != nil {
			return fork, nil, err
		}
		if string(h) == string(at.Hash[:]) {
			return at, branch, nil
		}
		i, err := c.info(at.Hash)
		if err != nil {
			return fork, nil, err
		}
		if i.kind != imported || at.Number == 0 {
			return fork, nil, corrupt("block %v has no imported ancestor", at)
		}
		branch = append(branch, at)
		at = chain.Ref{Number: at.Number - 1, Hash: i.parent}
	}
}

// reorganise makes b the head, whose branch leaves the canonical chain at fork.
func (c *change) reorganise(b chain.Block, weight chain.Weight, fork chain.Ref, branch []chain.Ref) error {
	old := c.status.Head
	if err := c.rewind(fork); err != nil {
		return err
	}
	for n := len(branch) - 1; n >= 0; n-- {
		next, err := c.block(branch[n])
		if err != nil {
			return err
		}
		if err := c.extend(next, chain.Weight{}); err != nil {
			return err
		}
	}
	if err := c.extend(b, weight); err != nil {
		return err
	}
	c.l.o.Logger.Info("ledger: reorganised", "from", old.String(), "to", b.Ref().String(), "ancestor", fork.String())
	return nil
}

// rewind undoes canonical blocks until to is the head. Their data stays.
func (c *change) rewind(to chain.Ref) error {
	_, executes := c.l.family.(Executor)
	for n := c.status.Head.Number; n > to.Number; n-- {
		h, err := c.get(canonKey(n))
		if err != nil {
			return err
		}
		if len(h) != 32 {
			return corrupt("canonical block %d is missing below head %v", n, c.status.Head)
		}
		b, err := c.block(chain.Ref{Number: n, Hash: chain.Hash(h)})
		if err != nil {
			return err
		}
		if err := c.removeTxs(b); err != nil {
			return err
		}
		c.undoes = true
		c.remove(canonKey(n))
		if !executes {
			continue
		}
		raw, err := c.get(undoKey(n))
		if err != nil {
			return err
		}
		if raw == nil {
			// The head was higher once, and the record was dropped then.
			return fmt.Errorf("ledger: %w: block %d can no longer be undone", chain.ErrReorgTooDeep, n)
		}
		undo, err := decodeUndo(raw)
		if err != nil {
			return corrupt("undo record of block %d: %v", n, err)
		}
		c.apply(undo)
		c.remove(undoKey(n))
	}
	i, err := c.info(to.Hash)
	if err != nil {
		return err
	}
	c.setHead(to, i.weight)
	return nil
}

// Finalize makes a canonical block, and all below it, final: no reorganisation
// undoes them any more. What is final already stays so. It is durable when it
// returns.
func (l *Ledger) Finalize(ctx context.Context, ref chain.Ref) error {
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.prepare(ctx, 0); err != nil {
		return err
	}
	c := l.newChange()
	h, err := c.get(canonKey(ref.Number))
	if err != nil {
		return err
	}
	if string(h) != string(ref.Hash[:]) {
		return fmt.Errorf("ledger: finalize %v: %w in the canonical chain", ref, chain.ErrNotFound)
	}
	if ref.Number <= c.status.Finalized.Number {
		return nil
	}
	c.setFinal(ref)
	return c.commit(true)
}
