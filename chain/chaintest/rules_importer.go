package chaintest

import (
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/chain"
)

func needsReopen(f Factory) bool { return f.Reopen != nil }

func importerRules() []Rule {
	const notDurable = "this chain does not outlive its process"
	return []Rule{
		{Name: "import-in-order", Says: "Import takes blocks in order and gives how many it took.", Check: importInOrder},
		{Name: "import-nothing", Says: "Import of no blocks is 0 and nil.", Check: importNothing},
		{Name: "import-again", Says: "A block that is imported already counts and changes nothing.", Check: importAgain},
		{Name: "import-overlap", Says: "Known and new blocks in one call are all taken.", Check: importOverlap},
		{Name: "import-unknown-parent", Says: "A first block without its parent is ErrUnknownParent, and nothing is taken.", Check: importOrphan},
		{Name: "import-stops-at-gap", Says: "The first n stay when block n does not follow; the error is about block n.", Check: importGap},
		{Name: "import-survives-a-crash", Says: "The first n are durable when Import returns.", Check: importDurable, Needs: needsReopen, Absent: notDurable},
		{Name: "import-goes-on-after-a-crash", Says: "A chain that was reopened goes on from its head.", Check: importResumes, Needs: needsReopen, Absent: notDurable},
	}
}

// headIs checks the head, and that it is the canonical block of its number.
func (e *Env) headIs(want chain.Block) error {
	if got := e.Chain.Status().Head; got != want.Ref() {
		return fmt.Errorf("head = %s, want %s", got, want.Ref())
	}
	got, err := e.Chain.Block(e.ctx, number(want))
	if err != nil {
		return fmt.Errorf("Block(%d), the head: %w", want.Ref().Number, err)
	}
	if err := sameBlock(got, want); err != nil {
		return fmt.Errorf("Block(%d), the head: %w", want.Ref().Number, err)
	}
	return nil
}

// missing checks that neither the hash nor the number of b is found.
func (e *Env) missing(b chain.Block) error {
	for _, ref := range []chain.Ref{b.Ref(), number(b)} {
		if _, err := e.Chain.Header(e.ctx, ref); !errors.Is(err, chain.ErrNotFound) {
			return fmt.Errorf("Header(%s) of a block that was not imported = %v, want ErrNotFound", ref, err)
		}
	}
	return nil
}

func importInOrder(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	b := e.build(g.Header, 10, 0)
	return first(
		func() error { return e.take(b[:1]) },
		func() error { return e.headIs(b[0]) },
		func() error { return e.missing(b[1]) },
		func() error { return e.take(b[1:]) },
		func() error { return e.headIs(b[9]) },
		func() error { return e.same(chain.Range{From: b[0].Ref(), Count: 10}, b) },
	)
}

func importNothing(e *Env) error {
	before := e.Chain.Status()
	if n, err := e.Chain.Import(e.ctx, nil); n != 0 || err != nil {
		return fmt.Errorf("Import of nothing = %d, %v; want 0, nil", n, err)
	}
	if e.Chain.Status() != before {
		return errors.New("Import of nothing changed Status")
	}
	return nil
}

func importAgain(e *Env) error {
	b, err := e.grow(4)
	if err != nil {
		return err
	}
	before := e.Chain.Status()
	if err := e.take(b[1:]); err != nil {
		return fmt.Errorf("again: %w", err)
	}
	if err := e.take(b[2:3]); err != nil {
		return fmt.Errorf("one again: %w", err)
	}
	if now := e.Chain.Status(); now != before {
		return fmt.Errorf("Status after importing the same again = %+v, was %+v", now, before)
	}
	return e.same(chain.Range{From: number(b[0]), Count: 9}, b)
}

func importOverlap(e *Env) error {
	b, err := e.grow(3)
	if err != nil {
		return err
	}
	more := e.build(b[3].Header, 2, 0)
	if err := e.take(append(b[2:4:4], more...)); err != nil {
		return err
	}
	return e.headIs(more[1])
}

func importOrphan(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	b := e.build(g.Header, 3, 0)
	n, err := e.Chain.Import(e.ctx, b[1:])
	if n != 0 || !errors.Is(err, chain.ErrUnknownParent) {
		return fmt.Errorf("Import without the parent = %d, %v; want 0, ErrUnknownParent", n, err)
	}
	return first(
		func() error { return e.headIs(g) },
		func() error { return e.missing(b[1]) },
		func() error { return e.take(b) },
	)
}

func importGap(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	b := e.build(g.Header, 5, 0)
	n, err := e.Chain.Import(e.ctx, []chain.Block{b[0], b[1], b[3], b[4]})
	if n != 2 || !(errors.Is(err, chain.ErrUnknownParent) || errors.Is(err, chain.ErrInvalid)) {
		return fmt.Errorf("Import of 1, 2, 4, 5 = %d, %v; want 2 and ErrUnknownParent", n, err)
	}
	return first(
		func() error { return e.headIs(b[1]) },
		func() error { return e.missing(b[3]) },
	)
}

func importDurable(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	b := e.build(g.Header, 8, 0)
	if err := e.take(b[:3]); err != nil {
		return err
	}
	if n, err := e.Chain.Import(e.ctx, []chain.Block{b[3], b[4], b[6]}); n != 2 || err == nil {
		return fmt.Errorf("Import of 4, 5, 7 = %d, %v; want 2 and an error", n, err)
	}
	before := e.Chain.Status()
	e.Chain = e.f.Reopen(e.t, e.Chain)
	if now := e.Chain.Status(); now != before {
		return fmt.Errorf("Status after a crash = %+v, was %+v", now, before)
	}
	return e.same(chain.Range{From: number(g), Count: 9}, append([]chain.Block{g}, b[:5]...))
}

func importResumes(e *Env) error {
	b, err := e.grow(3)
	if err != nil {
		return err
	}
	e.Chain = e.f.Reopen(e.t, e.Chain)
	more := e.build(b[3].Header, 3, 0)
	if err := e.take(append(b[3:4:4], more...)); err != nil {
		return err
	}
	return e.headIs(more[2])
}
