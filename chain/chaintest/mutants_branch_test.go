package chaintest_test

import (
	"context"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
)

// isCanonical says whether the block of that hash is canonical. What is not
// there is not.
func (m *mutant) isCanonical(hash chain.Hash) bool {
	ctx := context.Background()
	h, err := m.Chain.Header(ctx, chain.Ref{Hash: hash})
	if err != nil {
		return false
	}
	at, err := m.Chain.Header(ctx, chain.Ref{Number: h.Ref.Number})
	return err == nil && at.Ref.Hash == hash
}

func branchMutants() []breaks {
	return []breaks{
		{rule: "branch-is-kept", does: "only canonical blocks are found", mutate: func(m *mutant) {
			m.block = func(ctx context.Context, r chain.Ref) (chain.Block, error) {
				b, err := m.Chain.Block(ctx, r)
				if err == nil && !m.isCanonical(b.Ref().Hash) {
					return chain.Block{}, chain.ErrNotFound
				}
				return b, err
			}
		}},
		{rule: "branch-wins", does: "what was undone is gone", mutate: func(m *mutant) {
			was := map[chain.Hash]bool{}
			m.imports = func(ctx context.Context, blocks []chain.Block) (int, error) {
				for _, b := range m.canonical(0) {
					was[b.Ref().Hash] = true
				}
				return m.Chain.Import(ctx, blocks)
			}
			m.block = func(ctx context.Context, r chain.Ref) (chain.Block, error) {
				if was[r.Hash] && !m.isCanonical(r.Hash) {
					return chain.Block{}, chain.ErrNotFound
				}
				return m.Chain.Block(ctx, r)
			}
		}},
		{rule: "branch-range", does: "a range is always canonical", mutate: func(m *mutant) {
			canonical := func(ctx context.Context, r chain.Range) chain.Range {
				if h, err := m.Chain.Header(ctx, r.From); err == nil && !r.From.Hash.IsZero() {
					r.From = chain.Ref{Number: h.Ref.Number}
				}
				return r
			}
			m.blocks = func(ctx context.Context, r chain.Range) ([]chain.Block, error) {
				return m.Chain.Blocks(ctx, canonical(ctx, r))
			}
			m.headers = func(ctx context.Context, r chain.Range) ([]chain.Header, error) {
				return m.Chain.Headers(ctx, canonical(ctx, r))
			}
		}},
		{rule: "branch-ends-in-one-chain", does: "the index of a number is not undone", mutate: func(m *mutant) {
			const stale = 4
			var kept *chain.Header
			m.headers = func(ctx context.Context, r chain.Range) ([]chain.Header, error) {
				hs, err := m.Chain.Headers(ctx, r)
				for i, h := range hs {
					if h.Ref.Number != stale || !r.From.Hash.IsZero() {
						continue
					}
					if kept == nil {
						kept = &h
					}
					hs[i] = *kept
				}
				return hs, err
			}
		}},
		{rule: "branch-survives-a-crash", does: "the first of two children is canonical again", mutate: func(m *mutant) {
			var first []chain.Block
			taken := map[chain.Hash]bool{}
			m.imports = func(ctx context.Context, blocks []chain.Block) (int, error) {
				for _, b := range blocks {
					if !taken[b.Header.Parent] {
						taken[b.Header.Parent] = true
						first = append(first, b)
					}
				}
				return m.Chain.Import(ctx, blocks)
			}
			m.reopen = func() *chaintest.Chain {
				c := m.rebuilt(nil, true)
				for _, b := range first { // what has no parent among the first is left out
					_, _ = c.Import(context.Background(), []chain.Block{b})
				}
				return c
			}
		}},
		{rule: "branch-too-deep", does: "any depth is undone", mutate: func(m *mutant) {
			deep := config
			deep.MaxReorg = 1000
			if !m.reopened {
				m.Chain = chaintest.NewChain(deep)
			}
		}},
		{rule: "tx-of-imported-block", does: "the bytes are missing", mutate: func(m *mutant) {
			m.tx = func(ctx context.Context, h chain.Hash) (chain.Tx, error) {
				tx, err := m.Chain.Tx(ctx, h)
				tx.Bytes = nil
				return tx, err
			}
		}},
		{rule: "tx-not-found", does: "the error is not ErrNotFound", mutate: func(m *mutant) {
			m.tx = func(ctx context.Context, h chain.Hash) (chain.Tx, error) {
				tx, err := m.Chain.Tx(ctx, h)
				if err != nil {
					err = errPlain
				}
				return tx, err
			}
		}},
		{rule: "tx-follows-the-branch", does: "what was found once stays found", mutate: func(m *mutant) {
			found := map[chain.Hash]chain.Tx{}
			m.tx = func(ctx context.Context, h chain.Hash) (chain.Tx, error) {
				if tx, ok := found[h]; ok {
					return tx, nil
				}
				tx, err := m.Chain.Tx(ctx, h)
				if err == nil {
					found[h] = tx
				}
				return tx, err
			}
		}},
	}
}
