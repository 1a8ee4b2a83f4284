package chaintest_test

import (
	"context"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
)

// take imports one block.
func (m *mutant) take(b chain.Block) error {
	_, err := m.Chain.Import(context.Background(), []chain.Block{b})
	return err
}

// canonical gives every canonical block but the last drop ones.
func (m *mutant) canonical(drop int) []chain.Block {
	blocks, err := m.Chain.Blocks(context.Background(), chain.Range{Count: 1 << 20})
	if err != nil {
		panic(err)
	}
	return blocks[:max(len(blocks)-drop, 0)]
}

// known says how many of the blocks are imported.
func (m *mutant) known(blocks []chain.Block) (n int) {
	staged, err := m.Chain.Staged(context.Background())
	if err != nil {
		panic(err)
	}
	for _, b := range blocks {
		if _, err := m.Chain.Header(context.Background(), b.Ref()); err == nil && !slices.Contains(staged, b.Ref()) {
			n++
		}
	}
	return n
}

// rebuilt is a new chain of these blocks, and of the stage if it is asked for.
func (m *mutant) rebuilt(blocks []chain.Block, stage bool) *chaintest.Chain {
	ctx := context.Background()
	c := chaintest.NewChain(config)
	if _, err := c.Import(ctx, blocks); err != nil {
		panic(err)
	}
	if !stage {
		return c
	}
	refs, err := m.Chain.Staged(ctx)
	if err != nil {
		panic(err)
	}
	for _, r := range refs {
		b, err := m.Chain.Block(ctx, r)
		if err != nil {
			panic(err)
		}
		if err := c.Stage(ctx, []chain.Block{b}); err != nil {
			panic(err)
		}
	}
	return c
}

func importerMutants() []breaks {
	return []breaks{
		{rule: "import-in-order", does: "one block counts as none", mutate: func(m *mutant) {
			m.imports = func(ctx context.Context, blocks []chain.Block) (int, error) {
				n, err := m.Chain.Import(ctx, blocks)
				if len(blocks) == 1 {
					n = 0
				}
				return n, err
			}
		}},
		{rule: "import-nothing", does: "nothing is an error", mutate: func(m *mutant) {
			m.imports = func(ctx context.Context, blocks []chain.Block) (int, error) {
				if len(blocks) == 0 {
					return 0, errPlain
				}
				return m.Chain.Import(ctx, blocks)
			}
		}},
		{rule: "import-again", does: "known blocks are refused", mutate: func(m *mutant) {
			m.imports = func(ctx context.Context, blocks []chain.Block) (int, error) {
				if len(blocks) > 0 && m.known(blocks) == len(blocks) {
					return 0, chain.ErrInvalid
				}
				return m.Chain.Import(ctx, blocks)
			}
		}},
		{rule: "import-overlap", does: "known blocks are not counted", mutate: func(m *mutant) {
			m.imports = func(ctx context.Context, blocks []chain.Block) (int, error) {
				known := m.known(blocks)
				n, err := m.Chain.Import(ctx, blocks)
				if known < len(blocks) {
					n -= known
				}
				return n, err
			}
		}},
		{rule: "import-unknown-parent", does: "the error is not ErrUnknownParent", mutate: func(m *mutant) {
			m.imports = func(ctx context.Context, blocks []chain.Block) (int, error) {
				n, err := m.Chain.Import(ctx, blocks)
				if err != nil {
					err = errPlain
				}
				return n, err
			}
		}},
		{rule: "import-stops-at-gap", does: "all or nothing", mutate: func(m *mutant) {
			m.imports = func(ctx context.Context, blocks []chain.Block) (int, error) {
				if _, err := m.Reopen().Import(ctx, blocks); err != nil {
					return 0, err
				}
				return m.Chain.Import(ctx, blocks)
			}
		}},
		{rule: "import-survives-a-crash", does: "the last block is lost", mutate: func(m *mutant) {
			m.reopen = func() *chaintest.Chain { return m.rebuilt(m.canonical(1), true) }
		}},
		{rule: "import-goes-on-after-a-crash", does: "the chain is read-only", mutate: func(m *mutant) {
			if m.reopened {
				m.FailImport(errPlain)
			}
		}},
		{rule: "staged-by-hash", does: "the body is not to be had", mutate: func(m *mutant) {
			m.block = func(ctx context.Context, r chain.Ref) (chain.Block, error) {
				if staged, err := m.Staged(ctx); err != nil || slices.Contains(staged, r) {
					return chain.Block{}, chain.ErrNotFound
				}
				return m.Chain.Block(ctx, r)
			}
		}},
		{rule: "staged-not-by-number", does: "a number finds a staged block", mutate: func(m *mutant) {
			m.block = func(ctx context.Context, r chain.Ref) (chain.Block, error) {
				staged, err := m.Staged(ctx)
				if err != nil {
					return chain.Block{}, err
				}
				if i := slices.IndexFunc(staged, func(s chain.Ref) bool { return s.Number == r.Number }); r.Hash.IsZero() && i >= 0 {
					r = staged[i]
				}
				return m.Chain.Block(ctx, r)
			}
		}},
		{rule: "staged-in-order", does: "the highest comes first", mutate: func(m *mutant) {
			m.staged = func(ctx context.Context) ([]chain.Ref, error) {
				refs, err := m.Chain.Staged(ctx)
				slices.Reverse(refs)
				return refs, err
			}
		}},
		{rule: "import-unstages", does: "the stage keeps what was imported", mutate: func(m *mutant) {
			var ever []chain.Ref
			m.stage = func(ctx context.Context, blocks []chain.Block) error {
				for _, b := range blocks {
					ever = append(ever, b.Ref())
				}
				return m.Chain.Stage(ctx, blocks)
			}
			m.staged = func(ctx context.Context) ([]chain.Ref, error) {
				if ever == nil {
					return m.Chain.Staged(ctx)
				}
				out := slices.Clone(ever)
				slices.SortFunc(out, func(a, b chain.Ref) int { return int(a.Number) - int(b.Number) })
				return out, nil
			}
		}},
		{rule: "stage-survives-a-crash", does: "the stage is lost", mutate: func(m *mutant) {
			m.reopen = func() *chaintest.Chain { return m.rebuilt(m.canonical(0), false) }
		}},
	}
}
