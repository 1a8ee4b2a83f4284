package ledger

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/starlingp2p/starling/chain"
)

// change gathers what a write will do, and reads through it. Nothing reaches
// the store before commit, so a block that turns out invalid is forgotten with
// its change. Only the writer uses it.
type change struct {
	l      *Ledger
	over   *change           // the one that this one would be merged into
	vals   map[string][]byte // small values; nil: removed
	blocks []chain.Block     // to be stored whole
	known  map[chain.Hash]chain.Block
	bytes  int64        // of blocks
	undoes bool         // blocks that are canonical
	listed *listing     // the transactions of what is imported; nil: none is
	status chain.Status // once committed
}

func (l *Ledger) newChange() *change {
	c := &change{l: l, vals: map[string][]byte{}, known: map[chain.Hash]chain.Block{}}
	if st := l.status.Load(); st != nil {
		c.status = *st
	}
	return c
}

// fork is a change on top of c.
func (c *change) fork() *change {
	return &change{l: c.l, over: c, vals: map[string][]byte{}, known: map[chain.Hash]chain.Block{}, status: c.status}
}

// merge makes a fork's work c's own.
func (c *change) merge(f *change) {
	for k, v := range f.vals { // the keys are distinct: the order has no effect
		c.vals[k] = v
	}
	for h, b := range f.known {
		c.known[h] = b
	}
	c.blocks = append(c.blocks, f.blocks...)
	c.bytes += f.bytes
	c.undoes = c.undoes || f.undoes
	c.status = f.status
}

func (c *change) put(key string, v []byte) {
	if v == nil {
		v = []byte{}
	}
	c.vals[key] = v
}

func (c *change) remove(key string) { c.vals[key] = nil }

func (c *change) putBlock(b chain.Block) {
	c.blocks = append(c.blocks, b)
	c.known[b.Header.Ref.Hash] = b
	c.bytes += int64(b.Size())
	c.l.top = max(c.l.top, b.Header.Ref.Number)
}

func (c *change) putInfo(h chain.Hash, i info) { c.put(hashed(keyInfo, h), i.encode()) }

// get reads a small value.
func (c *change) get(key string) ([]byte, error) {
	for x := c; x != nil; x = x.over {
		if v, ok := x.vals[key]; ok {
			return v, nil
		}
	}
	var v []byte
	err := c.l.store.read(func(db *pebble.DB) (err error) {
		v, err = get(db, []byte(key))
		return err
	})
	return v, err
}

func (c *change) info(h chain.Hash) (info, error) {
	raw, err := c.get(hashed(keyInfo, h))
	if err != nil || raw == nil {
		return info{}, err
	}
	i, err := decodeInfo(raw)
	if err != nil {
		return info{}, corrupt("block %v: %v", h, err)
	}
	return i, nil
}

// stored is info for a block whose number is told: one above all that are
// stored is not looked for. That is the rule in a sync, and to look for what
// is not there reads a table of the database each time.
func (c *change) stored(r chain.Ref) (info, error) {
	if r.Number > c.l.top {
		return info{}, nil
	}
	return c.info(r.Hash)
}

func (c *change) block(r chain.Ref) (b chain.Block, err error) {
	for x := c; x != nil; x = x.over {
		if b, ok := x.known[r.Hash]; ok {
			return b, nil
		}
	}
	err = c.l.store.read(func(db *pebble.DB) (err error) {
		b, err = readBlock(db, c.l.family, r)
		return err
	})
	return b, err
}

// Get implements State.
func (c *change) Get(key []byte) ([]byte, error) { return c.get(stateKey(key)) }

func (c *change) putTxs(b chain.Block) error {
	txs, err := c.listed.txs(c.l.family, b)
	if err != nil {
		return fmt.Errorf("ledger: transactions of block %v: %w", b.Ref(), err)
	}
	for i, tx := range txs {
		c.put(hashed(keyTx, tx.Hash), place{b.Header.Ref.Number, uint32(i)}.encode())
	}
	return nil
}

func (c *change) removeTxs(b chain.Block) error {
	txs, err := c.l.family.Txs(b)
	if err != nil {
		return corrupt("transactions of block %v: %v", b.Ref(), err)
	}
	for _, tx := range txs {
		c.remove(hashed(keyTx, tx.Hash))
	}
	return nil
}

// setHead moves the head, and what is final by depth with it.
func (c *change) setHead(r chain.Ref, w chain.Weight) {
	c.put(metaKey(metaHead), encodeRef(r))
	c.status.Head, c.status.Weight = r, w
}

func (c *change) setFinal(r chain.Ref) {
	c.put(metaKey(metaFinal), encodeRef(r))
	c.status.Finalized = r
}

func (c *change) empty() bool { return len(c.vals) == 0 && len(c.blocks) == 0 }

// batch lays the change out for Pebble, without an intermediate copy of what
// is large.
func (c *change) batch(db *pebble.DB) (*pebble.Batch, error) {
	const overhead = 64
	size := int(c.bytes) + 3*overhead*len(c.blocks)
	keys := make([]string, 0, len(c.vals))
	for k, v := range c.vals {
		keys = append(keys, k)
		size += len(k) + len(v) + overhead
	}
	slices.Sort(keys)
	b := db.NewBatchWithSize(size)
	set := func(key, v []byte) error {
		op := b.SetDeferred(len(key), sealLen+len(v))
		copy(op.Key, key)
		seal(op.Value, key, v)
		return op.Finish()
	}
	var errs []error
	for _, blk := range c.blocks {
		errs = append(errs,
			set(blockKey(blk.Ref(), partHeader), blk.Header.Bytes),
			set(blockKey(blk.Ref(), partBody), blk.Body))
		if len(blk.Extra) > 0 {
			errs = append(errs, set(blockKey(blk.Ref(), partExtra), blk.Extra))
		}
	}
	for _, k := range keys {
		if v := c.vals[k]; v != nil {
			errs = append(errs, set([]byte(k), v))
		} else {
			errs = append(errs, b.Delete([]byte(k), nil))
		}
	}
	return b, errors.Join(errs...)
}

// commit writes the change. With sync it is durable when commit returns, and so
// is every one before it; only then does the status show it. After an error
// the ledger's view is what the store has.
func (c *change) commit(sync bool) error {
	var b *pebble.Batch
	err := c.l.store.read(func(db *pebble.DB) (err error) {
		b, err = c.batch(db)
		return err
	})
	if err == nil && sync && b.Empty() {
		// Pebble passes over an empty batch without a look at its log, to which
		// changes before this one may have gone unsynced; a note is written.
		err = b.LogData([]byte{}, nil)
	}
	if err != nil {
		return ioError("commit", err)
	}
	err = c.l.store.commit(b, sync)
	if c.undoes {
		c.l.recent.undone()
	}
	if err != nil {
		// The batch stays with Pebble, which may still hold it.
		return errors.Join(err, c.l.reloadIfThere())
	}
	b.Close()
	if sync && c.l.status.Load() != nil {
		st := c.status
		c.l.status.Store(&st)
	}
	return nil
}

// reloadIfThere reads the status again, where there was one.
func (l *Ledger) reloadIfThere() error {
	if l.status.Load() == nil {
		return nil
	}
	return l.reload()
}
