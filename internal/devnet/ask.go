package devnet

import (
	"context"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/rpc"
)

// pollEvery is the pause between two looks at a node's status.
const pollEvery = 100 * time.Millisecond

// Call calls a method of the running node.
func (n *Node) Call(ctx context.Context, method string, result any, params ...any) error {
	c, err := rpc.Dial(ctx, daemon.SocketPath(n.dir))
	if err != nil {
		return fmt.Errorf("devnet: %s: %w", n.Name(), err)
	}
	defer c.Close()
	if err := c.Call(ctx, method, result, params...); err != nil {
		return fmt.Errorf("devnet: %s: %s: %w", n.Name(), method, err)
	}
	return nil
}

// Status asks the node where it stands.
func (n *Node) Status(ctx context.Context) (daemon.StatusReply, error) {
	var s daemon.StatusReply
	err := n.Call(ctx, "starling_status", &s)
	return s, err
}

// Await blocks until the node's status fits, or ctx ends; what is waited for
// is named in the error, with the last status.
func (n *Node) Await(ctx context.Context, what string, fits func(daemon.StatusReply) bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last daemon.StatusReply
	for {
		s, err := n.Status(ctx)
		if err == nil {
			if last = s; fits(s) {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("devnet: %s did not reach %s: head %d %s, %d peers, %d pooled, sync %s %s: %w",
				n.Name(), what, last.Head.Number, last.Head.Hash, last.Peers, last.PoolTxs, last.Sync.Mode, last.Sync.Stuck, ctx.Err())
		}
	}
}

// sameChain reports whether two nodes have the same blocks at genesis, in the
// middle and at a number.
func sameChain(ctx context.Context, a, b *Node, number uint64) (bool, error) {
	for _, at := range []uint64{0, 1, number / 2, number} {
		if at > number {
			continue
		}
		var x, y daemon.BlockReply
		if err := a.Call(ctx, "starling_block", &x, at); err != nil {
			return false, err
		}
		if err := b.Call(ctx, "starling_block", &y, at); err != nil {
			return false, err
		}
		if x.Hash != y.Hash {
			return false, fmt.Errorf("devnet: block %d is %s at %s and %s at %s", at, x.Hash, a.Name(), y.Hash, b.Name())
		}
	}
	return true, nil
}
