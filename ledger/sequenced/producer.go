package sequenced

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/ledger"
)

// publishQueue is how many blocks wait to be published; the oldest is dropped
// beyond, since peers can still ask for it.
const publishQueue = 4

// ProducerConfig configures a Producer. Family, State, Pool, Key and one of
// Import and Publish must be set.
type ProducerConfig struct {
	Family *Family
	State  StateReader // the ledger
	Pool   *Pool
	Key    ed25519.PrivateKey
	// Interval between blocks; 0: the family's.
	Interval time.Duration
	// Import, where set, imports a block durably, in the producer's own time,
	// before it is handed to Publish.
	Import func(context.Context, []chain.Block) (int, error)
	// Publish hands a block to the network, and imports it where Import is nil.
	// Then it must not let a peer see the block before it is imported durably:
	// the ledger is what tells the producer, after a crash, which heights it
	// signed. It may block as long as it likes.
	Publish func(context.Context, chain.Block) error
	Logger  *slog.Logger // nil: nothing
	Wall    env.Wall     // nil: the family's
}

// Producer is the sequencer. Of each height it signs one block, across crashes
// too: a block is built on the ledger's head only, none is seen by others before
// it is imported durably, and one that was signed and is not yet imported is
// offered again instead of being replaced.
type Producer struct {
	c        ProducerConfig
	queue    chan chain.Block
	waiting  atomic.Int64 // blocks in queue, or being published
	produced atomic.Uint64
	skipped  atomic.Uint64
	dropped  atomic.Uint64
	paused   atomic.Bool
	// signed is the last block made by this run; only Run's loop touches it.
	signed chain.Block
}

// NewProducer checks the configuration: the key must be the sequencer's.
func NewProducer(c ProducerConfig) (*Producer, error) {
	if c.Family == nil || c.State == nil || c.Pool == nil || c.Import == nil && c.Publish == nil {
		return nil, errors.New("sequenced: ProducerConfig needs Family, State, Pool and one of Import and Publish")
	}
	if len(c.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("sequenced: the producer's key has %d bytes, want %d", len(c.Key), ed25519.PrivateKeySize)
	}
	if pub := c.Key.Public().(ed25519.PublicKey); !bytes.Equal(pub, c.Family.c.SequencerKey) {
		return nil, fmt.Errorf("sequenced: the producer's key is %x, the network's sequencer is %x", []byte(pub), []byte(c.Family.c.SequencerKey))
	}
	if c.Interval < 0 {
		return nil, fmt.Errorf("sequenced: the producer's interval is %v, want more than 0", c.Interval)
	}
	if c.Interval == 0 {
		c.Interval = c.Family.c.BlockInterval
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Wall == nil {
		c.Wall = c.Family.c.Wall
	}
	return &Producer{c: c, queue: make(chan chain.Block, publishQueue)}, nil
}

// Stats says how many blocks were produced, how many intervals passed without
// one because the last block was not imported yet, and how many blocks were
// not published because publishing lagged.
func (p *Producer) Stats() (produced, skipped, dropped uint64) {
	return p.produced.Load(), p.skipped.Load(), p.dropped.Load()
}

// Pause stops the making of blocks, or lets it go on, from the next interval.
// It may be called from any goroutine.
func (p *Producer) Pause(on bool) { p.paused.Store(on) }

// Run produces a block each interval until ctx ends, and gives its cause. It
// must be called once. A block that can't be made is logged and tried again at
// the next interval.
func (p *Producer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for {
			select {
			case b := <-p.queue:
				if p.c.Publish != nil {
					if err := p.c.Publish(ctx, b); err != nil && ctx.Err() == nil {
						p.c.Logger.Warn("sequenced: block not published", "height", b.Header.Ref.Number, "err", err)
					}
				}
				p.waiting.Add(-1)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
	g.Go(func() error {
		tick := time.NewTicker(p.c.Interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := p.produce(ctx); err != nil && ctx.Err() == nil {
					p.c.Logger.Warn("sequenced: no block this interval", "err", err)
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
	return g.Wait()
}

// produce makes and hands on the next block.
func (p *Producer) produce(ctx context.Context) error {
	if p.paused.Load() {
		return nil
	}
	waiting := p.waiting.Load() > 0 // asked before the head, which a block that waits may change
	head := p.c.State.Status().Head
	b := p.signed
	if b.Header.Ref.Number <= head.Number {
		if err := p.c.Pool.OnHead(ctx); err != nil {
			return err
		}
		parent, err := p.c.State.Header(ctx, head)
		if err != nil {
			return err
		}
		if b, err = p.build(ctx, parent); err != nil {
			return err
		}
		p.signed = b
		p.produced.Add(1)
	} else {
		// Signed and not yet imported: that height is spent.
		p.skipped.Add(1)
		if p.c.Import == nil && waiting {
			return nil
		}
	}
	if p.c.Import != nil {
		if _, err := p.c.Import(ctx, []chain.Block{b}); err != nil {
			return fmt.Errorf("sequenced: import own block %v: %w", b.Ref(), err)
		}
	}
	p.enqueue(b)
	return nil
}

// enqueue never waits.
func (p *Producer) enqueue(b chain.Block) {
	p.waiting.Add(1)
	for {
		select {
		case p.queue <- b:
			return
		default:
		}
		select {
		case old := <-p.queue:
			p.waiting.Add(-1)
			p.dropped.Add(1)
			p.c.Logger.Warn("sequenced: publishing lags; peers must ask for this block", "height", old.Header.Ref.Number)
		default:
		}
	}
}

// build makes the block after parent of what the pool has.
func (p *Producer) build(ctx context.Context, parent chain.Header) (chain.Block, error) {
	room := p.c.Family.c.MaxBlockBytes - headerLen
	var txs []chain.Tx
	x := p.c.Family.newRun(stateAt{ctx, p.c.State, parent.Ref})
	for _, tx := range p.c.Pool.Pending(0, room) {
		if lengthPrefix+len(tx.Bytes) > room {
			continue
		}
		t, err := DecodeTx(tx.Bytes)
		if err != nil {
			return chain.Block{}, err
		}
		switch err := x.apply(t); {
		case errors.Is(err, chain.ErrInvalid):
			continue // it waits for a nonce or for funds
		case err != nil:
			return chain.Block{}, err
		}
		room -= lengthPrefix + len(tx.Bytes)
		txs = append(txs, tx)
	}
	return p.c.Family.Seal(p.c.Key, parent, p.c.Wall.Now(), txs), nil
}

// Seal makes and signs the block after parent. The time is at least a
// millisecond after the parent's. It checks nothing of the transactions.
func (f *Family) Seal(key ed25519.PrivateKey, parent chain.Header, at time.Time, txs []chain.Tx) chain.Block {
	body := joinBody(txs)
	hashes := make([]chain.Hash, len(txs))
	for i, tx := range txs {
		hashes[i] = tx.Hash
	}
	h := header{
		chain:     f.id,
		number:    parent.Ref.Number + 1,
		parent:    parent.Ref.Hash,
		millis:    uint64(max(at.UnixMilli(), parent.Time.UnixMilli()+1)),
		root:      merkleRoot(hashes),
		txs:       uint32(len(txs)),
		bodyBytes: uint32(len(body)),
	}
	return chain.Block{Header: h.seal(f.hash, key), Body: body}
}

// stateAt reads the state after a block, as long as that is the head.
type stateAt struct {
	ctx context.Context
	s   StateReader
	at  chain.Ref
}

var _ ledger.State = stateAt{}

// errMoved: the head changed under a block that was being built.
var errMoved = errors.New("sequenced: the head moved while a block was built")

func (s stateAt) Get(key []byte) ([]byte, error) {
	b, at, err := s.s.State(s.ctx, key)
	if err == nil && at != s.at {
		err = errMoved
	}
	return b, err
}
