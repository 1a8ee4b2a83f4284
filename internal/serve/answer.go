package serve

import (
	"context"
	"errors"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// answer asks the chain, the pool or the application; the chain at its pace. r
// is bounded.
func (s *Server) answer(ctx context.Context, from peer.ID, r wire.Request, pace func(func())) (wire.Response, error) {
	switch r := r.(type) {
	case wire.GetHeaders:
		if r.Range.Count == 0 {
			return wire.Headers{}, nil
		}
		var hs []chain.Header
		var err error
		pace(func() { hs, err = s.cfg.Chain.Headers(ctx, r.Range) })
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
		pace(func() { bs, err = s.cfg.Chain.Blocks(ctx, r.Range) })
		if err != nil {
			return nil, err
		}
		return wire.Blocks{Blocks: fitting(bs, r.Range.Count, s.cfg.AnswerMax, chain.Block.Size)}, nil
	case wire.GetBlocksByHash:
		bs, err := s.blocks(ctx, r.Hashes, pace, chain.Block.Size)
		return wire.Blocks{Blocks: bs}, err
	case wire.GetBodies:
		bs, err := s.blocks(ctx, r.Hashes, pace, chain.Block.Size)
		out := wire.Bodies{Hashes: make([]chain.Hash, len(bs)), Bodies: make([]wire.Body, len(bs))}
		for i, b := range bs {
			out.Hashes[i], out.Bodies[i] = b.Header.Ref.Hash, wire.Body{Body: b.Body, Extra: b.Extra}
		}
		return out, err
	case wire.GetReceipts:
		return s.receipts(ctx, r.Hashes, pace)
	case wire.GetTxs:
		return s.txs(ctx, r.Hashes)
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

// receipts gives the receipts of blocks, which are their Extra on the wires
// where this can be asked for. Blocks that were fetched without are left out.
func (s *Server) receipts(ctx context.Context, hashes []chain.Hash, pace func(func())) (wire.Response, error) {
	bs, err := s.blocks(ctx, hashes, pace, func(b chain.Block) int { return len(b.Extra) })
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

// blocks gives the blocks of hashes that we have and of which something is
// wanted, up to the bound of an answer; size is how many bytes are wanted.
// chain.ErrNotFound if there are none.
func (s *Server) blocks(ctx context.Context, hashes []chain.Hash, pace func(func()), size func(chain.Block) int) ([]chain.Block, error) {
	out := make([]chain.Block, 0, len(hashes))
	sum, full := 0, false
	for rest := hashes; len(rest) > 0 && !full; {
		var err error
		pace(func() {
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
				if want == 0 {
					continue
				}
				if sum += want; sum > s.cfg.AnswerMax && len(out) > 0 {
					full = true
					return
				}
				out = append(out, b)
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

// txs looks in the pool, then in the ledger.
func (s *Server) txs(ctx context.Context, hashes []chain.Hash) (wire.Response, error) {
	if s.cfg.Pool == nil && s.cfg.Txs == nil {
		return nil, wire.ErrUnsupported
	}
	var out []chain.Tx
	sum := 0
	for _, h := range hashes {
		tx, err := s.tx(ctx, h)
		if errors.Is(err, chain.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if sum += len(tx.Bytes); sum > s.cfg.AnswerMax && len(out) > 0 {
			break
		}
		out = append(out, tx)
	}
	if len(out) == 0 && len(hashes) > 0 {
		return nil, chain.ErrNotFound
	}
	return wire.TxList{Txs: out}, nil
}

func (s *Server) tx(ctx context.Context, h chain.Hash) (chain.Tx, error) {
	if s.cfg.Pool != nil {
		if tx, ok := s.cfg.Pool.Get(h); ok {
			return tx, nil
		}
	}
	if s.cfg.Txs == nil {
		return chain.Tx{}, chain.ErrNotFound
	}
	return s.cfg.Txs.Tx(ctx, h)
}
