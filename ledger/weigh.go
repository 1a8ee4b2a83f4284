package ledger

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starlingp2p/starling/chain"
)

// Weigh implements chain.Weigher.
func (l *Ledger) Weigh(ctx context.Context, h chain.Header) (w chain.Weight, err error) {
	err = l.view(ctx, func(db *pebble.DB) error {
		parent, err := readInfo(db, h.Parent)
		if err != nil {
			return err
		}
		if parent.kind != imported {
			return fmt.Errorf("ledger: block %v: %w %v", h.Ref, chain.ErrUnknownParent, h.Parent)
		}
		w = l.weigh(parent.weight, h)
		return nil
	})
	return w, err
}

// weigh gives the weight of the branch up to h, from that of its parent.
func (l *Ledger) weigh(parent chain.Weight, h chain.Header) chain.Weight {
	if f, ok := l.family.(Weigher); ok {
		return f.Weight(parent, h)
	}
	return chain.WeightOf(h.Ref.Number)
}
