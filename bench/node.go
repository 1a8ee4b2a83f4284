package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/wire/native"
)

// counted is a ledger that notes what was verified and how it was imported.
type counted struct {
	*ledger.Ledger
	headers, bodies atomic.Int64
	goal            uint64
	imports         []int         // blocks; the one importer writes it
	storing         time.Duration // inside Import; likewise
	reached         chan struct{}
	at              time.Time // when the goal was durable; after reached
}

func (c *counted) VerifyHeadersContext(ctx context.Context, parent chain.Header, hs []chain.Header) (int, error) {
	n, err := c.Ledger.VerifyHeadersContext(ctx, parent, hs)
	c.headers.Add(int64(n))
	return n, err
}

func (c *counted) VerifyBody(h chain.Header, body, extra []byte) error {
	err := c.Ledger.VerifyBody(h, body, extra)
	if err == nil {
		c.bodies.Add(1)
	}
	return err
}

func (c *counted) VerifyBodies(bs []chain.Block) []error {
	errs := c.Ledger.VerifyBodies(bs)
	for _, err := range errs {
		if err == nil {
			c.bodies.Add(1)
		}
	}
	return errs
}

func (c *counted) Import(ctx context.Context, blocks []chain.Block) (int, error) {
	began := time.Now()
	n, err := c.Ledger.Import(ctx, blocks)
	c.storing += time.Since(began)
	if n > 0 {
		c.imports = append(c.imports, n)
		if c.Status().Head.Number >= c.goal && c.at.IsZero() {
			c.at = time.Now()
			close(c.reached)
		}
	}
	return n, err
}

// openNode makes a node on the ledger in dir; it listens on loopback, on TCP
// with Noise and yamux.
func openNode(dir string, goal uint64, cfg starling.Config, budgets bool) (*counted, *native.Wire, *starling.Node, error) {
	f, err := family()
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := ledger.Open(dir, ledger.Options{Family: f})
	if err != nil {
		return nil, nil, nil, err
	}
	c := &counted{Ledger: l, goal: goal, reached: make(chan struct{})}
	w, err := native.New(native.Config{
		Status: l.Status, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoQUIC: true, NoDHT: true, AllowPrivate: true, ServeUnpaced: !budgets,
	})
	if err != nil {
		return nil, nil, nil, errors.Join(err, l.Close())
	}
	cfg.AllowPrivate, cfg.NoDiscovery, cfg.Serving.Off = true, true, !budgets
	cfg.BlockInterval = f.Config().BlockInterval
	n, err := starling.New(cfg, c, w)
	if err != nil {
		return nil, nil, nil, errors.Join(err, l.Close())
	}
	return c, w, n, nil
}

// serveNode serves the chain in job.Dir until ctx ends.
func serveNode(ctx context.Context, job job, ready func(addr string)) error {
	c, w, n, err := openNode(job.Dir, 0, starling.Config{}, job.Budgets)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	select {
	case <-w.Ready():
		ready(w.Addrs()[0].Text)
		err = <-ran
	case err = <-ran:
	}
	return errors.Join(err, c.Close())
}

// syncNode syncs an empty ledger in job.Dir from the node at job.Addr.
func syncNode(ctx context.Context, job job) (result, error) {
	c, _, n, err := openNode(job.Dir, job.Head.Number, starling.Config{Static: []string{job.Addr}}, job.Budgets)
	if err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ran := make(chan error, 1)
	began := time.Now()
	go func() { ran <- n.Run(ctx) }()
	select {
	case <-c.reached:
	case err := <-ran:
		return result{}, errors.Join(err, errors.New("bench: the node ended before it was synced"), c.Close())
	}
	cancel()
	err = <-ran
	r := result{
		Seconds: c.at.Sub(began).Seconds(), Imports: c.imports, Storing: c.storing.Seconds(),
		Headers: int(c.headers.Load()), Bodies: int(c.bodies.Load()),
	}
	if got := c.Status().Head; got != job.Head {
		err = errors.Join(err, fmt.Errorf("bench: synced to %v, want %v", got, job.Head))
	}
	return r, errors.Join(err, c.Close())
}
