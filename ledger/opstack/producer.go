package opstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// publishQueue is how many blocks wait to be published; the oldest is dropped
// beyond, since peers can still ask for it.
const publishQueue = 4

// State is what a Producer reads: a ledger.
type State interface {
	Status() chain.Status
	Header(ctx context.Context, ref chain.Ref) (chain.Header, error)
}

// ProducerConfig configures a Producer. Family, State, Signer, Import and
// Publish must be set.
type ProducerConfig struct {
	Family *Family
	State  State
	Signer Signer // its account should be the network's
	// Import imports a block durably before anybody else sees it, so that of
	// each height one block is signed, across crashes too.
	Import func(context.Context, []chain.Block) (int, error)
	// Publish hands a block to the network. It may block as long as it likes.
	Publish func(context.Context, chain.Block) error
	// Txs gives the transactions of the next block; nil: none. It must be quick.
	Txs    func() [][]byte
	Logger *slog.Logger // nil: nothing
}

// Producer is the sequencer of a private chain: it makes payloads that are
// consistent, though no execution layer stands behind them, one each block
// time on the ledger's head, and catches up where it was away. It needs no
// network to go on.
type Producer struct {
	c       ProducerConfig
	queue   chan chain.Block
	signed  chain.Block // the last that was made; only Run's loop touches it
	made    atomic.Uint64
	failed  atomic.Uint64
	dropped atomic.Uint64
}

// NewProducer checks the configuration.
func NewProducer(c ProducerConfig) (*Producer, error) {
	if c.Family == nil || c.State == nil || c.Signer == nil || c.Import == nil || c.Publish == nil {
		return nil, errors.New("opstack: ProducerConfig needs Family, State, Signer, Import and Publish")
	}
	if want := c.Family.rules.Signers().Current(); want != (codec.Address{}) && want != c.Signer.Address() {
		return nil, fmt.Errorf("opstack: the sequencer's key is of %v, the network's signer is %v: nobody would take its blocks", c.Signer.Address(), want)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Producer{c: c, queue: make(chan chain.Block, publishQueue)}, nil
}

// Stats says how many blocks were made, how many could not be published, and
// how many were not published because publishing lagged.
func (p *Producer) Stats() (made, publishErrors, dropped uint64) {
	return p.made.Load(), p.failed.Load(), p.dropped.Load()
}

// Run makes blocks until ctx ends, and gives its cause. It must be called once.
func (p *Producer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for {
			select {
			case b := <-p.queue:
				if err := p.c.Publish(ctx, b); err != nil && ctx.Err() == nil {
					p.failed.Add(1)
					p.c.Logger.Warn("opstack: block not published", "height", b.Ref().Number, "err", err)
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
	g.Go(func() error {
		wait := time.Duration(0)
		for {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return context.Cause(ctx)
			}
			var err error
			if wait, err = p.step(ctx); err != nil && ctx.Err() == nil {
				p.c.Logger.Warn("opstack: no block this time", "err", err)
			}
		}
	})
	return g.Wait()
}

// step makes the next block if it is due, and says how long to wait.
func (p *Producer) step(ctx context.Context) (time.Duration, error) {
	rc := p.c.Family.rules.Config()
	head := p.c.State.Status().Head
	due, ok := rc.TimeAt(head.Number + 1)
	if !ok {
		return rc.BlockTime, fmt.Errorf("opstack: block %d has no time", head.Number+1)
	}
	now := rc.Wall.Now()
	if early := codec.TimeOf(due).Sub(now); early > 0 {
		return min(early, rc.BlockTime), nil
	}
	if err := p.produce(ctx, head, due); err != nil {
		return rc.BlockTime, err
	}
	return 0, nil
}

// produce makes, imports and hands on the block after head. One that is signed
// and could not be imported is tried again: that height is spent.
func (p *Producer) produce(ctx context.Context, head chain.Ref, at uint64) error {
	rc := p.c.Family.rules.Config()
	b := p.signed
	if b.Ref().Number != head.Number+1 || b.Header.Parent != head.Hash {
		ctx, cancel := context.WithTimeout(ctx, rc.BlockTime)
		defer cancel()
		var err error
		if b, err = p.build(ctx, head, at); err != nil {
			return err
		}
		p.signed = b
		p.made.Add(1)
	}
	if _, err := p.c.Import(ctx, []chain.Block{b}); err != nil {
		return fmt.Errorf("opstack: import own block %v: %w", b.Ref(), err)
	}
	if rc.Wall.Now().Sub(b.Header.Time) < rc.MaxAge { // an older one is not gossiped: peers ask for it
		p.enqueue(b)
	}
	return nil
}

func (p *Producer) build(ctx context.Context, head chain.Ref, at uint64) (chain.Block, error) {
	rc := p.c.Family.rules.Config()
	d := codec.Draft{Version: rc.VersionAt(at), Parent: head, Time: at, FeeRecipient: p.c.Signer.Address()}
	if p.c.Txs != nil {
		d.Txs = p.c.Txs()
	}
	e, err := d.Envelope()
	if err != nil {
		return chain.Block{}, err
	}
	sig, err := p.c.Signer.Sign(ctx, rc.ChainID, codec.PayloadHash(codec.AppendEnvelope(nil, e)))
	if err != nil {
		return chain.Block{}, err
	}
	return e.Block(sig)
}

// enqueue never waits.
func (p *Producer) enqueue(b chain.Block) {
	for {
		select {
		case p.queue <- b:
			return
		default:
		}
		select {
		case old := <-p.queue:
			p.dropped.Add(1)
			p.c.Logger.Warn("opstack: publishing lags; peers must ask for this block", "height", old.Ref().Number)
		default:
		}
	}
}
