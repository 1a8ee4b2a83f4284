package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/starlingp2p/starling/chain"
)

// CheckInvariants reads everything that is stored and reports, joined, at most
// 16 breaches, each of which wraps chain.ErrCorrupt. It may run beside writes:
// it looks at one moment. It takes as long as reading the chain does.
//
//   - the head is imported, canonical, and none is heavier
//   - canonical blocks are without gaps from genesis to head, each the child of
//     the one before, and none is above the head
//   - an imported block has its parts, an imported parent and that parent's weight
//   - staged blocks have their parts and their entry in the stage, and no other has
//   - the transaction index names the transactions of the canonical chain exactly
//   - what is final is canonical; undo records are of canonical blocks
func (l *Ledger) CheckInvariants(ctx context.Context) error {
	return l.view(ctx, func(db *pebble.DB) error {
		snap := db.NewSnapshot()
		defer snap.Close()
		c := &inspector{ctx: ctx, r: snap, l: l}
		for _, check := range []func() error{c.head, c.canonical, c.blocks, c.stage, c.txs, c.undo, c.seals} {
			if err := check(); err != nil {
				c.add(err)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		return errors.Join(c.errs...)
	})
}

type inspector struct {
	ctx  context.Context
	r    pebble.Reader
	l    *Ledger
	st   chain.Status
	txN  int // transactions of the canonical chain
	errs []error
}

func (c *inspector) add(err error) {
	if len(c.errs) < 16 {
		c.errs = append(c.errs, err)
	}
}

func (c *inspector) breach(format string, args ...any) { c.add(corrupt(format, args...)) }

// each calls fn for every key of a prefix with its payload.
func (c *inspector) each(prefix byte, fn func(key, v []byte) error) error {
	it, err := c.r.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return ioError("read", err)
	}
	defer it.Close()
	for ok := it.First(); ok && c.ctx.Err() == nil; ok = it.Next() {
		raw, err := it.ValueAndErr()
		if err != nil {
			return ioError("read", err)
		}
		v, err := open(it.Key(), raw)
		if err != nil {
			c.add(err)
			continue
		}
		if err := fn(it.Key(), v); err != nil {
			return err
		}
	}
	return ioError("read", it.Error())
}

func (c *inspector) head() (err error) {
	if c.st, err = readStatus(c.r, c.l.spec); err != nil {
		return err
	}
	if f := c.st.Finalized; f != (chain.Ref{}) {
		h, ok, err := canonical(c.r, f.Number)
		if err != nil {
			return err
		}
		if !ok || h != f.Hash || f.Number > c.st.Head.Number {
			c.breach("final block %v is not canonical", f)
		}
	}
	return nil
}

func (c *inspector) canonical() error {
	genesis := c.l.spec.Genesis.Header.Ref
	next, before := genesis.Number, chain.Hash{}
	err := c.each(keyCanon, func(k, v []byte) error {
		if len(k) != 9 || len(v) != 32 {
			return corrupt("canonical index has the key %x", k)
		}
		ref := chain.Ref{Number: binary.BigEndian.Uint64(k[1:]), Hash: chain.Hash(v)}
		if ref.Number != next {
			return corrupt("canonical index goes from %d to %d", next-1, ref.Number)
		}
		if ref.Number == genesis.Number && ref != genesis {
			return corrupt("canonical genesis is %v, want %v", ref, genesis)
		}
		b, err := readBlock(c.r, c.l.family, ref)
		if err != nil {
			return err
		}
		if next != genesis.Number && b.Header.Parent != before {
			return corrupt("canonical block %v has parent %v, want %v", ref, b.Header.Parent, before)
		}
		txs, err := c.l.family.Txs(b)
		if err != nil {
			return corrupt("transactions of block %v: %v", ref, err)
		}
		for i, tx := range txs {
			raw, err := get(c.r, []byte(hashed(keyTx, tx.Hash)))
			if err != nil {
				return err
			}
			if want := (place{ref.Number, uint32(i)}).encode(); !bytes.Equal(raw, want) {
				c.breach("transaction %v of block %v is indexed at %x, want %x", tx.Hash, ref, raw, want)
			}
		}
		c.txN += len(txs)
		next, before = next+1, ref.Hash
		return nil
	})
	if err == nil && (next != c.st.Head.Number+1 || before != c.st.Head.Hash) {
		c.breach("canonical index ends before %d, head is %v", next, c.st.Head)
	}
	return err
}

func (c *inspector) blocks() error {
	genesis := c.l.spec.Genesis.Header.Ref.Hash
	weigh, _ := c.l.family.(Weigher)
	return c.each(keyInfo, func(k, v []byte) error {
		i, err := decodeInfo(v)
		if err != nil || len(k) != 33 {
			c.breach("info under key %x: %v", k, err)
			return nil
		}
		ref := chain.Ref{Number: i.number, Hash: chain.Hash(k[1:])}
		h, err := readHeader(c.r, c.l.family, ref)
		if err != nil {
			c.add(err)
			return nil
		}
		if h.Parent != i.parent {
			c.breach("block %v has parent %v, its info says %v", ref, h.Parent, i.parent)
		}
		if body, err := get(c.r, blockKey(ref, partBody)); err != nil || body == nil {
			c.breach("block %v has no body: %v", ref, err)
		}
		if i.kind == staged {
			raw, err := get(c.r, []byte(stageKey(ref)))
			if err != nil || raw == nil {
				c.breach("block %v is staged and not in the stage: %v", ref, err)
			}
			return nil
		}
		if i.weight.Compare(c.st.Weight) > 0 {
			c.breach("block %v weighs %v, head %v only %v", ref, i.weight.Big(), c.st.Head, c.st.Weight.Big())
		}
		if ref.Hash == genesis {
			return nil
		}
		p, err := readInfo(c.r, i.parent)
		if err != nil {
			return err
		}
		if p.kind != imported || p.number+1 != i.number {
			c.breach("parent %v of imported block %v is not imported, or has number %d", i.parent, ref, p.number)
			return nil
		}
		want := chain.WeightOf(i.number)
		if weigh != nil {
			want = weigh.Weight(p.weight, h)
		}
		if i.weight != want {
			c.breach("block %v has weight %v, want %v", ref, i.weight.Big(), want.Big())
		}
		return nil
	})
}

func (c *inspector) stage() error {
	return c.each(keyStage, func(k, _ []byte) error {
		if len(k) != 41 {
			return corrupt("stage has the key %x", k)
		}
		ref := chain.Ref{Number: binary.BigEndian.Uint64(k[1:]), Hash: chain.Hash(k[9:])}
		i, err := readInfo(c.r, ref.Hash)
		if err != nil {
			return err
		}
		if i.kind != staged || i.number != ref.Number {
			c.breach("block %v is in the stage and not staged", ref)
		}
		return nil
	})
}

func (c *inspector) txs() error {
	n := 0
	err := c.each(keyTx, func(k, v []byte) error { n++; return nil })
	if err == nil && n != c.txN {
		c.breach("%d transactions are indexed, the canonical chain has %d", n, c.txN)
	}
	return err
}

func (c *inspector) undo() error {
	return c.each(keyUndo, func(k, v []byte) error {
		if len(k) != 9 {
			return corrupt("undo has the key %x", k)
		}
		n := binary.BigEndian.Uint64(k[1:])
		if _, err := decodeUndo(v); err != nil {
			c.breach("undo record of block %d: %v", n, err)
		}
		if n > c.st.Head.Number {
			c.breach("undo record of block %d is above head %v", n, c.st.Head)
		}
		return nil
	})
}

// seals reads what no other check reads, and looks for keys that are nobody's.
func (c *inspector) seals() error {
	err := c.each(keyBlock, func(k, v []byte) error {
		if len(k) != 42 {
			return corrupt("blocks have the key %x", k)
		}
		i, err := readInfo(c.r, chain.Hash(k[9:41]))
		if err == nil && (i.kind == 0 || i.number != binary.BigEndian.Uint64(k[1:])) {
			c.breach("part %q of block %x is of no block", k[41], k[9:41])
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, prefix := range []byte{keyState, keyMeta} {
		if err := c.each(prefix, func(k, v []byte) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// CheckState executes the canonical chain from genesis in memory and compares
// the result with the stored state. It is for tests and repair: it needs memory
// for the whole state. A family without an Executor passes.
func (l *Ledger) CheckState(ctx context.Context) error {
	x, ok := l.family.(Executor)
	if !ok {
		return nil
	}
	return l.view(ctx, func(db *pebble.DB) error {
		snap := db.NewSnapshot()
		defer snap.Close()
		c := &inspector{ctx: ctx, r: snap, l: l}
		if err := c.head(); err != nil {
			return err
		}
		state := memState{}
		state.apply(x.GenesisState())
		for n := l.spec.Genesis.Header.Ref.Number + 1; n <= c.st.Head.Number; n++ {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			ref, _, err := resolve(snap, chain.Ref{Number: n}, imported)
			if err != nil {
				return err
			}
			b, err := readBlock(snap, l.family, ref)
			if err != nil {
				return err
			}
			ws, err := x.Execute(state, b)
			if err != nil {
				return corrupt("canonical block %v does not execute: %v", ref, err)
			}
			state.apply(ws)
		}
		n := 0
		err := c.each(keyState, func(k, v []byte) error {
			n++
			if want, ok := state[string(k[1:])]; !ok || !bytes.Equal(v, want) {
				c.breach("state under %x is %x, want %x", k[1:], v, want)
			}
			return nil
		})
		if n != len(state) {
			c.add(fmt.Errorf("ledger: state has %d keys, want %d: %w", n, len(state), chain.ErrCorrupt))
		}
		return errors.Join(append(c.errs, err)...)
	})
}

type memState map[string][]byte

func (s memState) Get(key []byte) ([]byte, error) { return s[string(key)], nil }

func (s memState) apply(ws []Write) {
	for _, w := range ws {
		if w.Value == nil {
			delete(s, string(w.Key))
		} else {
			s[string(w.Key)] = w.Value
		}
	}
}
