package chaintest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
)

func branches(f Factory) bool { return !f.Linear }

func branchRules() []Rule {
	const linear = "this chain has no branches"
	rules := []Rule{
		{Name: "branch-is-kept", Says: "A branch that does not win is imported and found by hash, and changes no number.", Check: branchKept},
		{Name: "branch-wins", Says: "A heavier branch becomes canonical as a whole; what it undoes is still found by hash.", Check: branchWins},
		{Name: "branch-range", Says: "A range from a hash on a branch gives that branch.", Check: branchRange},
		{Name: "branch-ends-in-one-chain", Says: "After any order of imports every canonical block links to the one below.", Check: branchLinks},
	}
	for i := range rules {
		rules[i].Needs, rules[i].Absent = branches, linear
	}
	return append(rules,
		Rule{
			Name: "branch-survives-a-crash", Says: "A branch that won is canonical after a crash.", Check: branchDurable,
			Needs:  func(f Factory) bool { return branches(f) && needsReopen(f) },
			Absent: "this chain has no branches, or does not outlive its process",
		},
		Rule{
			Name: "branch-too-deep", Says: "A branch that would undo too much is ErrReorgTooDeep, and the head stays.", Check: branchTooDeep,
			Needs:  func(f Factory) bool { return branches(f) && f.MaxReorg > 0 },
			Absent: "this chain has no branches, or undoes any number of blocks",
		})
}

// fork grows main by n blocks, and gives m blocks of another branch that
// starts on main[at]; main[0] is the old head.
func (e *Env) fork(n, at, m int) (main, side []chain.Block, err error) {
	main, err = e.grow(n)
	if err != nil {
		return nil, nil, err
	}
	return main, e.build(main[at].Header, m, 1), nil
}

func branchKept(e *Env) error {
	main, side, err := e.fork(5, 1, 2)
	if err != nil {
		return err
	}
	before := e.Chain.Status()
	if err := e.take(side); err != nil {
		return err
	}
	if now := e.Chain.Status(); now != before {
		return fmt.Errorf("Status after a branch of less weight = %+v, was %+v", now, before)
	}
	if err := e.same(chain.Range{From: number(main[0]), Count: 9}, main); err != nil {
		return err
	}
	for _, want := range side {
		got, err := e.Chain.Block(e.ctx, want.Ref())
		if err != nil {
			return fmt.Errorf("Block on a branch: %w", err)
		}
		if err := sameBlock(got, want); err != nil {
			return fmt.Errorf("Block on a branch: %w", err)
		}
	}
	return nil
}

func branchWins(e *Env) error {
	main, side, err := e.fork(4, 2, 4)
	if err != nil {
		return err
	}
	before := e.Chain.Status()
	if err := e.take(side); err != nil {
		return err
	}
	if err := e.headIs(side[3]); err != nil {
		return err
	}
	if now := e.Chain.Status(); now.Weight.Compare(before.Weight) <= 0 {
		return fmt.Errorf("weight after the heavier branch = %s, was %s", now.Weight.Big(), before.Weight.Big())
	}
	if err := e.same(chain.Range{From: number(main[0]), Count: 9}, append(slices.Clone(main[:3]), side...)); err != nil {
		return err
	}
	for _, undone := range main[3:] {
		if _, err := e.Chain.Block(e.ctx, undone.Ref()); err != nil {
			return fmt.Errorf("Block by hash of one that was undone: %w", err)
		}
	}
	return nil
}

func branchRange(e *Env) error {
	main, side, err := e.fork(6, 2, 3)
	if err != nil {
		return err
	}
	if err := e.take(side); err != nil {
		return err
	}
	return first(
		func() error { return e.same(chain.Range{From: side[0].Ref(), Count: 9}, side) },
		func() error { return e.same(chain.Range{From: side[1].Ref(), Count: 1}, side[1:2]) },
		func() error {
			want := []chain.Block{side[2], side[1], side[0], main[2], main[1], main[0]}
			return e.same(chain.Range{From: side[2].Ref(), Count: 6, Reverse: true}, want)
		},
		func() error {
			want := []chain.Block{side[1], main[2], main[0]}
			return e.same(chain.Range{From: side[1].Ref(), Count: 3, Skip: 1, Reverse: true}, want)
		},
		func() error { return e.same(chain.Range{From: main[2].Ref(), Count: 9}, main[2:]) },
	)
}

func branchLinks(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	a := e.build(g.Header, 6, 0)
	b := e.build(a[0].Header, 6, 1)
	c := e.build(b[1].Header, 6, 2)
	for _, part := range [][]chain.Block{a[:2], b[:2], b[2:3], c[:1], a[2:5], c[1:4], b[3:], c[4:], a[5:]} {
		if err := e.take(part); err != nil {
			return err
		}
		s := e.Chain.Status()
		hs, err := e.Chain.Headers(e.ctx, chain.Range{From: chain.Ref{Number: g.Ref().Number}, Count: 100})
		if err != nil {
			return fmt.Errorf("Headers: %w", err)
		}
		for i := 1; i < len(hs); i++ {
			if hs[i].Parent != hs[i-1].Ref.Hash {
				return fmt.Errorf("canonical header %s does not link to %s", hs[i].Ref, hs[i-1].Ref)
			}
		}
		if got := hs[len(hs)-1].Ref; got != s.Head {
			return fmt.Errorf("the last canonical header is %s, the head %s", got, s.Head)
		}
	}
	return e.headIs(c[5])
}

func branchDurable(e *Env) error {
	main, side, err := e.fork(4, 2, 4)
	if err != nil {
		return err
	}
	if err := e.take(side); err != nil {
		return err
	}
	e.Chain = e.f.Reopen(e.t, e.Chain)
	if err := e.headIs(side[3]); err != nil {
		return fmt.Errorf("after a crash: %w", err)
	}
	return e.same(chain.Range{From: number(main[0]), Count: 9}, append(slices.Clone(main[:3]), side...))
}

func branchTooDeep(e *Env) error {
	depth := e.f.MaxReorg
	if depth > 128 {
		return fmt.Errorf("Factory.MaxReorg = %d, at most 128", depth)
	}
	main, side, err := e.fork(depth+3, 1, depth+4)
	if err != nil {
		return err
	}
	head := main[len(main)-1]
	n, err := e.Chain.Import(e.ctx, side)
	if !errors.Is(err, chain.ErrReorgTooDeep) || n >= len(side) {
		return fmt.Errorf("Import of a branch that undoes %d blocks of at most %d = %d, %v; want ErrReorgTooDeep", depth+2, depth, n, err)
	}
	if err := e.headIs(head); err != nil {
		return err
	}
	near := e.build(main[len(main)-2].Header, 2, 2)
	if err := e.take(near); err != nil {
		return fmt.Errorf("after a branch was refused: %w", err)
	}
	return e.headIs(near[1])
}
