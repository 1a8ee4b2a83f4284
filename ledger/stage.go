package ledger

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/starlingp2p/starling/chain"
)

// Stage implements chain.Importer. What is imported or staged already is left
// as it is. A call is durable as a whole or not at all, where it is shorter
// than 8 MiB; a longer one may be cut by a crash at a block.
func (l *Ledger) Stage(ctx context.Context, blocks []chain.Block) error {
	l.write.Lock()
	defer l.write.Unlock()
	size := int64(0)
	for _, b := range blocks {
		size += int64(b.Size())
	}
	if err := l.prepare(ctx, size); err != nil {
		return err
	}
	c := l.newChange()
	unsynced := false
	for i, b := range blocks {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		ref := b.Header.Ref
		have, err := c.stored(ref)
		if err != nil {
			return err
		}
		if have.kind != 0 {
			continue
		}
		if err := l.checkRef(b.Header); err != nil {
			return err
		}
		c.putBlock(b)
		c.putInfo(ref.Hash, info{kind: staged, number: ref.Number, parent: b.Header.Parent})
		c.put(stageKey(ref), nil)
		if c.bytes >= commitBytes && i < len(blocks)-1 {
			if err := c.commit(false); err != nil {
				return err
			}
			c, unsynced = l.newChange(), true
		}
	}
	if c.empty() && !unsynced {
		return nil
	}
	return c.commit(true)
}

// Staged implements chain.Importer.
func (l *Ledger) Staged(ctx context.Context) (refs []chain.Ref, err error) {
	err = l.view(ctx, func(db *pebble.DB) error {
		it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyStage}, UpperBound: []byte{keyStage + 1}})
		if err != nil {
			return ioError("read", err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			k := it.Key()
			if len(k) != 41 {
				it.Close()
				return corrupt("stage has the key %x", k)
			}
			refs = append(refs, chain.Ref{Number: binary.BigEndian.Uint64(k[1:]), Hash: chain.Hash(k[9:])})
		}
		return ioError("read", errors.Join(it.Error(), it.Close()))
	})
	return refs, err
}

// removeBlock forgets a block and what is known of it.
func (c *change) removeBlock(r chain.Ref) {
	c.remove(hashed(keyInfo, r.Hash))
	for _, part := range []byte{partHeader, partBody, partExtra} {
		c.remove(string(blockKey(r, part)))
	}
}
