package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"github.com/starlingp2p/starling/chain"
)

// readInfo gives the zero info where there is none.
func readInfo(r pebble.Reader, h chain.Hash) (info, error) {
	key := []byte(hashed(keyInfo, h))
	raw, err := get(r, key)
	if err != nil || raw == nil {
		return info{}, err
	}
	i, err := decodeInfo(raw)
	if err != nil {
		return info{}, corrupt("block %v: %v", h, err)
	}
	return i, nil
}

// readHeader decodes the header of a block that is there, and hashes it again.
func readHeader(r pebble.Reader, f Family, ref chain.Ref) (chain.Header, error) {
	raw, err := get(r, blockKey(ref, partHeader))
	if err != nil {
		return chain.Header{}, err
	}
	return openHeader(f, ref, raw)
}

// openHeader is readHeader for bytes that were read; nil: there are none.
func openHeader(f Family, ref chain.Ref, raw []byte) (chain.Header, error) {
	if raw == nil {
		return chain.Header{}, corrupt("block %v has no header", ref)
	}
	h, err := f.DecodeHeader(raw)
	if err != nil {
		return chain.Header{}, corrupt("header of block %v: %v", ref, err)
	}
	if h.Ref != ref {
		return chain.Header{}, corrupt("header stored for block %v is that of %d (%v)", ref, h.Ref.Number, h.Ref.Hash)
	}
	return h, nil
}

// readBlock reads the parts of a block, which lie side by side, in one walk.
func readBlock(r pebble.Reader, f Family, ref chain.Ref) (b chain.Block, err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: blockKey(ref, 0), UpperBound: blockKey(ref, partExtra+1)})
	if err != nil {
		return chain.Block{}, ioError("read", err)
	}
	var header []byte
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var part []byte
		if part, err = payloadAt(it); err != nil {
			break
		}
		switch k := it.Key(); k[len(k)-1] {
		case partHeader:
			header = part
		case partBody:
			b.Body = part
		case partExtra:
			b.Extra = part
		}
	}
	if err = errors.Join(err, ioError("read", it.Close())); err != nil {
		return chain.Block{}, err
	}
	if b.Header, err = openHeader(f, ref, header); err != nil {
		return chain.Block{}, err
	}
	if b.Body == nil {
		return chain.Block{}, corrupt("block %v has no body", ref)
	}
	return b, nil
}

// payloadAt gives the payload at an iterator in memory of its own.
func payloadAt(it *pebble.Iterator) ([]byte, error) {
	v, err := it.ValueAndErr()
	if err != nil {
		return nil, ioError("read", err)
	}
	payload, err := open(it.Key(), v)
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(payload)), payload...), nil
}

// canonical gives the hash of the canonical block of a number.
func canonical(r pebble.Reader, n uint64) (h chain.Hash, ok bool, err error) {
	raw, err := get(r, []byte(canonKey(n)))
	if err != nil || raw == nil {
		return h, false, err
	}
	if len(raw) != len(h) {
		return h, false, corrupt("canonical hash of %d has %d bytes", n, len(raw))
	}
	return chain.Hash(raw), true, nil
}

// resolve turns what a caller asks for into a block of that kind that is there,
// or of any if it is zero.
func resolve(r pebble.Reader, ref chain.Ref, k kind) (chain.Ref, info, error) {
	if ref.Hash.IsZero() {
		h, ok, err := canonical(r, ref.Number)
		if err != nil {
			return ref, info{}, err
		}
		if !ok {
			return ref, info{}, fmt.Errorf("ledger: block %d: %w", ref.Number, chain.ErrNotFound)
		}
		ref.Hash = h
	}
	i, err := readInfo(r, ref.Hash)
	if err != nil {
		return ref, info{}, err
	}
	if i.kind == 0 || k != 0 && i.kind != k {
		return ref, info{}, fmt.Errorf("ledger: block %v: %w", ref.Hash, chain.ErrNotFound)
	}
	return chain.Ref{Number: i.number, Hash: ref.Hash}, i, nil
}

func (l *Ledger) view(ctx context.Context, fn func(*pebble.DB) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.store.read(fn)
}

// reader reads blocks, or a part of each.
type reader[T any] struct {
	read func(pebble.Reader, Family, chain.Ref) (T, error)
	last func(chain.Hash) (T, bool) // of what was imported, and read lately
	keep func(T)
	size func(T) int
}

func (l *Ledger) headers() reader[chain.Header] {
	return reader[chain.Header]{readHeader, l.recent.header, l.recent.keepHeader, func(h chain.Header) int { return len(h.Bytes) }}
}

func (l *Ledger) blocks() reader[chain.Block] {
	return reader[chain.Block]{readBlock, l.recent.block, l.recent.keepBlock, chain.Block.Size}
}

// at reads a block that is there.
func (rd reader[T]) at(r pebble.Reader, f Family, ref chain.Ref, k kind) (T, error) {
	if v, ok := rd.last(ref.Hash); ok {
		return v, nil
	}
	v, err := rd.read(r, f, ref)
	if err == nil && k == imported {
		rd.keep(v)
	}
	return v, err
}

// one reads a block of that kind that is there, or of any if it is zero.
func one[T any](ctx context.Context, l *Ledger, ref chain.Ref, k kind, rd reader[T]) (v T, err error) {
	err = l.view(ctx, func(db *pebble.DB) error {
		if ref.Hash.IsZero() {
			h, age, ok := l.recent.number(ref.Number)
			if !ok {
				var err error
				if h, ok, err = canonical(db, ref.Number); err != nil {
					return err
				}
				if ok {
					l.recent.keepNumber(ref.Number, h, age)
				}
			}
			ref.Hash = h
		}
		var ok bool
		if v, ok = rd.last(ref.Hash); ok {
			return nil
		}
		at, i, err := resolve(db, ref, k)
		if err != nil {
			return err
		}
		v, err = rd.at(db, l.family, at, i.kind)
		return err
	})
	return v, err
}

// Header implements chain.Reader.
func (l *Ledger) Header(ctx context.Context, ref chain.Ref) (chain.Header, error) {
	return one(ctx, l, ref, 0, l.headers())
}

// Block implements chain.Reader.
func (l *Ledger) Block(ctx context.Context, ref chain.Ref) (chain.Block, error) {
	return one(ctx, l, ref, 0, l.blocks())
}

// Headers implements chain.Reader. Its answer is of one moment.
func (l *Ledger) Headers(ctx context.Context, r chain.Range) ([]chain.Header, error) {
	return collect(ctx, l, r, l.headers())
}

// Blocks implements chain.Reader. Its answer is of one moment.
func (l *Ledger) Blocks(ctx context.Context, r chain.Range) ([]chain.Block, error) {
	return collect(ctx, l, r, l.blocks())
}

// mostAtOnce bounds the memory that a count alone takes: peers get at most as
// many headers.
const mostAtOnce = 1024

// mostBranch is how many steps of a range may lead along a branch, where each
// is looked up by itself (go-ethereum eth/protocols/eth: maxNonCanonical).
const mostBranch = 100

// collect walks a range of imported blocks in a snapshot. The first must be
// there; a later one that is missing ends the answer. What is staged is in no
// range: nobody has seen yet that it belongs to this chain.
func collect[T any](ctx context.Context, l *Ledger, r chain.Range, rd reader[T]) (out []T, err error) {
	if r.Count == 1 {
		v, err := one(ctx, l, r.From, imported, rd)
		if err != nil {
			return nil, err
		}
		return []T{v}, nil
	}
	err = l.view(ctx, func(db *pebble.DB) (err error) {
		snap := db.NewSnapshot()
		defer snap.Close()
		at, i, err := resolve(snap, r.From, imported)
		if err != nil {
			return err
		}
		if r.Count <= 0 {
			return nil
		}
		next, closeWalk, err := follow(ctx, snap, at, i, r)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeWalk()) }()
		out = make([]T, 0, min(r.Count, mostAtOnce))
		for sum := 0; ; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			v, err := rd.at(snap, l.family, at, imported)
			if err != nil {
				return err
			}
			n := rd.size(v)
			if r.MaxBytes > 0 && len(out) > 0 && sum+n > r.MaxBytes {
				return nil
			}
			sum += n
			out = append(out, v)
			if len(out) >= r.Count || r.MaxBytes > 0 && sum >= r.MaxBytes {
				return nil
			}
			var ok bool
			if at, ok, err = next(); err != nil || !ok {
				return err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// follow gives what steps along a range from its first block. The canonical
// chain upwards, which is what peers ask for, is one walk along its index.
func follow(ctx context.Context, r pebble.Reader, at chain.Ref, i info, want chain.Range) (next func() (chain.Ref, bool, error), end func() error, err error) {
	if want.Skip == 0 && !want.Reverse && at.Number < math.MaxUint64-uint64(want.Count) {
		h, ok, err := canonical(r, at.Number)
		if err != nil {
			return nil, nil, err
		}
		if ok && h == at.Hash {
			w, err := newWalk(r, at.Number, want.Count)
			return func() (chain.Ref, bool, error) {
				at.Number++
				return w.next(at.Number)
			}, w.close, err
		}
	}
	branch := mostBranch
	return func() (_ chain.Ref, ok bool, err error) {
		at, i, ok, err = step(ctx, r, at, i, want.Skip, want.Reverse, &branch)
		return at, ok, err
	}, func() error { return nil }, nil
}

// step goes skip+1 blocks on from at; ok is false where there is none. branch is
// how many blocks of a branch may still be looked at.
func step(ctx context.Context, r pebble.Reader, at chain.Ref, i info, skip int, reverse bool, branch *int) (chain.Ref, info, bool, error) {
	none := func(err error) (chain.Ref, info, bool, error) { return chain.Ref{}, info{}, false, err }
	if skip < 0 || skip == math.MaxInt {
		return none(nil)
	}
	for left := uint64(skip) + 1; left > 0; {
		h, ok, err := canonical(r, at.Number)
		if err != nil {
			return none(err)
		}
		if ok && h == at.Hash { // the index leads straight there
			n := at.Number + left
			if reverse {
				n = at.Number - left
			}
			if reverse && n > at.Number || !reverse && n < at.Number {
				return none(nil)
			}
			h, ok, err := canonical(r, n)
			if err != nil || !ok {
				return none(err)
			}
			at = chain.Ref{Number: n, Hash: h}
			break
		}
		// A branch: one block at a time.
		if ctx.Err() != nil {
			return none(context.Cause(ctx))
		}
		if *branch == 0 {
			return none(nil)
		}
		*branch--
		if reverse {
			if at.Number == 0 {
				return none(nil)
			}
			at = chain.Ref{Number: at.Number - 1, Hash: i.parent}
		} else if at, ok, err = child(r, at); err != nil || !ok {
			return none(err)
		}
		if i, err = readInfo(r, at.Hash); err != nil {
			return none(err)
		}
		if i.kind != imported {
			return none(nil)
		}
		left--
	}
	i, err := readInfo(r, at.Hash)
	if err != nil {
		return none(err)
	}
	if i.kind == 0 {
		return none(corrupt("block %v has no info", at))
	}
	return at, i, true, nil
}

// child finds the imported block after at on a branch, the one of the lowest
// hash.
func child(r pebble.Reader, at chain.Ref) (found chain.Ref, ok bool, err error) {
	refs, err := refsAt(r, at.Number+1)
	if err != nil {
		return found, false, err
	}
	for _, ref := range refs {
		i, err := readInfo(r, ref.Hash)
		if err != nil {
			return found, false, err
		}
		if i.parent == at.Hash && i.kind == imported {
			return ref, true, nil
		}
	}
	return found, false, nil
}

// refsAt lists the blocks of a number by ascending hash.
func refsAt(r pebble.Reader, n uint64) (refs []chain.Ref, err error) {
	o := &pebble.IterOptions{LowerBound: numbered(keyBlock, n), UpperBound: numbered(keyBlock, n+1)}
	if n == math.MaxUint64 {
		o.UpperBound = []byte{keyBlock + 1}
	}
	it, err := r.NewIter(o)
	if err != nil {
		return nil, ioError("read", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if k := it.Key(); len(k) == 42 && k[41] == partHeader {
			refs = append(refs, chain.Ref{Number: n, Hash: chain.Hash(k[9:41])})
		}
	}
	if err := it.Error(); err != nil {
		it.Close()
		return nil, ioError("read", err)
	}
	return refs, ioError("read", it.Close())
}

// placeOf says in which canonical block a transaction is, and where in it.
func placeOf(r pebble.Reader, hash chain.Hash) (at chain.Ref, index int, err error) {
	raw, err := get(r, []byte(hashed(keyTx, hash)))
	if err != nil {
		return at, 0, err
	}
	if raw == nil {
		return at, 0, fmt.Errorf("ledger: transaction %v: %w", hash, chain.ErrNotFound)
	}
	p, err := decodePlace(raw)
	if err != nil {
		return at, 0, corrupt("transaction %v: %v", hash, err)
	}
	at, _, err = resolve(r, chain.Ref{Number: p.number}, imported)
	if errors.Is(err, chain.ErrNotFound) {
		err = corrupt("transaction %v is in block %d: %v", hash, p.number, err)
	}
	if err == nil && int64(p.index) > math.MaxInt32 {
		err = corrupt("transaction %v is at %d in block %v", hash, p.index, at)
	}
	return at, int(p.index), err
}

// Tx implements chain.TxReader.
func (l *Ledger) Tx(ctx context.Context, hash chain.Hash) (chain.Tx, error) {
	tx, _, err := l.FindTx(ctx, hash)
	return tx, err
}

// FindTx implements chain.TxFinder.
func (l *Ledger) FindTx(ctx context.Context, hash chain.Hash) (tx chain.Tx, read int, err error) {
	err = l.view(ctx, func(db *pebble.DB) (err error) {
		snap := db.NewSnapshot()
		defer snap.Close()
		at, index, err := placeOf(snap, hash)
		if err != nil {
			return err
		}
		b, err := readBlock(snap, l.family, at)
		if err != nil {
			return err
		}
		read = b.Size()
		txs, err := l.family.Txs(b)
		if err != nil {
			return corrupt("transactions of block %v: %v", at, err)
		}
		if index >= len(txs) || txs[index].Hash != hash {
			return corrupt("transaction %v is not at %d in block %v", hash, index, at)
		}
		tx = txs[index]
		tx.Bytes = append([]byte(nil), tx.Bytes...) // not the whole body
		return nil
	})
	return tx, read, err
}

// State gives the value under key of the state after the head, with that head.
// Nil: there is none.
func (l *Ledger) State(ctx context.Context, key []byte) (v []byte, at chain.Ref, err error) {
	err = l.view(ctx, func(db *pebble.DB) (err error) {
		snap := db.NewSnapshot()
		defer snap.Close()
		raw, err := get(snap, []byte(metaKey(metaHead)))
		if err != nil {
			return err
		}
		if at, err = decodeRef(raw); err != nil {
			return corrupt("head: %v", err)
		}
		v, err = get(snap, []byte(stateKey(key)))
		return err
	})
	return v, at, err
}
