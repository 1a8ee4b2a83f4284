package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/bench/internal/lab"
	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
	"github.com/starlingp2p/starling/ledger"
	family "github.com/starlingp2p/starling/ledger/ontology"
	"github.com/starlingp2p/starling/wire/ontology"
)

// network is the one whose blocks are synced: a lone bookkeeper's.
func network() (family.Network, error) {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return family.Network{}, err
	}
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return family.Network{}, err
	}
	return family.Network{
		Name: "bench", Magic: magic, ConsensusType: family.Solo,
		SOLO: family.Bookkeepers{Bookkeepers: []string{hex.EncodeToString(elliptic.MarshalCompressed(elliptic.P256(), k.X, k.Y))}},
	}, nil
}

// running is a node of ours.
type running struct {
	*lab.Node
	ledger *ledger.Ledger
	addr   string
}

// runNode runs one with its ledger in dir, and with all as by default but for
// the budgets of what it serves.
func runNode(dir string, n family.Network) (*running, error) {
	f, err := family.New(n)
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(dir, ledger.Options{Family: f})
	if err != nil {
		return nil, err
	}
	if err := f.Attach(context.Background(), l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	port, err := steertest.FreePort()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	r := &running{ledger: l, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	w, err := ontology.New(ontology.Config{Magic: n.Magic, Status: l.Status, Header: l.Header, Listen: r.addr})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	cfg := starling.DevConfig()
	cfg.NoDiscovery, cfg.Serving.Off = true, true
	node, err := starling.New(cfg, l, w)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if r.Node, err = lab.Run(node, l); err != nil {
		return nil, err
	}
	return r, nil
}

// syncNode times a sync from addr into an empty dir: from the dial until the
// last block is durable.
func syncNode(ctx context.Context, dir, addr string, n family.Network, count int) (took time.Duration, err error) {
	if err := os.RemoveAll(dir); err != nil {
		return 0, err
	}
	r, err := runNode(dir, n)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	began := time.Now()
	if err := r.Client().Connect(ctx, addr); err != nil {
		return 0, err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.ledger.Status().Head.Number < uint64(count) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return time.Since(began), nil
}
