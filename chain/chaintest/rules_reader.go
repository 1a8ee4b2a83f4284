package chaintest

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/starlingp2p/starling/chain"
)

func readerRules() []Rule {
	return []Rule{
		{Name: "status-of-a-fresh-chain", Says: "Status tells the network, the genesis and a head that is stored.", Check: freshStatus},
		{Name: "status-follows-import", Says: "Status tells the head, and its weight, after an Import.", Check: statusFollows},
		{Name: "block-by-hash", Says: "A hash finds its block, with all its parts, whatever number stands beside it.", Check: blockByHash},
		{Name: "block-by-number", Says: "A zero hash means the canonical block of that number.", Check: blockByNumber},
		{Name: "header-is-the-blocks", Says: "Header gives the header of the block that Block gives.", Check: headerIsBlocks},
		{Name: "not-found", Says: "What is not there is ErrNotFound, up to the highest number.", Check: notFound},
		{Name: "values-may-be-kept", Says: "A block that was given out never changes.", Check: valuesKept},
		{Name: "context-ends-reads", Says: "A read may end early with its context, and then says so.", Check: contextEnds},
		{Name: "reads-while-importing", Says: "Every read is safe while an Import is under way, and sees one chain.", Check: readsWhileImporting},
	}
}

func freshStatus(e *Env) error {
	s := e.Chain.Status()
	switch {
	case s.Network == "":
		return errors.New("Status().Network is empty")
	case s.Genesis.IsZero():
		return errors.New("Status().Genesis is zero")
	case s.Head.Hash.IsZero():
		return errors.New("Status().Head has no hash")
	case s.Earliest > s.Head.Number:
		return fmt.Errorf("Status().Earliest = %d is above the head %d", s.Earliest, s.Head.Number)
	case s.Finalized.Number > s.Head.Number:
		return fmt.Errorf("Status().Finalized = %s is above the head %d", s.Finalized, s.Head.Number)
	}
	for _, ref := range []chain.Ref{s.Head, {Number: s.Head.Number}} {
		h, err := e.Chain.Header(e.ctx, ref)
		if err != nil {
			return fmt.Errorf("Header(%s), the head: %w", ref, err)
		}
		if h.Ref != s.Head {
			return fmt.Errorf("Header(%s) = %s, want the head %s", ref, h.Ref, s.Head)
		}
	}
	return nil
}

func statusFollows(e *Env) error {
	before := e.Chain.Status()
	blocks, err := e.grow(3)
	if err != nil {
		return err
	}
	s := e.Chain.Status()
	switch {
	case s.Head != blocks[3].Ref():
		return fmt.Errorf("head after Import = %s, want %s", s.Head, blocks[3].Ref())
	case s.Weight.Compare(before.Weight) <= 0:
		return fmt.Errorf("weight after 3 blocks = %s, was %s", s.Weight.Big(), before.Weight.Big())
	case s.Genesis != before.Genesis || s.Network != before.Network:
		return errors.New("genesis or network changed with an Import")
	}
	return nil
}

func blockByHash(e *Env) error {
	blocks, err := e.grow(4)
	if err != nil {
		return err
	}
	for _, want := range blocks {
		for _, number := range []uint64{want.Ref().Number, 0, want.Ref().Number + 1, math.MaxUint64} {
			got, err := e.Chain.Block(e.ctx, chain.Ref{Number: number, Hash: want.Ref().Hash})
			if err != nil {
				return fmt.Errorf("Block by the hash of %s with number %d: %w", want.Ref(), number, err)
			}
			if err := sameBlock(got, want); err != nil {
				return fmt.Errorf("Block by hash with number %d: %w", number, err)
			}
		}
	}
	return nil
}

func blockByNumber(e *Env) error {
	blocks, err := e.grow(4)
	if err != nil {
		return err
	}
	for _, want := range blocks {
		got, err := e.Chain.Block(e.ctx, chain.Ref{Number: want.Ref().Number})
		if err != nil {
			return fmt.Errorf("Block(%d): %w", want.Ref().Number, err)
		}
		if err := sameBlock(got, want); err != nil {
			return fmt.Errorf("Block(%d): %w", want.Ref().Number, err)
		}
	}
	return nil
}

func headerIsBlocks(e *Env) error {
	blocks, err := e.grow(2)
	if err != nil {
		return err
	}
	for _, want := range blocks {
		for _, ref := range []chain.Ref{want.Ref(), {Number: want.Ref().Number}} {
			got, err := e.Chain.Header(e.ctx, ref)
			if err != nil {
				return fmt.Errorf("Header(%s): %w", ref, err)
			}
			if err := sameHeader(got, want.Header); err != nil {
				return fmt.Errorf("Header(%s): %w", ref, err)
			}
		}
	}
	return nil
}

// absent gives refs that no chain of the given head holds.
func absent(head chain.Ref) []chain.Ref {
	return []chain.Ref{
		{Number: head.Number + 1},
		{Number: 1 << 32},
		{Number: math.MaxInt64 + 1},
		{Number: math.MaxUint64},
		{Hash: chain.Hash{1}},
		{Number: head.Number, Hash: chain.Hash{1}},
		{Number: math.MaxUint64, Hash: chain.Hash{0xff}},
	}
}

func notFound(e *Env) error {
	if _, err := e.grow(3); err != nil {
		return err
	}
	for _, ref := range absent(e.Chain.Status().Head) {
		if _, err := e.Chain.Header(e.ctx, ref); !errors.Is(err, chain.ErrNotFound) {
			return fmt.Errorf("Header(%d, %s) = %v, want ErrNotFound", ref.Number, ref.Hash, err)
		}
		if _, err := e.Chain.Block(e.ctx, ref); !errors.Is(err, chain.ErrNotFound) {
			return fmt.Errorf("Block(%d, %s) = %v, want ErrNotFound", ref.Number, ref.Hash, err)
		}
	}
	return nil
}

func valuesKept(e *Env) error {
	blocks, err := e.grow(3)
	if err != nil {
		return err
	}
	kept, err := e.Chain.Blocks(e.ctx, chain.Range{From: blocks[1].Ref(), Count: 3})
	if err != nil {
		return fmt.Errorf("Blocks: %w", err)
	}
	one, err := e.Chain.Block(e.ctx, blocks[2].Ref())
	if err != nil {
		return fmt.Errorf("Block: %w", err)
	}
	kept = append(kept, one)
	copies := make([]chain.Block, len(kept))
	for i, b := range kept {
		copies[i] = copyBlock(b)
	}
	if _, err := e.grow(3); err != nil {
		return err
	}
	for _, from := range blocks {
		if _, err := e.Chain.Blocks(e.ctx, chain.Range{From: from.Ref(), Count: 7}); err != nil {
			return fmt.Errorf("Blocks: %w", err)
		}
	}
	for i := range kept {
		if err := sameBlock(kept[i], copies[i]); err != nil {
			return fmt.Errorf("a block changed after it was given out: %w", err)
		}
	}
	return nil
}

func contextEnds(e *Env) error {
	blocks, err := e.grow(2)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	r := chain.Range{From: blocks[0].Ref(), Count: 3}
	for name, read := range map[string]func() error{
		"Header":  func() error { _, err := e.Chain.Header(ctx, blocks[1].Ref()); return err },
		"Block":   func() error { _, err := e.Chain.Block(ctx, blocks[1].Ref()); return err },
		"Headers": func() error { _, err := e.Chain.Headers(ctx, r); return err },
		"Blocks":  func() error { _, err := e.Chain.Blocks(ctx, r); return err },
		"Staged":  func() error { _, err := e.Chain.Staged(ctx); return err },
	} {
		if err := read(); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%s with an ended context = %v, want nil or context.Canceled", name, err)
		}
	}
	return nil
}

func readsWhileImporting(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	blocks := e.build(g.Header, 48, 0)
	at := map[chain.Hash]uint64{g.Ref().Hash: 0}
	for i, b := range blocks {
		at[b.Ref().Hash] = uint64(i + 1)
	}
	const readers = 4
	stop, results := make(chan struct{}), make(chan error, readers)
	for range readers {
		go func() { results <- e.watch(at, stop) }()
	}
	var failed error
	for i := 0; i < len(blocks) && failed == nil; i += 4 {
		failed = e.take(blocks[i : i+4])
	}
	close(stop)
	for range readers {
		if err := <-results; err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// watch reads until stop is closed, and once more after that. at gives the
// height of each block that may be the head.
func (e *Env) watch(at map[chain.Hash]uint64, stop <-chan struct{}) error {
	var last uint64
	for ended := false; ; {
		s := e.Chain.Status()
		height, ok := at[s.Head.Hash]
		if !ok || height < last {
			return fmt.Errorf("Status().Head = %s during an Import, which was at height %d", s.Head, last)
		}
		last = height
		h, err := e.Chain.Header(e.ctx, s.Head)
		if err != nil {
			return fmt.Errorf("Header(Status().Head) during an Import: %w", err)
		}
		hs, err := e.Chain.Headers(e.ctx, chain.Range{From: h.Ref, Count: 8, Reverse: true})
		if err != nil {
			return fmt.Errorf("Headers back from the head during an Import: %w", err)
		}
		for i := 1; i < len(hs); i++ {
			if hs[i-1].Parent != hs[i].Ref.Hash {
				return fmt.Errorf("header %s does not link to %s, read during an Import", hs[i-1].Ref, hs[i].Ref)
			}
		}
		if ended {
			return nil
		}
		select {
		case <-stop:
			ended = true
		default:
		}
	}
}
