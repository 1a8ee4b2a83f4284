package opstack

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// Heads are the three heads of an OP Stack node: unsafe, the last block that
// the sequencer signed and that is here with all its ancestors; safe, derived
// from what is on L1; finalized, derived from what is final there. A node
// without an L1 knows the first only, and is told the others. It is safe for
// concurrent use.
//
// The safe head is not kept on disk: after a restart it is the finalized one
// until somebody tells it again, which is at most some seconds.
type Heads struct {
	l *ledger.Ledger

	mu   sync.Mutex // a leaf
	safe chain.Ref
}

// NewHeads makes the heads of a ledger.
func NewHeads(l *ledger.Ledger) *Heads { return &Heads{l: l} }

// Unsafe never blocks.
func (h *Heads) Unsafe() chain.Ref { return h.l.Status().Head }

// Finalized is the zero Ref until one is told. It never blocks.
func (h *Heads) Finalized() chain.Ref { return h.l.Status().Finalized }

// Safe is the safe head, or the finalized one where none is told, or where the
// one that was told has left the canonical chain. It may read the disk.
func (h *Heads) Safe(ctx context.Context) (chain.Ref, error) {
	h.mu.Lock()
	safe := h.safe
	h.mu.Unlock()
	final := h.Finalized()
	if safe.Number <= final.Number {
		return final, nil
	}
	is, err := h.canonical(ctx, safe)
	if err != nil || !is {
		return final, err
	}
	return safe, nil
}

// SetSafe makes a canonical block the safe head. It may read the disk.
func (h *Heads) SetSafe(ctx context.Context, r chain.Ref) error {
	is, err := h.canonical(ctx, r)
	if err != nil {
		return fmt.Errorf("opstack: safe head: %w", err)
	}
	if !is {
		return fmt.Errorf("opstack: safe head %v: %w in the canonical chain", r, chain.ErrNotFound)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.safe = r
	return nil
}

// SetFinalized makes a canonical block and all below it final, for good. It
// writes the disk.
func (h *Heads) SetFinalized(ctx context.Context, r chain.Ref) error { return h.l.Finalize(ctx, r) }

func (h *Heads) canonical(ctx context.Context, r chain.Ref) (bool, error) {
	got, err := h.l.Header(ctx, chain.Ref{Number: r.Number})
	if errors.Is(err, chain.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return got.Ref == r, nil
}
