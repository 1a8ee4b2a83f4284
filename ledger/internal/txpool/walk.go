package txpool

import (
	"context"

	"github.com/starlingp2p/starling/chain"
)

// Between walks from one head to another, and gives the blocks that were undone
// and those that came, newest first. whole is false where they are more than
// most blocks apart or where the old one is gone. It reads the disk; an error is
// that of ctx.
func Between(ctx context.Context, r chain.Reader, old, now chain.Ref, most int) (undone, done []chain.Block, whole bool, err error) {
	a, b := old, now
	for n := 0; a != b; n++ {
		if n == most {
			return nil, nil, false, nil
		}
		up := b.Number > a.Number
		at := a
		if up {
			at = b
		}
		blk, err := r.Block(ctx, at)
		if err != nil {
			return nil, nil, false, ctx.Err()
		}
		parent := chain.Ref{Number: at.Number - 1, Hash: blk.Header.Parent}
		if up {
			done, b = append(done, blk), parent
		} else {
			undone, a = append(undone, blk), parent
		}
	}
	return undone, done, true, nil
}
