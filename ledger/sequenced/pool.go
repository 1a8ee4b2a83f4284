package sequenced

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/recent"
	"github.com/starlingp2p/starling/ledger/internal/txpool"
)

// Limits of a Pool, where its configuration says nothing.
const (
	DefaultPerSender = 64
	DefaultPoolBytes = 64 << 20
	// localPerSender and localBytes are for this node's own transactions,
	// which do not compete with those of others.
	localPerSender = 4096
	localBytes     = 64 << 20
	// maxSenders bounds the accounts that a new head makes us read again.
	maxSenders = 16384
	// unfitKept is how many rejected hashes are remembered.
	unfitKept = 4096
	// walkBlocks is how far a change of head is followed block by block.
	walkBlocks = 128
	// replaceNum/replaceDen is how much more fee replaces a transaction.
	replaceNum, replaceDen = 11, 10
	// txOverhead is what a transaction costs beside its bytes.
	txOverhead = 256
)

// StateReader is what a Pool needs of a ledger.
type StateReader interface {
	chain.Reader
	// State is the value under key after the head, nil where there is none,
	// with that head.
	State(ctx context.Context, key []byte) ([]byte, chain.Ref, error)
}

// PoolConfig configures a Pool. Family and State must be set.
type PoolConfig struct {
	Family *Family
	State  StateReader
	// Journal is the file in which AddLocal keeps transactions; empty: none.
	Journal string
	// FS is where the journal lies; nil: the disk.
	FS vfs.FS
	// PerSender bounds the transactions of a sender; 0: 64.
	PerSender int
	// MaxBytes bounds the transactions of others in sum, with some overhead
	// each; 0: 64 MiB. Own ones have as much for themselves.
	MaxBytes int
	Logger   *slog.Logger
}

// Pool holds transactions that wait for a block. It is safe for concurrent use
// and starts no goroutine. It is full when its bounds are reached: new
// transactions of others are ignored then, in favour of those that are there.
type Pool struct {
	c  PoolConfig
	f  *Family
	in *txpool.Intake

	held *txpool.Held[*pooled]
	// All below is guarded by the lock of held.
	head     chain.Ref
	senders  map[Address]*queue
	arrivals uint64
	purged   uint64 // the number of the head at the last purge
	unfit    recent.Set[chain.Hash]
}

type pooled struct {
	tx      chain.Tx
	t       Tx
	local   bool
	arrival uint64
	since   uint64 // the number of the head when it came
}

// Tx implements txpool.Entry.
func (e *pooled) Tx() chain.Tx { return e.tx }

// Cost implements txpool.Entry.
func (e *pooled) Cost() int { return len(e.tx.Bytes) + txOverhead }

// Own implements txpool.Entry.
func (e *pooled) Own() bool { return e.local }

// Compare implements txpool.Entry: by sender, each one's by ascending nonce.
func (e *pooled) Compare(o *pooled) int {
	return cmp.Or(bytes.Compare(e.t.From[:], o.t.From[:]), cmp.Compare(e.t.Nonce, o.t.Nonce))
}

// queue is a sender's transactions by ascending nonce.
type queue struct {
	txs     []*pooled
	account Account
	known   bool // account is that of the pool's head
}

var (
	_ chain.TxPool      = (*Pool)(nil)
	_ chain.LocalTxPool = (*Pool)(nil)
)

// NewPool makes a pool and restores the journal. It reads the disk.
func NewPool(ctx context.Context, c PoolConfig) (*Pool, error) {
	if c.Family == nil || c.State == nil {
		return nil, errors.New("sequenced: PoolConfig needs Family and State")
	}
	if c.PerSender < 0 || c.MaxBytes < 0 {
		return nil, fmt.Errorf("sequenced: PoolConfig has limits below zero: %d a sender, %d bytes", c.PerSender, c.MaxBytes)
	}
	if c.PerSender == 0 {
		c.PerSender = DefaultPerSender
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultPoolBytes
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pool{
		c: c, f: c.Family,
		head:    c.State.Status().Head,
		held:    txpool.NewHeld[*pooled](),
		senders: map[Address]*queue{},
		unfit:   recent.NewSet[chain.Hash](unfitKept),
	}
	p.in = txpool.NewIntake(txpool.Holder{Admit: p.admit, Drop: p.drop, Own: p.Local}, badSignature, c.Logger)
	if c.Journal == "" {
		return p, nil
	}
	if err := p.in.Restore(c.FS, c.Journal, c.Family.c.MaxTxBytes); err != nil {
		return nil, err
	}
	if err := p.load(ctx); err != nil {
		return nil, p.in.Abandon(err)
	}
	return p, p.in.Rotate(true)
}

// Close closes the journal. The pool is not to be used after it.
func (p *Pool) Close() error { return p.in.Close() }

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

// Dropped counts, by reason, what was not taken or was lost to a lagging
// subscriber.
func (p *Pool) Dropped() map[string]uint64 { return p.in.Dropped() }

// badSignature is the reason that costs us the most.
const badSignature = "bad-signature"

// Add implements chain.TxPool.
func (p *Pool) Add(txs []chain.Tx) []chain.Verdict {
	added, vs := p.in.Add(txs)
	p.vouch(txs, vs, len(added))
	p.in.Publish(added)
	return vs
}

// AddLocal implements chain.LocalTxPool. A transaction that is accepted is in
// the journal, synced, when AddLocal returns. It blocks on the disk.
func (p *Pool) AddLocal(ctx context.Context, txs []chain.Tx) []chain.Verdict {
	return p.in.AddLocal(ctx, txs)
}

// Subscribe implements chain.TxPool.
func (p *Pool) Subscribe(ctx context.Context) <-chan []chain.Tx { return p.in.Subscribe(ctx) }

// admit checks an encoded transaction, cheapest first, and takes it in.
func (p *Pool) admit(b []byte, local bool) (chain.Tx, chain.Verdict) {
	no := func(v chain.Verdict) (chain.Tx, chain.Verdict) {
		p.in.Count(v.Reason, 1)
		return chain.Tx{}, v
	}
	if len(b) > p.f.c.MaxTxBytes {
		return no(chain.Rejected("too-large"))
	}
	t, err := DecodeTx(b)
	if err != nil {
		return no(chain.Rejected("bad-encoding"))
	}
	if t.Chain != p.f.id {
		return no(chain.Rejected("wrong-network"))
	}
	digest := unsigned(b)
	hash := txHash(digest, b)
	e := &pooled{tx: chain.Tx{Hash: hash, Sender: string(t.From[:]), Kind: t.Kind, Bytes: b}, t: t, local: local}
	p.held.Lock()
	v := p.fit(e)
	p.held.Unlock()
	if v.Reason != "" {
		return no(v)
	}
	if !ed25519.Verify(t.From[:], txPreimage(p.f.hash, digest), t.Sig[:]) {
		p.held.Lock()
		p.unfit.Add(hash)
		p.held.Unlock()
		return no(chain.Rejected(badSignature))
	}
	p.held.Lock()
	defer p.held.Unlock()
	if v := p.fit(e); v.Reason != "" { // another may have come while we verified
		return no(v)
	}
	p.insert(e)
	return e.tx, chain.Accepted()
}

// fit says why a transaction is not wanted now; an empty reason: it is. But for
// a forgery that is known as one, none of these is its deliverer's fault.
func (p *Pool) fit(e *pooled) chain.Verdict {
	if p.held.ByHash[e.tx.Hash] != nil {
		return chain.Ignored("known")
	}
	if p.unfit.Has(e.tx.Hash) {
		return chain.Rejected(badSignature)
	}
	perSender, maxBytes, pile := p.c.PerSender, p.c.MaxBytes, p.held.Others
	if e.local {
		perSender, maxBytes, pile = localPerSender, localBytes, p.held.Ours
	}
	q := p.senders[e.t.From]
	if q == nil {
		if !e.local && len(p.senders) >= maxSenders {
			return chain.Ignored("too-many-senders")
		}
		q = &queue{}
	}
	if q.known {
		if e.t.Nonce < q.account.Nonce {
			return chain.Ignored("nonce-used")
		}
		if e.t.Nonce-q.account.Nonce >= uint64(perSender) {
			return chain.Ignored("nonce-too-far-ahead")
		}
	}
	if i, ok := q.find(e.t.Nonce); ok {
		old := q.txs[i]
		if old.local && !e.local || e.t.Fee <= old.t.Fee || e.t.Fee/replaceNum < old.t.Fee/replaceDen {
			return chain.Ignored("underpriced-replacement")
		}
		return chain.Verdict{}
	}
	if len(q.txs) >= perSender {
		return chain.Ignored("sender-full")
	}
	if pile.Bytes+e.Cost() > maxBytes {
		return chain.Ignored("pool-full")
	}
	return chain.Verdict{}
}

func (q *queue) find(nonce uint64) (int, bool) {
	return slices.BinarySearchFunc(q.txs, nonce, func(e *pooled, n uint64) int {
		switch {
		case e.t.Nonce < n:
			return -1
		case e.t.Nonce > n:
			return 1
		}
		return 0
	})
}

func (p *Pool) insert(e *pooled) {
	q := p.senders[e.t.From]
	if q == nil {
		q = &queue{}
		p.senders[e.t.From] = q
	}
	i, ok := q.find(e.t.Nonce)
	if ok {
		p.held.Remove(q.txs[i])
		q.txs[i] = e
	} else {
		q.txs = slices.Insert(q.txs, i, e)
	}
	p.arrivals++
	e.arrival, e.since = p.arrivals, p.head.Number
	p.held.Put(e)
}

// drop takes a transaction out.
func (p *Pool) drop(h chain.Hash, reason string) {
	p.held.Lock()
	defer p.held.Unlock()
	e := p.held.ByHash[h]
	if e == nil {
		return
	}
	p.held.Remove(e)
	p.in.Count(reason, 1)
	q := p.senders[e.t.From]
	if i, ok := q.find(e.t.Nonce); ok && q.txs[i] == e {
		q.txs = slices.Delete(q.txs, i, i+1)
	}
	if len(q.txs) == 0 {
		delete(p.senders, e.t.From)
	}
}
