package pause

import (
	"context"
	"time"
)

// For blocks for d, or until ctx ends, whose cause it then gives. It is nil at
// once where d is zero or less.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
