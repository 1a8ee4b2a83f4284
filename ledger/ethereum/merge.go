package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/starlingp2p/starling/chain"
)

// rememberTotals bounds the total difficulties that are remembered.
const rememberTotals = 1024

// errNeedsTarget: from here on only a block that is trusted makes others true.
var errNeedsTarget = errors.New("the network's Merge is reached: nothing signs its blocks from here on; start again with a target")

// NeedsTarget reports whether headers are authentic only below a target that
// the caller trusts: a network after the Merge must be followed backwards from
// one, never forwards from what peers claim. One of proof of work that knows of a
// Merge is taken to be past it. One of signers is past it once the chain that was
// attached is; until it is attached anew its headers are followed by their seals,
// up to the last that has one.
func (f *Family) NeedsTarget() bool { return f.mayMerge() && (f.clique == nil || f.merged.Load()) }

func (f *Family) mayMerge() bool { return f.c.Chain.TerminalTotalDifficulty != nil }

// reached reports whether a total difficulty is that of the Merge, or more: the
// next block has no difficulty then (EIP-3675).
func (f *Family) reached(total *big.Int) bool {
	return f.mayMerge() && total.Cmp(f.c.Chain.TerminalTotalDifficulty) >= 0
}

// total is the total difficulty up to a header before the Merge, nil where it
// cannot be told: on the way down from a target what is below is not here yet.
func (f *Family) total(ctx context.Context, ch chain.Header, h *types.Header) *big.Int {
	if !f.mayMerge() || afterMerge(h) {
		return nil
	}
	if ch.Ref == f.c.Genesis.Ref() {
		return h.Difficulty
	}
	if t, ok := f.totals.Get(ch.Ref.Hash); ok {
		return t
	}
	if r := f.reader.Load(); r != nil {
		if w, ok := (*r).(chain.Weigher); ok {
			if weight, err := w.Weigh(ctx, ch); err == nil {
				return weight.Big()
			}
		}
	}
	return nil
}

// era checks that a header with or without difficulty is where it may be: one
// without only where its parent's total difficulty, nil if it is not known, has
// reached the Merge's, and one with only where it has not (EIP-3675).
func (f *Family) era(parent *types.Header, total *big.Int, h *types.Header) error {
	past := afterMerge(parent) && parent.Number.Sign() > 0 || total != nil && f.reached(total)
	switch end := f.c.Chain.TerminalTotalDifficulty; {
	case !afterMerge(h) && past:
		return fmt.Errorf("its difficulty is %v, and its parent is past the Merge: want 0", h.Difficulty)
	case !afterMerge(h):
		return nil
	case !f.mayMerge():
		return errors.New("it has no difficulty, and this network has no merge")
	case total != nil && !past:
		return fmt.Errorf("it has no difficulty, and its parent's total is %v, at the Merge it is %v", total, end)
	case !f.NeedsTarget() && total == nil:
		return ownTrouble{fmt.Errorf("%w: %w", chain.ErrUnjudged, errNeedsTarget)}
	case !f.NeedsTarget():
		return ownTrouble{errNeedsTarget}
	}
	return nil
}
