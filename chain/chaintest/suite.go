package chaintest

import (
	"context"
	"fmt"
	"testing"

	"github.com/starlingp2p/starling/chain"
)

// Factory makes the chains under test and blocks for them. New and Child must
// be set; what is left out narrows what is checked, as each field says.
type Factory struct {
	// New makes a chain that holds its genesis and nothing else. Chains of one
	// Factory belong to one network: they take each other's blocks. It ends the
	// test if it cannot, and closes what it opened with t.Cleanup.
	New func(t testing.TB) chain.Chain
	// Child makes a valid child of parent, which need not be imported anywhere.
	// Equal arguments give equal blocks, another branch gives a sibling. The
	// suite calls it from one goroutine at a time.
	Child func(t testing.TB, parent chain.Header, branch uint64) chain.Block
	// Forge gives forms of the valid block b, by name, that Check and
	// VerifyHeaders must both refuse: signed by somebody else, breaking a rule
	// of the header. Each links to b's parent. nil: only what the suite can
	// falsify by itself is checked.
	Forge func(t testing.TB, b chain.Block) map[string]chain.Block
	// Reopen gives c as it is found after a crash, and c is not used again.
	// nil: the chain is not durable, and the rules of durability are left out.
	Reopen func(t testing.TB, c chain.Chain) chain.Chain
	// Linear says that two valid blocks never have the same parent; the rules
	// about branches are left out. Otherwise a branch of more blocks must
	// outweigh one of fewer, if they are at most 4 apart from a common parent.
	Linear bool
	// MaxReorg is how many blocks may be undone, at most 128; 0: no bound, and
	// the rule about it is left out.
	MaxReorg int
	// FreeExtra says that Extra cannot be checked against the header.
	FreeExtra bool
	// Once says that Check accepts a block once, and ignores it from then on.
	Once bool
	// Txs gives the transactions of a block, for chains that are a
	// chain.TxReader. nil: its rules are left out.
	Txs func(b chain.Block) []chain.Tx
	// Pool makes a pool, and n valid transactions that fit into it. nil: the
	// rules of chain.TxPool are left out.
	Pool func(t testing.TB, n int) (chain.TxPool, []chain.Tx)
}

// Rule is a sentence of the contracts and how it is checked.
type Rule struct {
	Name   string
	Says   string             // the sentence, in short
	Check  func(e *Env) error // nil if the rule holds
	Needs  func(Factory) bool // nil: every chain
	Absent string             // why a chain may be without, where Needs says no
}

// Rules lists every rule, in the order in which they are checked. The caller
// owns the slice.
func Rules() []Rule {
	var all []Rule
	for _, part := range [][]Rule{
		readerRules(), rangeRules(), checkerRules(), importerRules(),
		stageRules(), branchRules(), txRules(), poolRules(),
	} {
		all = append(all, part...)
	}
	return all
}

// Run checks every rule that applies to the chains of f, each on chains of its
// own, as a subtest by the rule's name.
func Run(t *testing.T, f Factory) {
	t.Helper()
	if f.New == nil || f.Child == nil {
		t.Fatal("chaintest: a Factory needs New and Child")
	}
	for _, r := range Rules() {
		if r.Needs != nil && !r.Needs(f) {
			t.Logf("%s: left out: %s", r.Name, r.Absent)
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			if err := r.Check(NewEnv(t, f)); err != nil {
				t.Errorf("%s\nrule: %s", err, r.Says)
			}
		})
	}
}

// Env is what a rule is checked in: a fresh chain and the means to feed it.
type Env struct {
	Chain chain.Chain
	t     testing.TB
	f     Factory
	ctx   context.Context
}

// NewEnv makes the Env of one rule.
func NewEnv(t testing.TB, f Factory) *Env {
	return &Env{Chain: f.New(t), t: t, f: f, ctx: t.Context()}
}

// genesis gives the head of the fresh chain, whole.
func (e *Env) genesis() (chain.Block, error) {
	b, err := e.Chain.Block(e.ctx, e.Chain.Status().Head)
	if err != nil {
		return b, fmt.Errorf("Block(Status().Head) of a fresh chain: %w", err)
	}
	return b, nil
}

// build makes n blocks on parent and imports none.
func (e *Env) build(parent chain.Header, n int, branch uint64) []chain.Block {
	blocks := make([]chain.Block, 0, n)
	for range n {
		b := e.f.Child(e.t, parent, branch)
		blocks = append(blocks, b)
		parent = b.Header
	}
	return blocks
}

// grow builds n blocks on the head, imports them and gives them with the old
// head in front, so that out[i] is i blocks above it.
func (e *Env) grow(n int) ([]chain.Block, error) {
	head, err := e.Chain.Block(e.ctx, e.Chain.Status().Head)
	if err != nil {
		return nil, fmt.Errorf("Block(Status().Head): %w", err)
	}
	blocks := e.build(head.Header, n, 0)
	if err := e.take(blocks); err != nil {
		return nil, err
	}
	return append([]chain.Block{head}, blocks...), nil
}

// take imports blocks, all of which must go in.
func (e *Env) take(blocks []chain.Block) error {
	n, err := e.Chain.Import(e.ctx, blocks)
	if err != nil || n != len(blocks) {
		return fmt.Errorf("Import of %d valid blocks from %s = %d, %v; want all and nil", len(blocks), blocks[0].Ref(), n, err)
	}
	return nil
}

// first gives the error of the first step that has one.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
