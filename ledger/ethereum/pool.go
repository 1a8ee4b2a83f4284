package ethereum

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/internal/txpool"
)

// Limits of a Pool, where its configuration says nothing.
const (
	DefaultPerSender = 64
	DefaultPoolBytes = 64 << 20
	DefaultPoolTxs   = 16384
	// DefaultLifetime is how long a transaction of others may wait: geth's
	// core/txpool/legacypool lets one that cannot be executed wait as long.
	DefaultLifetime = 3 * time.Hour
	// DefaultPriceBump is geth's, in percent (core/txpool/legacypool: PriceBump).
	DefaultPriceBump = 10
	// localPerSender and localBytes are for this node's own transactions,
	// which do not compete with those of others.
	localPerSender = 4096
	localBytes     = 64 << 20
	// walkBlocks is how far a change of head is followed block by block, and
	// strideBlocks how far it is while nothing waits: the senders of a block cost
	// some ten milliseconds, which a sync has no use for.
	walkBlocks   = 32
	strideBlocks = 4
	// maxFloors is how many senders' next nonces are remembered.
	maxFloors = 65536
	// txOverhead is about what a transaction costs beside its bytes.
	txOverhead = 512
)

// PoolConfig configures a Pool. Family and Chain must be set.
type PoolConfig struct {
	Family *Family
	// Chain is where the head is read. If it is a chain.TxReader too, own
	// transactions that were included while the node was away are found.
	Chain chain.Reader
	// Journal is the file in which AddLocal keeps transactions; empty: none.
	Journal string
	// FS is where the journal lies; nil: the disk.
	FS vfs.FS
	// PerSender bounds the transactions of a sender; 0: 64.
	PerSender int
	// MaxBytes bounds the transactions of others in sum, with some overhead
	// each; 0: 64 MiB. Those with blobs have half of it, and the others half, so
	// that neither can push the other out. Own ones have 64 MiB for themselves.
	MaxBytes int
	// MaxTxs bounds their number likewise; 0: 16384.
	MaxTxs int
	// Lifetime is how long a transaction of others may wait; 0: 3 h.
	Lifetime time.Duration
	// MinTip is the least tip, in wei for a unit of gas, that a transaction of
	// others must offer; 0: none.
	MinTip uint64
	// PriceBump is by how much each fee of a transaction must rise for it to
	// replace another of the same nonce, in percent; 0: 10. With blobs on either
	// side it is 100 at least.
	PriceBump int
	Logger    *slog.Logger
}

// Pool holds transactions that wait for a block, without a state to execute
// them on: whether a sender can pay is not known, and what its next nonce is
// only once a block had a transaction of it. It is safe for concurrent use and
// starts no goroutine. When it is full, the transaction of others with the
// least effective tip makes room for a better one.
type Pool struct {
	c      PoolConfig
	signer types.Signer
	in     *txpool.Intake

	held *txpool.Held[*pooled]
	// All below is guarded by the lock of held.
	head     head
	senders  map[common.Address]*queue
	piles    [numPiles]pile
	floors   *simplelru.LRU[common.Address, uint64] // next nonces, as blocks tell
	arrivals uint64
	recent   recent
}

// head is what the rules need of the head block.
type head struct {
	ref      chain.Ref
	number   *big.Int
	time     uint64
	gasLimit uint64
	baseFee  *big.Int // nil: before London
}

// pooled is a transaction of the pool. It does not change, but for where it
// lies.
type pooled struct {
	tx      chain.Tx
	from    common.Address
	nonce   uint64
	feeCap  *big.Int
	tipCap  *big.Int
	blobCap *big.Int // nil: it has no blobs
	local   bool
	arrival uint64
	since   time.Time

	tip   *big.Int // effective, at the pool's head
	index int      // in its pile's heap
}

// Tx implements txpool.Entry.
func (e *pooled) Tx() chain.Tx { return e.tx }

// Cost implements txpool.Entry.
func (e *pooled) Cost() int { return len(e.tx.Bytes) + txOverhead }

// Own implements txpool.Entry.
func (e *pooled) Own() bool { return e.local }

// Compare implements txpool.Entry: by sender, each one's by ascending nonce.
func (e *pooled) Compare(o *pooled) int {
	return cmp.Or(bytes.Compare(e.from[:], o.from[:]), cmp.Compare(e.nonce, o.nonce))
}

// The piles of a pool.
const (
	pilePlain = iota
	pileBlobs
	pileLocal
	numPiles
)

func (e *pooled) pile() int {
	switch {
	case e.local:
		return pileLocal
	case e.blobCap != nil:
		return pileBlobs
	}
	return pilePlain
}

// queue is a sender's transactions by ascending nonce.
type queue struct{ txs []*pooled }

var (
	_ chain.TxPool      = (*Pool)(nil)
	_ chain.LocalTxPool = (*Pool)(nil)
)

// NewPool makes a pool and restores the journal. It reads the disk.
func NewPool(ctx context.Context, c PoolConfig) (*Pool, error) {
	if c.Family == nil || c.Chain == nil {
		return nil, errors.New("ethereum: PoolConfig needs Family and Chain")
	}
	if c.PerSender < 0 || c.MaxBytes < 0 || c.MaxTxs < 0 || c.Lifetime < 0 || c.PriceBump < 0 {
		return nil, fmt.Errorf("ethereum: PoolConfig has limits below zero: %d a sender, %d bytes, %d transactions, %v, %d percent", c.PerSender, c.MaxBytes, c.MaxTxs, c.Lifetime, c.PriceBump)
	}
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	or(&c.PerSender, DefaultPerSender)
	or(&c.MaxBytes, DefaultPoolBytes)
	or(&c.MaxTxs, DefaultPoolTxs)
	or(&c.PriceBump, DefaultPriceBump)
	if c.Lifetime == 0 {
		c.Lifetime = DefaultLifetime
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	floors, err := simplelru.NewLRU[common.Address, uint64](maxFloors, nil)
	if err != nil {
		return nil, err
	}
	p := &Pool{
		c: c, signer: types.LatestSigner(c.Family.c.Chain),
		held:    txpool.NewHeld[*pooled](),
		senders: map[common.Address]*queue{},
		floors:  floors,
		recent:  newRecent(),
	}
	p.in = txpool.NewIntake(txpool.Holder{Admit: p.admit, Drop: p.drop, Own: p.Local}, badProof, c.Logger)
	p.piles[pilePlain] = pile{maxTxs: max(c.MaxTxs/2, 1), maxBytes: c.MaxBytes / 2}
	p.piles[pileBlobs] = p.piles[pilePlain]
	p.piles[pileLocal] = pile{maxTxs: DefaultPoolTxs, maxBytes: localBytes}
	if p.head, err = p.readHead(ctx, c.Chain.Status().Head); err != nil {
		return nil, err
	}
	if c.Journal == "" {
		return p, nil
	}
	if err := p.in.Restore(c.FS, c.Journal, maxBlobTx); err != nil {
		return nil, err
	}
	if err := p.sift(ctx); err != nil {
		return nil, p.in.Abandon(err)
	}
	return p, p.in.Rotate(true)
}

// Close closes the journal. The pool is not to be used after it.
func (p *Pool) Close() error { return p.in.Close() }

// Has implements chain.TxPool. A transaction that was found unfit, or that a
// block had, need not be fetched for some minutes.
func (p *Pool) Has(h chain.Hash) bool {
	p.held.Lock()
	defer p.held.Unlock()
	if p.held.ByHash[h] != nil {
		return true
	}
	_, ok := p.recent.get(h, time.Now())
	return ok
}

// Get implements chain.TxPool.
func (p *Pool) Get(h chain.Hash) (chain.Tx, bool) { return p.held.Get(h) }

// Len is the number of transactions and what they cost in bytes.
func (p *Pool) Len() (n, bytes int) { return p.held.Len() }

// Dropped counts, by reason, what was not taken, made room, grew old or was
// lost to a lagging subscriber.
func (p *Pool) Dropped() map[string]uint64 { return p.in.Dropped() }
