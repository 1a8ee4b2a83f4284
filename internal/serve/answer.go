package serve

import (
	"context"
	"errors"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// reading is how one answer is read.
type reading struct {
	pace func(read func()) // when a part of it may be read
	idle int               // bytes that were read and are no part of it; they cost too
}

// answer asks the chain, the pool or the application; the chain at its pace. r
// is bounded.
func (s *Server) answer(ctx context.Context, from peer.ID, r wire.Request, rd *reading) (wire.Response, error) {
	switch r := r.(type) {
	case wire.GetHeaders:
		if r.Range.Count == 0 {
			return wire.Headers{}, nil
		}
		var hs []chain.Header
		var err error
		rd.pace(func() { hs, err = s.cfg.Chain.Headers(ctx, r.Range) })
		if err != nil {
			return nil, err
		}
		return wire.Headers{Headers: fitting(hs, r.Range.Count, s.cfg.AnswerMax, func(h chain.Header) int { return len(h.Bytes) })}, nil
	case wire.GetBlocks:
		if r.Range.Count == 0 {
			return wire.Blocks{}, nil
		}
		var bs []chain.Block
		var err error
		rd.pace(func() { bs, err = s.cfg.Chain.Blocks(ctx, r.Range) })
		if err != nil {
			return nil, err
		}
		return wire.Blocks{Blocks: fitting(bs, r.Range.Count, s.cfg.AnswerMax, chain.Block.Size)}, nil
	case wire.GetBlocksByHash:
		bs, err := s.blocks(ctx, r.Hashes, r.MaxBytes, rd, chain.Block.Size)
		return wire.Blocks{Blocks: bs}, err
	case wire.GetBodies:
		return s.bodies(ctx, r, rd)
	case wire.GetReceipts:
		return s.receipts(ctx, r, rd)
	case wire.GetTxs:
		return s.txs(ctx, from, r, rd)
	case wire.GetAddrs:
		if s.cfg.Addrs == nil {
			return nil, wire.ErrUnsupported
		}
		if r.Max == 0 {
			return wire.Addrs{}, nil
		}
		as := s.cfg.Addrs(ctx, r.Max)
		return wire.Addrs{Addrs: as[:min(len(as), r.Max)]}, nil
	case wire.AppRequest:
		if s.cfg.App == nil {
			return nil, wire.ErrUnsupported
		}
		b, err := s.cfg.App(ctx, from, r)
		if err == nil && len(b) > s.cfg.AnswerMax {
			s.cfg.Logger.Warn("an application's answer is over its bound", "bytes", len(b))
			return nil, &wire.Refusal{Code: wire.RefusedInternal}
		}
		return wire.AppResponse{Bytes: b}, err
	}
	return nil, wire.ErrUnsupported
}

// fitting cuts a list at count items and at bytes, but leaves one.
func fitting[T any](items []T, count, bytes int, size func(T) int) []T {
	items = items[:min(len(items), count)]
	sum := 0
	for i, it := range items {
		if sum += size(it); sum > bytes && i > 0 {
			return items[:i]
		}
	}
	return items
}

// bodies gives the bodies of blocks, with what travels beside them.
func (s *Server) bodies(ctx context.Context, r wire.GetBodies, rd *reading) (wire.Response, error) {
	part := func(b chain.Block) wire.Body {
		if s.cfg.ReceiptsApart {
			b.Extra = nil
		}
		return wire.Body{Body: b.Body, Extra: b.Extra}
	}
	bs, err := s.blocks(ctx, r.Hashes, r.MaxBytes, rd, func(b chain.Block) int {
		p := part(b)
		return len(p.Body) + len(p.Extra)
	})
	out := wire.Bodies{Hashes: make([]chain.Hash, len(bs)), Bodies: make([]wire.Body, len(bs))}
	for i, b := range bs {
		out.Hashes[i], out.Bodies[i] = b.Header.Ref.Hash, part(b)
	}
	return out, err
}

// receipts gives the receipts of blocks, which are their Extra on the wires
// where this can be asked for. Blocks that were fetched without are left out.
func (s *Server) receipts(ctx context.Context, r wire.GetReceipts, rd *reading) (wire.Response, error) {
	bs, err := s.blocks(ctx, r.Hashes, r.MaxBytes, rd, func(b chain.Block) int {
		if len(b.Extra) == 0 {
			return unwanted
		}
		return len(b.Extra)
	})
	if err != nil {
		return nil, err
	}
	var out wire.Receipts
	for _, b := range bs {
		out.Hashes, out.Receipts = append(out.Hashes, b.Header.Ref.Hash), append(out.Receipts, b.Extra)
	}
	return out, nil
}

// What is read of an answer in one turn, at most: about a millisecond's work.
const (
	stepItems = 32
	stepBytes = 256 << 10
)

// unwanted is the size of a block of which nothing is wanted.
const unwanted = -1

// blocks gives the blocks of hashes that we have and of which something is
// wanted, up to most bytes; size is how many bytes are wanted. What is read in
// vain counts as if it were. chain.ErrNotFound if there are none.
func (s *Server) blocks(ctx context.Context, hashes []chain.Hash, most int, rd *reading, size func(chain.Block) int) ([]chain.Block, error) {
	out := make([]chain.Block, 0, len(hashes))
	sum, full := 0, false
	for rest := hashes; len(rest) > 0 && !full; {
		var err error
		rd.pace(func() {
			for read, n := 0, 0; len(rest) > 0 && n < stepItems && read < stepBytes; n++ {
				h := rest[0]
				rest = rest[1:]
				if h.IsZero() { // to a chain that means "of that number"
					continue
				}
				var b chain.Block
				if b, err = s.cfg.Chain.Block(ctx, chain.Ref{Hash: h}); errors.Is(err, chain.ErrNotFound) {
					err = nil
					continue
				}
				if err != nil {
					return
				}
				read += b.Size()
				want := size(b)
				if want == unwanted {
					want = b.Size()
					rd.idle += want
				} else if len(out) == 0 || sum+want <= most {
					out = append(out, b)
				} else {
					full = true
					return
				}
				if sum += want; sum >= most {
					full = true
					return
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 && len(hashes) > 0 {
		return nil, chain.ErrNotFound
	}
	return out, nil
}

// txs looks in the pool, then in the ledger, where a block is read for each.
// That is large work whatever was thought of it: it takes turns, and is paid for.
// What the peer may not have yet is not there for it.
func (s *Server) txs(ctx context.Context, from peer.ID, r wire.GetTxs, rd *reading) (wire.Response, error) {
	imported := s.cfg.Txs != nil && !r.Pooled
	if s.cfg.Pool == nil && !imported {
		return nil, wire.ErrUnsupported
	}
	hashes := r.Hashes
	if s.cfg.May != nil {
		hashes = make([]chain.Hash, 0, len(r.Hashes))
		for _, h := range r.Hashes {
			if s.cfg.May(from, h) {
				hashes = append(hashes, h)
			}
		}
	}
	var out []chain.Tx
	sum, full := 0, false
	take := func(tx chain.Tx) {
		if full = len(out) > 0 && sum+len(tx.Bytes) > r.MaxBytes; !full {
			out = append(out, tx)
			sum += len(tx.Bytes)
		}
	}
	for rest := hashes; len(rest) > 0 && !full; {
		if tx, ok := s.pooled(rest[0]); ok || !imported {
			if rest = rest[1:]; ok {
				take(tx)
			}
			continue
		}
		var err error
		s.turns.Do(func() {
			for before, n := rd.idle, 0; len(rest) > 0 && !full && n < stepItems && rd.idle-before < stepBytes; n++ {
				tx, ok := s.pooled(rest[0])
				if !ok {
					if tx, err = s.find(ctx, rest[0], rd); errors.Is(err, chain.ErrNotFound) {
						err = nil
					} else if ok = err == nil; !ok {
						return
					}
				}
				if rest = rest[1:]; ok {
					take(tx)
				}
				full = full || rd.idle >= s.cfg.AnswerMax
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 && len(r.Hashes) > 0 {
		return nil, chain.ErrNotFound
	}
	if s.cfg.Gave != nil && len(out) > 0 {
		s.cfg.Gave(from, out)
	}
	return wire.TxList{Txs: out}, nil
}

func (s *Server) pooled(h chain.Hash) (chain.Tx, bool) {
	if s.cfg.Pool == nil {
		return chain.Tx{}, false
	}
	return s.cfg.Pool.Get(h)
}

// find looks for a transaction in the ledger, and counts what was read for it:
// what a block takes as a rule, where the ledger does not tell.
func (s *Server) find(ctx context.Context, h chain.Hash, rd *reading) (tx chain.Tx, err error) {
	var read int
	if f, ok := s.cfg.Txs.(chain.TxFinder); ok {
		tx, read, err = f.FindTx(ctx, h)
	} else if tx, err = s.cfg.Txs.Tx(ctx, h); err == nil {
		s.mu.Lock()
		read = int(s.each[ofBlocks])
		s.mu.Unlock()
	}
	rd.idle += read
	return tx, err
}
