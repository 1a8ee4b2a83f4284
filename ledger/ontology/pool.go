package ontology

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/recent"
	"github.com/starlingp2p/starling/ledger/internal/txpool"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// Limits of a Pool, where its configuration says nothing.
const (
	DefaultPerPayer    = 64
	DefaultPoolBytes   = 64 << 20
	DefaultPoolTxs     = 65536
	DefaultMinGasLimit = 20000 // v1.0.0's DEFAULT_GAS_LIMIT, and every release's
	// localPerPayer and localBytes are for this node's own transactions, which
	// do not compete with those of others.
	localPerPayer = 4096
	localBytes    = 64 << 20
	// unfitKept is how many hashes and forged copies are remembered.
	unfitKept = 16384
	// walkBlocks is how far a change of head is followed block by block.
	walkBlocks = 128
	// keepBlocks is how many blocks a transaction may wait: what its payer
	// cannot pay is never included, and we do not know who can.
	keepBlocks = 1024
	// txOverhead is what a transaction costs beside its bytes.
	txOverhead = 512
)

// PoolState is what a Pool needs of a ledger.
type PoolState interface {
	chain.Reader
	chain.TxReader
}

// PoolConfig configures a Pool. State must be set.
type PoolConfig struct {
	State PoolState
	// Journal is the file in which AddLocal keeps transactions; empty: none.
	Journal string
	// FS is where the journal lies; nil: the disk.
	FS vfs.FS
	// MinGasPrice and MinGasLimit are the least that a transaction offers; 0:
	// any price, a limit of 20000.
	MinGasPrice, MinGasLimit uint64
	// EVMChainID is the one that EIP-155 transactions must be signed for; 0: any.
	EVMChainID uint64
	// PerPayer bounds the transactions of a payer; 0: 64.
	PerPayer int
	// MaxBytes and MaxTxs bound the transactions of others in sum, bytes with
	// some overhead each; 0: 64 MiB and 65536. Own ones have as much for
	// themselves.
	MaxBytes, MaxTxs int
	Logger           *slog.Logger
}

// Pool holds transactions that wait for a block. It knows no state: neither
// what a payer owns, nor what a contract would do. So it checks what can be
// checked without: encodings, signatures, gas. It is safe for concurrent use
// and starts no goroutine. Where it is full, a transaction that offers more for
// its gas takes the place of those that offer least, the latest first.
type Pool struct {
	c  PoolConfig
	in *txpool.Intake

	held *txpool.Held[*pooled]
	// All below is guarded by the lock of held.
	head     chain.Ref
	payers   map[codec.Address]int
	cheapest order // those of others
	arrivals uint64
	// unfit are transactions, by their hashes; forged are encodings, by their
	// digests: a hash does not cover the signatures, so a forged copy must not
	// keep the authentic one out.
	unfit, forged recent.Set[chain.Hash]

	following sync.Mutex // one OnHead at a time; taken before held's
}

type pooled struct {
	tx      chain.Tx
	payer   codec.Address
	price   uint64 // of gas
	local   bool
	arrival uint64
	since   uint64 // the number of the head when it came
	at      int    // in Pool.cheapest
}

// Tx implements txpool.Entry.
func (e *pooled) Tx() chain.Tx { return e.tx }

// Cost implements txpool.Entry.
func (e *pooled) Cost() int { return len(e.tx.Bytes) + txOverhead }

// Own implements txpool.Entry.
func (e *pooled) Own() bool { return e.local }

// Compare implements txpool.Entry: as they came.
func (e *pooled) Compare(o *pooled) int { return cmp.Compare(e.arrival, o.arrival) }

var (
	_ chain.TxPool      = (*Pool)(nil)
	_ chain.LocalTxPool = (*Pool)(nil)
)

// NewPool makes a pool and restores the journal. It reads the disk.
func NewPool(ctx context.Context, c PoolConfig) (*Pool, error) {
	if c.State == nil {
		return nil, errors.New("ontology: PoolConfig needs State")
	}
	if c.PerPayer < 0 || c.MaxBytes < 0 || c.MaxTxs < 0 {
		return nil, fmt.Errorf("ontology: PoolConfig has limits below zero: %d a payer, %d bytes, %d transactions", c.PerPayer, c.MaxBytes, c.MaxTxs)
	}
	c.PerPayer = cmp.Or(c.PerPayer, DefaultPerPayer)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultPoolBytes)
	c.MaxTxs = cmp.Or(c.MaxTxs, DefaultPoolTxs)
	c.MinGasLimit = cmp.Or(c.MinGasLimit, DefaultMinGasLimit)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	p := &Pool{
		c: c, head: c.State.Status().Head,
		held: txpool.NewHeld[*pooled](), payers: map[codec.Address]int{},
		unfit: recent.NewSet[chain.Hash](unfitKept), forged: recent.NewSet[chain.Hash](unfitKept),
	}
	p.in = txpool.NewIntake(txpool.Holder{Admit: p.admit, Drop: p.drop, Own: p.Local}, badSignature, c.Logger)
	if c.Journal == "" {
		return p, nil
	}
	return p, p.restore(ctx)
}

// Has implements chain.TxPool.
func (p *Pool) Has(h chain.Hash) bool {
	p.held.Lock()
	defer p.held.Unlock()
	return p.held.ByHash[h] != nil || p.unfit.Has(h)
}

// Get implements chain.TxPool.
func (p *Pool) Get(h chain.Hash) (chain.Tx, bool) { return p.held.Get(h) }

// Len is the number of transactions and what they cost in bytes.
func (p *Pool) Len() (n, bytes int) { return p.held.Len() }

// Dropped counts, by reason, what was not taken, left the pool without a block
// or was lost to a lagging subscriber.
func (p *Pool) Dropped() map[string]uint64 { return p.in.Dropped() }

// Add implements chain.TxPool.
func (p *Pool) Add(txs []chain.Tx) []chain.Verdict {
	added, vs := p.in.Add(txs)
	if len(added) > 0 && len(added) < len(txs) {
		p.unchecked(txs, vs)
	}
	p.in.Publish(added)
	return vs
}

// unchecked marks what was ignored in a bundle that brings something new, where
// it was not looked at: such a bundle must not be relayed. What is in the pool,
// signatures and all, has been.
func (p *Pool) unchecked(txs []chain.Tx, vs []chain.Verdict) {
	p.held.Lock()
	defer p.held.Unlock()
	for i, v := range vs {
		if v.Action != chain.Ignore {
			continue
		}
		if t, err := codec.DecodeTx(txs[i].Bytes, codec.Strict); err == nil {
			if e := p.held.ByHash[t.Hash.Chain()]; e != nil && bytes.Equal(e.tx.Bytes, t.Raw) {
				continue
			}
		}
		vs[i] = chain.Ignored(chain.Unchecked)
	}
}

// Pending implements chain.TxPool: by the price of gas, then as they came.
func (p *Pool) Pending(most, maxBytes int) []chain.Tx {
	p.held.Lock()
	all := slices.Collect(maps.Values(p.held.ByHash))
	p.held.Unlock()
	slices.SortFunc(all, func(a, b *pooled) int {
		return cmp.Or(cmp.Compare(b.price, a.price), cmp.Compare(a.arrival, b.arrival))
	})
	var out []chain.Tx
	sum := 0
	for _, e := range all {
		if most > 0 && len(out) == most || maxBytes > 0 && sum+len(e.tx.Bytes) > maxBytes {
			break
		}
		sum += len(e.tx.Bytes)
		out = append(out, e.tx)
	}
	return out
}

// Subscribe implements chain.TxPool.
func (p *Pool) Subscribe(ctx context.Context) <-chan []chain.Tx { return p.in.Subscribe(ctx) }
