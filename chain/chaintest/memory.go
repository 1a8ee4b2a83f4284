package chaintest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
)

// Config describes a Chain. Its zero value works. Chains of equal Config have
// the same genesis and take each other's blocks.
type Config struct {
	Network   string        // "chaintest" if empty
	Seed      uint64        // another seed is another genesis and another key
	BlockTime time.Duration // between a block and its child, in whole milliseconds; 0: one second
	MaxReorg  int           // how many blocks may be undone; 0: 64. What lies deeper is final
	Extra     bool          // blocks carry Extra
}

func (c Config) withDefaults() Config {
	if c.Network == "" {
		c.Network = "chaintest"
	}
	if c.BlockTime <= 0 {
		c.BlockTime = time.Second
	}
	if c.MaxReorg <= 0 {
		c.MaxReorg = 64
	}
	return c
}

// stored is an imported block and the weight of the branch that it ends.
type stored struct {
	block  chain.Block
	weight uint64
}

// Chain is a chain in memory. It implements chain.Chain and chain.TxReader.
// The branch of most weight is canonical; of two that weigh the same, the one
// that was there first. All methods are safe for concurrent use.
type Chain struct {
	cfg     Config
	key     [32]byte
	genesis chain.Block
	status  atomic.Pointer[chain.Status]
	faults  faults

	mu     sync.RWMutex // never held across a channel operation
	blocks map[chain.Hash]stored
	canon  []chain.Hash // by number
	txs    map[chain.Hash]txPlace
	staged map[chain.Hash]chain.Block
}

// txPlace is a canonical transaction and the number of its block.
type txPlace struct {
	tx     chain.Tx
	number uint64
}

// NewChain makes a chain that holds its genesis.
func NewChain(cfg Config) *Chain {
	cfg = cfg.withDefaults()
	c := &Chain{cfg: cfg, key: keyOf(cfg, "signer")}
	c.genesis = c.seal(c.key, fields{time: time.UnixMilli(genesisTime).UTC(), branch: cfg.Seed, weight: 1}, []byte{})
	c.blocks = map[chain.Hash]stored{c.genesis.Header.Ref.Hash: {block: c.genesis}}
	c.canon = []chain.Hash{c.genesis.Header.Ref.Hash}
	c.txs = map[chain.Hash]txPlace{}
	c.staged = map[chain.Hash]chain.Block{}
	c.publish(chain.Ref{})
	return c
}

// genesisTime is the first moment of the year 2000, UTC, in Unix milliseconds:
// when the clock of a testing/synctest bubble starts.
const genesisTime = 946684800000

func keyOf(cfg Config, who string) [32]byte {
	b := binary.BigEndian.AppendUint64([]byte(who), cfg.Seed)
	return sha256.Sum256(append(b, cfg.Network...))
}

// Reopen gives the chain as it is found after a crash: a new Chain that holds
// what was imported and staged, and no faults. The old one lives on apart.
func (c *Chain) Reopen() *Chain {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := &Chain{cfg: c.cfg, key: c.key, genesis: c.genesis}
	n.blocks = make(map[chain.Hash]stored, len(c.blocks))
	for h, s := range c.blocks {
		n.blocks[h] = s
	}
	n.canon = append([]chain.Hash(nil), c.canon...)
	n.txs = make(map[chain.Hash]txPlace, len(c.txs))
	for h, p := range c.txs {
		n.txs[h] = p
	}
	n.staged = make(map[chain.Hash]chain.Block, len(c.staged))
	for h, b := range c.staged {
		n.staged[h] = b
	}
	n.status.Store(c.status.Load())
	return n
}

// Status implements chain.Reader.
func (c *Chain) Status() chain.Status { return *c.status.Load() }

// publish makes Status tell of the canonical head. The caller holds mu.
func (c *Chain) publish(finalized chain.Ref) {
	head := c.blocks[c.canon[len(c.canon)-1]]
	if n := len(c.canon) - 1 - c.cfg.MaxReorg; n > 0 && uint64(n) > finalized.Number {
		finalized = chain.Ref{Number: uint64(n), Hash: c.canon[n]}
	}
	c.status.Store(&chain.Status{
		Network:   c.cfg.Network,
		Genesis:   c.genesis.Header.Ref.Hash,
		Head:      head.block.Ref(),
		Finalized: finalized,
		Weight:    chain.WeightOf(head.weight),
	})
}

// Header implements chain.Reader.
func (c *Chain) Header(ctx context.Context, ref chain.Ref) (chain.Header, error) {
	b, err := c.Block(ctx, ref)
	return b.Header, err
}

// Block implements chain.Reader.
func (c *Chain) Block(ctx context.Context, ref chain.Ref) (chain.Block, error) {
	if err := c.faults.reads.wait(ctx); err != nil {
		return chain.Block{}, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s, ok := c.find(ref); ok {
		return s.block, nil
	}
	if b, ok := c.staged[ref.Hash]; ok {
		return b, nil
	}
	return chain.Block{}, fmt.Errorf("block %s: %w", ref, chain.ErrNotFound)
}

// find gives an imported block. The caller holds mu.
func (c *Chain) find(ref chain.Ref) (stored, bool) {
	if ref.Hash.IsZero() {
		if ref.Number >= uint64(len(c.canon)) {
			return stored{}, false
		}
		ref.Hash = c.canon[ref.Number]
	}
	s, ok := c.blocks[ref.Hash]
	return s, ok
}

// Headers implements chain.Reader.
func (c *Chain) Headers(ctx context.Context, r chain.Range) ([]chain.Header, error) {
	blocks, err := c.walk(ctx, r, func(b chain.Block) int { return len(b.Header.Bytes) })
	if err != nil {
		return nil, err
	}
	headers := make([]chain.Header, len(blocks))
	for i, b := range blocks {
		headers[i] = b.Header
	}
	return headers, nil
}

// Blocks implements chain.Reader.
func (c *Chain) Blocks(ctx context.Context, r chain.Range) ([]chain.Block, error) {
	return c.walk(ctx, r, chain.Block.Size)
}

// walk gives the blocks of a range, which the peer chose: nothing is allocated
// by its numbers, and they are compared so that no sum overflows.
func (c *Chain) walk(ctx context.Context, r chain.Range, size func(chain.Block) int) ([]chain.Block, error) {
	if err := c.faults.reads.wait(ctx); err != nil {
		return nil, err
	}
	if r.Count <= 0 || r.Skip < 0 {
		return nil, nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	first, ok := c.find(r.From)
	if !ok {
		return nil, fmt.Errorf("range from %s: %w", r.From, chain.ErrNotFound)
	}
	next := c.follower(first.block, r.Reverse)
	stride := uint64(r.Skip) + 1
	var out []chain.Block
	sum := 0
	for at, more := first.block, true; more && len(out) < r.Count; at, more = next(at, stride) {
		sum += size(at)
		if r.MaxBytes > 0 && len(out) > 0 && sum > r.MaxBytes {
			break
		}
		out = append(out, at)
	}
	return out, nil
}

// follower gives the step from one block to the one that is stride blocks on:
// along the canonical branch, or along the branch of first where it has one of
// its own. The caller holds mu.
func (c *Chain) follower(first chain.Block, reverse bool) func(chain.Block, uint64) (chain.Block, bool) {
	if reverse {
		return func(b chain.Block, stride uint64) (chain.Block, bool) {
			if stride > b.Header.Ref.Number {
				return chain.Block{}, false
			}
			for ; stride > 0; stride-- {
				if n := b.Header.Ref.Number; c.canon[min(n, uint64(len(c.canon)-1))] == b.Header.Ref.Hash {
					return c.blocks[c.canon[n-stride]].block, true
				}
				b = c.blocks[b.Header.Parent].block
			}
			return b, true
		}
	}
	path := c.canon
	if n := first.Header.Ref.Number; n >= uint64(len(c.canon)) || c.canon[n] != first.Header.Ref.Hash {
		path = c.branchThrough(first)
	}
	return func(b chain.Block, stride uint64) (chain.Block, bool) {
		left := uint64(len(path)) - 1 - b.Header.Ref.Number
		if stride > left {
			return chain.Block{}, false
		}
		return c.blocks[path[b.Header.Ref.Number+stride]].block, true
	}
}

// branchThrough gives the hashes by number of the heaviest branch through a
// block that is not canonical. The caller holds mu.
func (c *Chain) branchThrough(b chain.Block) []chain.Hash {
	best := c.blocks[b.Header.Ref.Hash]
	for h, s := range c.blocks {
		if s.weight < best.weight || s.weight == best.weight && !less(h, best.block.Header.Ref.Hash) {
			continue
		}
		if at := s.block; c.descends(at, b) {
			best = s
		}
	}
	path := make([]chain.Hash, best.block.Header.Ref.Number+1)
	for at := best.block; ; at = c.blocks[at.Header.Parent].block {
		path[at.Header.Ref.Number] = at.Header.Ref.Hash
		if at.Header.Ref.Number == 0 {
			return path
		}
	}
}

// descends reports whether b is anc or descends from it. The caller holds mu.
func (c *Chain) descends(b, anc chain.Block) bool {
	for b.Header.Ref.Number > anc.Header.Ref.Number {
		b = c.blocks[b.Header.Parent].block
	}
	return b.Header.Ref.Hash == anc.Header.Ref.Hash
}

func less(a, b chain.Hash) bool { return string(a[:]) < string(b[:]) }

// Tx implements chain.TxReader.
func (c *Chain) Tx(ctx context.Context, hash chain.Hash) (chain.Tx, error) {
	if err := c.faults.reads.wait(ctx); err != nil {
		return chain.Tx{}, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, ok := c.txs[hash]
	if !ok {
		return chain.Tx{}, fmt.Errorf("transaction %s: %w", hash, chain.ErrNotFound)
	}
	return p.tx, nil
}
