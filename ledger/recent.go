package ledger

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starlingp2p/starling/chain"
)

// What is kept of what was read last: peers that sync ask for the same.
const (
	recentHeaders = 4096
	recentNumbers = 4096
	recentHeader  = 2 << 10  // bytes; longer ones are not kept
	recentBytes   = 16 << 20 // of blocks
	recentBlock   = 1 << 20  // bytes; longer ones are not kept
)

// recent is the imported headers and blocks that were read last, by hash: a
// block never changes, and one that was imported is removed only while the
// ledger is opened. Canonical hashes by number are kept until a block is undone.
// It is safe for concurrent use; its lock is a leaf.
type recent struct {
	mu      sync.Mutex
	headers *simplelru.LRU[chain.Hash, chain.Header]
	numbers *simplelru.LRU[uint64, chain.Hash]
	age     uint64 // of numbers: how often they were forgotten
	blocks  *simplelru.LRU[chain.Hash, chain.Block]
	bytes   int // of blocks
}

func newRecent() *recent {
	r := &recent{}
	r.headers, _ = simplelru.NewLRU[chain.Hash, chain.Header](recentHeaders, nil)
	r.numbers, _ = simplelru.NewLRU[uint64, chain.Hash](recentNumbers, nil)
	// As many as would fit if they were empty; bytes are what bounds them.
	r.blocks, _ = simplelru.NewLRU(recentBytes>>8, func(_ chain.Hash, b chain.Block) { r.bytes -= b.Size() })
	return r
}

func (c *recent) header(hash chain.Hash) (chain.Header, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers.Get(hash)
}

func (c *recent) keepHeader(h chain.Header) {
	if len(h.Bytes) > recentHeader {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers.Add(h.Ref.Hash, h)
}

// number gives the canonical hash of a number, and the age to keep it with that
// is read where it is not here.
func (c *recent) number(n uint64) (h chain.Hash, age uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok = c.numbers.Get(n)
	return h, c.age, ok
}

// keepNumber keeps a canonical hash, unless blocks were undone since that age.
func (c *recent) keepNumber(n uint64, h chain.Hash, age uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age == c.age {
		c.numbers.Add(n, h)
	}
}

// undone forgets which blocks are canonical. It is called once readers see that
// some no longer are.
func (c *recent) undone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age++
	c.numbers.Purge()
}

func (c *recent) block(hash chain.Hash) (chain.Block, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks.Get(hash)
}

func (c *recent) keepBlock(b chain.Block) {
	if b.Size() > recentBlock {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocks.Contains(b.Header.Ref.Hash) {
		return
	}
	c.bytes += b.Size()
	c.blocks.Add(b.Header.Ref.Hash, b)
	for c.bytes > recentBytes {
		c.blocks.RemoveOldest()
	}
}

// walk goes along the canonical chain from a number on.
type walk struct{ it *pebble.Iterator }

// newWalk is at block from; at most count blocks follow.
func newWalk(r pebble.Reader, from uint64, count int) (walk, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: numbered(keyCanon, from), UpperBound: numbered(keyCanon, from+uint64(count)+1)})
	if err != nil {
		return walk{}, ioError("read", err)
	}
	it.First()
	return walk{it}, nil
}

// next is the block of number n, which follows the one before; ok is false where
// there is none.
func (w walk) next(n uint64) (at chain.Ref, ok bool, err error) {
	if !w.it.Next() {
		return at, false, ioError("read", w.it.Error())
	}
	v, err := w.it.ValueAndErr()
	if err != nil {
		return at, false, ioError("read", err)
	}
	raw, err := open(w.it.Key(), v)
	if err != nil {
		return at, false, err
	}
	if len(raw) != len(at.Hash) || string(w.it.Key()) != canonKey(n) {
		return at, false, corrupt("canonical hash of %d has %d bytes under key %x", n, len(raw), w.it.Key())
	}
	return chain.Ref{Number: n, Hash: chain.Hash(raw)}, true, nil
}

func (w walk) close() error { return ioError("read", w.it.Close()) }
