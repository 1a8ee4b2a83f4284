package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/bench/internal/lab"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/interop/peers/steer"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// ours is a node of ours that runs.
type ours struct {
	node   *lab.Node
	ledger *ledger.Ledger
	wire   *devp2p.Wire
}

type nodeParams struct {
	Dir     string          `json:"dir"`
	Genesis json.RawMessage `json:"genesis"`
	Budgets bool            `json:"budgets"`
}

// startNode runs a node of ours, on loopback.
func startNode(_ context.Context, raw json.RawMessage, _ func(any)) (steer.Peer, any, error) {
	var p nodeParams
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, nil, err
	}
	n, err := openNode(p)
	if err != nil {
		return nil, nil, err
	}
	return n, map[string]any{"enode": n.wire.Addrs()[0].Text}, nil
}

func openNode(p nodeParams) (*ours, error) {
	g, err := ethereum.ParseGenesis(p.Genesis)
	if err != nil {
		return nil, err
	}
	block, err := g.Block()
	if err != nil {
		return nil, err
	}
	family, err := ethereum.New(ethereum.Config{Network: "bench", Chain: g.Config, Genesis: block})
	if err != nil {
		return nil, err
	}
	n := &ours{}
	if n.ledger, err = ledger.Open(p.Dir, ledger.Options{Family: family}); err != nil {
		return nil, err
	}
	family.Attach(n.ledger)
	blocks, times := ethereum.Forks(g.Config)
	var node *starling.Node
	if n.wire, err = devp2p.New(devp2p.Config{
		NetworkID: chainID, Network: "bench", Status: n.ledger.Status, Listen: "127.0.0.1:0", WithReceipts: true, TargetOnly: family.NeedsTarget(),
		Forks: eth.NewForks(block.Ref().Hash, uint64(block.Header.Time.Unix()), blocks, times),
	}); err == nil {
		cfg := starling.DevConfig()
		cfg.MaxPeers, cfg.Serving.Off = 64, !p.Budgets
		node, err = starling.New(cfg, n.ledger, n.wire)
	}
	if err != nil {
		return nil, errors.Join(err, n.ledger.Close())
	}
	if n.node, err = lab.Run(node, n.ledger); err != nil {
		return nil, err
	}
	return n, nil
}

// Close implements steer.Peer.
func (n *ours) Close() error { return n.node.Stop() }

// Do implements steer.Peer: "connect" dials Addr; "target" blocks until block
// Number with the hash Peer is the head.
func (n *ours) Do(ctx context.Context, c steer.Command) (any, error) {
	switch c.Do {
	case "connect":
		return true, n.node.Client().Connect(ctx, c.Addr)
	case "target":
		h, err := chain.ParseHash(c.Peer)
		if err != nil {
			return nil, err
		}
		target := chain.Ref{Number: c.Number, Hash: h}
		events := n.node.Client().Subscribe(ctx, 4096)
		if err := n.node.Client().SetTarget(ctx, target); err != nil {
			return nil, err
		}
		for n.ledger.Status().Head != target {
			select {
			case <-events.C():
			case <-ctx.Done():
				return nil, fmt.Errorf("bench: the head is %v, want %v: %w", n.ledger.Status().Head, target, ctx.Err())
			}
		}
		return true, nil
	}
	return nil, fmt.Errorf("bench: no command %q", c.Do)
}
