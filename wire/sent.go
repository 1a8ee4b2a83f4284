package wire

import (
	"context"
	"time"
)

// sentKey is of what a context carries for Sent.
type sentKey struct{}

// OnSent gives a context for Session.Request that has f told when the question
// left us: from then on the peer can answer, and what passed before, in a queue
// of ours, is not its silence. f is called again where the request goes on to
// ask for more, on the goroutine of Request or one that it waits for, and may
// block it; it is safe for concurrent use. Caps.TellsSent says which wires call it.
func OnSent(ctx context.Context, f func(at time.Time)) context.Context {
	return context.WithValue(ctx, sentKey{}, f)
}

// Sent tells whoever asked for it with OnSent that a question left at that time.
// Wires call it.
func Sent(ctx context.Context, at time.Time) {
	if f, ok := ctx.Value(sentKey{}).(func(time.Time)); ok {
		f(at)
	}
}
