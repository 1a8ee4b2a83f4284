package daemon

import (
	"context"
	"log/slog"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
)

// keptPool is a pool that follows a ledger's head.
type keptPool interface {
	chain.TxPool
	// OnHead looks at what has happened since the last call. It reads the disk.
	OnHead(ctx context.Context) error
}

// poolKeeper is the service that keeps the pool up with the head: what a block
// includes leaves the pool.
type poolKeeper struct {
	pool   keptPool
	warm   func() // done once, beside the rest and, where that ends first, after it; nil: nothing
	log    *slog.Logger
	client *starling.Client
}

func (k *poolKeeper) Kind() string    { return "pool" }
func (k *poolKeeper) Needs() []string { return nil }

func (k *poolKeeper) Build(b *starling.Builder) (starling.Part, error) {
	k.client = b.Client()
	return k, nil
}

// Run follows the head, and looks at what has come: gossip may bring a
// transaction after the block that includes it. The pool finds by itself what
// has happened since it last looked, so an event that is lost does no harm.
func (k *poolKeeper) Run(ctx context.Context, ready func()) error {
	if k.warm != nil {
		// Nobody waits for it. It computes, which nothing can break off, and uses
		// nothing that is closed at the end; on a busy machine it outlasts what a
		// stop may take.
		go k.warm()
	}
	heads, fresh := k.client.Subscribe(ctx, 64), k.pool.Subscribe(ctx)
	ready()
	for {
		select {
		case ev, ok := <-heads.C():
			if !ok {
				return nil
			}
			if _, ok := ev.(starling.HeadChanged); !ok {
				continue
			}
		case _, ok := <-fresh:
			if !ok {
				return nil
			}
		}
		if err := k.pool.OnHead(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("the pool could not follow the head", "err", err)
		}
	}
}
