package chaintest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
)

func stageRules() []Rule {
	return []Rule{
		{Name: "staged-by-hash", Says: "Header and Block find staged blocks by hash.", Check: stagedByHash},
		{Name: "staged-not-by-number", Says: "A staged block is not canonical: no number finds it and the head stays.", Check: stagedNotByNumber},
		{Name: "staged-in-order", Says: "Staged lists by ascending number, each once, however they came.", Check: stagedInOrder},
		{Name: "import-unstages", Says: "Import of a staged block removes it from the stage, and only it.", Check: importUnstages},
		{
			Name: "stage-survives-a-crash", Says: "Stage keeps blocks durably.", Check: stageDurable,
			Needs: needsReopen, Absent: "this chain does not outlive its process",
		},
	}
}

// stageFrom builds n blocks and stages them from the given index on.
func (e *Env) stageFrom(n, from int) (genesis chain.Block, blocks []chain.Block, err error) {
	genesis, err = e.genesis()
	if err != nil {
		return genesis, nil, err
	}
	blocks = e.build(genesis.Header, n, 0)
	if err := e.Chain.Stage(e.ctx, blocks[from:]); err != nil {
		return genesis, nil, fmt.Errorf("Stage: %w", err)
	}
	return genesis, blocks, nil
}

// stagedAre checks the whole stage.
func (e *Env) stagedAre(want []chain.Block) error {
	got, err := e.Chain.Staged(e.ctx)
	if err != nil {
		return fmt.Errorf("Staged: %w", err)
	}
	if !slices.Equal(got, refs(want)) {
		return fmt.Errorf("Staged = %v, want %v", got, refs(want))
	}
	return nil
}

func stagedByHash(e *Env) error {
	_, b, err := e.stageFrom(6, 3)
	if err != nil {
		return err
	}
	for _, want := range b[3:] {
		got, err := e.Chain.Block(e.ctx, want.Ref())
		if err != nil {
			return fmt.Errorf("Block by hash of a staged block: %w", err)
		}
		if err := sameBlock(got, want); err != nil {
			return fmt.Errorf("staged block: %w", err)
		}
		h, err := e.Chain.Header(e.ctx, want.Ref())
		if err != nil {
			return fmt.Errorf("Header by hash of a staged block: %w", err)
		}
		if err := sameHeader(h, want.Header); err != nil {
			return fmt.Errorf("staged header: %w", err)
		}
	}
	return nil
}

func stagedNotByNumber(e *Env) error {
	g, b, err := e.stageFrom(6, 0) // the parent of the first is imported, and still it is only staged
	if err != nil {
		return err
	}
	for _, s := range b {
		if _, err := e.Chain.Block(e.ctx, number(s)); !errors.Is(err, chain.ErrNotFound) {
			return fmt.Errorf("Block(%d) of a staged block = %v, want ErrNotFound", s.Ref().Number, err)
		}
	}
	return first(
		func() error { return e.headIs(g) },
		func() error { return e.same(chain.Range{From: number(g), Count: 9}, []chain.Block{g}) },
	)
}

func stagedInOrder(e *Env) error {
	_, b, err := e.stageFrom(8, 6)
	if err != nil {
		return err
	}
	for _, part := range [][]chain.Block{{b[5], b[4]}, {b[6]}, {b[2], b[3]}, nil} {
		if err := e.Chain.Stage(e.ctx, part); err != nil {
			return fmt.Errorf("Stage: %w", err)
		}
	}
	return e.stagedAre(b[2:])
}

func importUnstages(e *Env) error {
	_, b, err := e.stageFrom(6, 2)
	if err != nil {
		return err
	}
	return first(
		func() error { return e.take(b[:2]) },
		func() error { return e.stagedAre(b[2:]) },
		func() error { return e.take(b[2:4]) },
		func() error { return e.stagedAre(b[4:]) },
		func() error { return e.headIs(b[3]) },
		func() error { return e.take(b[4:]) },
		func() error { return e.stagedAre(nil) },
	)
}

func stageDurable(e *Env) error {
	_, b, err := e.stageFrom(6, 3)
	if err != nil {
		return err
	}
	if err := e.take(b[:1]); err != nil {
		return err
	}
	e.Chain = e.f.Reopen(e.t, e.Chain)
	if err := e.stagedAre(b[3:]); err != nil {
		return fmt.Errorf("after a crash: %w", err)
	}
	got, err := e.Chain.Block(e.ctx, b[4].Ref())
	if err != nil {
		return fmt.Errorf("Block of a staged block after a crash: %w", err)
	}
	if err := sameBlock(got, b[4]); err != nil {
		return fmt.Errorf("staged block after a crash: %w", err)
	}
	return first(
		func() error { return e.take(b[1:]) },
		func() error { return e.headIs(b[5]) },
		func() error { return e.stagedAre(nil) },
	)
}
