package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

// Releases of op-node that are measured.
const (
	newest   = "opnode-1.19.6"
	withSync = "opnode-1.19.0" // the last with a sync client
)

const patience = 2 * time.Minute

// steadyFrom is the block after which op-node's client has used up its burst.
const steadyFrom = 30

type event struct {
	Event  string `json:"event"`
	Number uint64 `json:"number"`
}

// opNode is a process of op-node's P2P stack.
type opNode struct {
	*steertest.Process[event]
	said struct {
		Peer  string
		Addrs []string
	}
}

// startOpNode runs one; its chain is made of blocks of one transaction of size
// bytes, of which it serves those up to head.
func startOpNode(binary string, genesis uint64, size int, head uint64) (*opNode, error) {
	p, err := steertest.Start[event]("op-node", binary, patience)
	if err != nil {
		return nil, err
	}
	n := &opNode{Process: p}
	params := map[string]any{
		"listen": "127.0.0.1", "chain_id": chainID, "genesis_time": genesis, "block_time": int(blockTime / time.Second),
		"canyon": 0, "ecotone": 0, "isthmus": 0, "signer_key": signerKey, "txs": 1, "tx_bytes": size, "head": head,
	}
	if err := p.Try(map[string]any{"do": "start", "params": params}, &n.said); err != nil {
		p.Stop()
		return nil, fmt.Errorf("bench: op-node: %w", err)
	}
	return n, nil
}

// fillOpNode has op-node's sync client fill a gap from another op-node, and gives
// its steady pace, in blocks a second.
func fillOpNode(ctx context.Context, client, server string, blocks, size int) (rate float64, err error) {
	genesis := uint64(time.Now().Unix()) - 2*uint64(blocks+3)
	from, err := startOpNode(server, genesis, size, uint64(blocks)+2)
	if err != nil {
		return 0, err
	}
	defer from.Stop()
	to, err := startOpNode(client, genesis, size, 1)
	if err != nil {
		return 0, err
	}
	defer to.Stop()
	if err := to.Try(map[string]any{"do": "connect", "addr": from.said.Addrs[0]}, nil); err != nil {
		return 0, err
	}
	repeat := time.NewTicker(2 * blockTime) // as its driver does
	defer repeat.Stop()
	var began time.Time
	low := uint64(blocks) + 2
	first, asked := 0, false
	for {
		changed := to.Changed()
		have := map[uint64]bool{}
		for _, e := range to.Events() {
			if e.Event == "payload" {
				have[e.Number] = true
				low = min(low, e.Number)
			}
		}
		if began.IsZero() && len(have) >= min(steadyFrom, blocks/2) {
			began, first = time.Now(), len(have)
		}
		if len(have) >= blocks {
			return float64(len(have)-first) / time.Since(began).Seconds(), nil
		}
		if !asked {
			asked = true
			if err := to.Try(map[string]any{"do": "sync", "number": 1, "end": low}, nil); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return 0, err
			}
		}
		select {
		case <-changed:
		case <-repeat.C:
			asked = false
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
