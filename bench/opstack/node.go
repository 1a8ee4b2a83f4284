package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/bench/internal/lab"
	"github.com/starlingp2p/starling/bench/internal/raw"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack"
)

// counted is a ledger that notes how it was imported into.
type counted struct {
	*ledger.Ledger
	goal    uint64
	imports []int         // blocks; the one importer writes it
	reached chan struct{} // closed when the goal is durable
	at      time.Time     // of that
	cpu     time.Duration // of the process, by then
}

func (c *counted) Import(ctx context.Context, blocks []chain.Block) (int, error) {
	n, err := c.Ledger.Import(ctx, blocks)
	if n > 0 {
		c.imports = append(c.imports, n)
	}
	if c.at.IsZero() && c.goal > 0 && c.Status().Head.Number >= c.goal {
		c.at, c.cpu = time.Now(), lab.CPU()
		close(c.reached)
	}
	return n, err
}

// running is a node of ours.
type running struct {
	*lab.Node
	ledger *counted
	wire   *opstack.Wire
}

// runNode runs one with its ledger in dir; without budgets it serves whatever
// it is asked for.
func runNode(dir string, c family.Config, goal uint64, budgets bool) (*running, error) {
	f, err := family.New(c)
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(dir, ledger.Options{Family: f})
	if err != nil {
		return nil, err
	}
	r := &running{ledger: &counted{Ledger: l, goal: goal, reached: make(chan struct{})}}
	r.wire, err = opstack.New(opstack.Config{Rules: f.Rules(), Status: l.Status, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, AllowPrivate: true, ServeUnpaced: !budgets})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	cfg := starling.DevConfig()
	cfg.BackwardOnly, cfg.BlockInterval, cfg.AllowPrivate, cfg.NoDiscovery = true, blockTime, true, true
	cfg.Serving.Off = !budgets
	node, err := starling.New(cfg, r.ledger, r.wire)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if r.Node, err = lab.Run(node, l); err != nil {
		return nil, err
	}
	return r, nil
}

// addr is where it can be reached.
func (r *running) addr() string { return r.wire.Addrs()[0].Text }

// fill times how a fresh node fills its gap up to the head of s from addr: from
// the dial until the last block is durable. It tells how the ledger imported.
func fill(ctx context.Context, dir, addr string, s source) (took cost, imports []int, err error) {
	if err := os.RemoveAll(dir); err != nil {
		return took, nil, err
	}
	r, err := runNode(dir, s.network, s.head.Number, false)
	if err != nil {
		return took, nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	began := meterFrom(time.Now())
	if err := r.Client().Connect(ctx, addr); err != nil {
		return took, nil, err
	}
	if err := r.Client().SetTarget(ctx, s.head); err != nil {
		return took, nil, err
	}
	select {
	case <-r.ledger.reached:
		return cost{r.ledger.at.Sub(began.at), r.ledger.cpu - began.cpu}, r.ledger.imports, nil
	case <-ctx.Done():
		return took, nil, context.Cause(ctx)
	}
}

// fillRaw times the baseline with the same database, which syncs as often.
func fillRaw(ctx context.Context, dir string, s source, imports []int) (took cost, err error) {
	if err := os.RemoveAll(dir); err != nil {
		return took, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	addr, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- raw.Serve(ctx, raw.Database(s.dir), func(a string) { addr <- a }) }()
	var to string
	select {
	case to = <-addr:
	case err := <-done:
		return took, err
	}
	began := lab.CPU()
	r, err := raw.Sync(ctx, raw.Job{Dir: dir, Addr: to, Bytes: s.bytes, Imports: imports})
	cancel()
	took = cost{time.Duration(r.Seconds * float64(time.Second)), lab.CPU() - began}
	return took, errors.Join(err, <-done)
}
