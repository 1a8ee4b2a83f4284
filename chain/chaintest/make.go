package chaintest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/starlingp2p/starling/chain"
)

// Make says how a block is to look. The zero Make is a child with one small
// transaction. Equal parents and Makes give equal blocks.
type Make struct {
	Branch uint64        // another number is another block
	Txs    [][]byte      // its transactions; nil: one that is made up
	Size   int           // bytes of the body: it is filled up with a transaction of random bytes
	Weight uint32        // what it adds to its branch; 0: 1
	After  time.Duration // after its parent, in whole milliseconds; 0: Config.BlockTime
	Forged bool          // sealed by somebody else's key
}

// fillBytes is the size of the body of a block that asks for nothing.
const fillBytes = 68

// Genesis is the first block.
func (c *Chain) Genesis() chain.Block { return c.genesis }

// Head is the canonical block of the highest number.
func (c *Chain) Head() chain.Block {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.blocks[c.canon[len(c.canon)-1]].block
}

// Next makes a child of parent and imports nothing. parent need not be
// imported.
func (c *Chain) Next(parent chain.Header, m Make) chain.Block {
	f := fields{
		number: parent.Ref.Number + 1,
		parent: parent.Ref.Hash,
		time:   parent.Time.Add(c.cfg.BlockTime),
		branch: m.Branch,
		weight: max(m.Weight, 1),
	}
	if m.After > 0 {
		f.time = parent.Time.Add(m.After)
	}
	key := c.key
	if m.Forged {
		key = keyOf(c.cfg, "forger")
	}
	return c.seal(key, f, fill(parent.Ref.Hash, m))
}

// fill makes a body.
func fill(parent chain.Hash, m Make) []byte {
	body := []byte{}
	for _, tx := range m.Txs {
		body = appendTx(body, tx)
	}
	if m.Txs == nil && m.Size == 0 {
		m.Size = fillBytes
	}
	if n := m.Size - len(body) - txPrefixBytes; n > 0 {
		var seed [32]byte
		copy(seed[:], parent[:])
		binary.BigEndian.PutUint64(seed[:], m.Branch^binary.BigEndian.Uint64(parent[:]))
		tx := make([]byte, n)
		rand.NewChaCha8(seed).Read(tx) // never fails: see its documentation
		body = appendTx(body, tx)
	}
	return body
}

// seal makes a block of f and body.
func (c *Chain) seal(key [32]byte, f fields, body []byte) chain.Block {
	f.bodyLen, f.bodyHash = uint32(len(body)), sha256.Sum256(body)
	b := chain.Block{Header: f.header(key), Body: body}
	if c.cfg.Extra {
		b.Extra = extraOf(f.bodyHash)
	}
	return b
}

// Forge is b as somebody without the key would make it: the same parent, body
// and fields, sealed by another key.
func (c *Chain) Forge(b chain.Block) chain.Block {
	f, err := parse(b.Header)
	if err != nil {
		panic(fmt.Sprintf("chaintest: Forge of a block that is none: %v", err))
	}
	return c.seal(keyOf(c.cfg, "forger"), f, b.Body)
}

// BuildOn makes n blocks, each the child of the one before, the first that of
// parent, and imports none.
func (c *Chain) BuildOn(parent chain.Header, n int, m Make) []chain.Block {
	blocks := make([]chain.Block, 0, n)
	for range n {
		b := c.Next(parent, m)
		blocks = append(blocks, b)
		parent = b.Header
	}
	return blocks
}

// Build makes n blocks on the head and imports none.
func (c *Chain) Build(n int) []chain.Block { return c.BuildOn(c.Head().Header, n, Make{}) }

// Extend makes n blocks on the head and imports them. It panics if that
// fails, which it does only under a fault of the test's own.
func (c *Chain) Extend(n int) []chain.Block {
	blocks := c.Build(n)
	if _, err := c.Import(context.Background(), blocks); err != nil {
		panic(fmt.Sprintf("chaintest: %v", err))
	}
	return blocks
}

// Headers gives the headers of blocks.
func Headers(blocks []chain.Block) []chain.Header {
	hs := make([]chain.Header, len(blocks))
	for i, b := range blocks {
		hs[i] = b.Header
	}
	return hs
}
