// Package counterchain is a whole chain in one file, as a first chain on
// Starling: one key signs blocks, each block adds a number to a counter. A
// peer can offer any bytes, but only the key's holder can make a block of them.
package counterchain

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
)

// region: make

// A header is: number 8, parent 32, Unix milliseconds 8, digest of the body
// 32, signature 64 bytes. The body is the number to add, in 8 bytes.
const signed, whole = 80, 80 + ed25519.SignatureSize

// Seal makes the child of parent that adds n. Only the holder of key can.
func Seal(key ed25519.PrivateKey, parent chain.Header, at time.Time, n uint64) chain.Block {
	body := binary.BigEndian.AppendUint64(nil, n)
	digest := sha256.Sum256(body)
	b := binary.BigEndian.AppendUint64(nil, parent.Ref.Number+1)
	b = append(b, parent.Ref.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixMilli()))
	b = append(b, digest[:]...)
	return chain.Block{Header: decode(append(b, ed25519.Sign(key, b)...)), Body: body}
}

func decode(b []byte) chain.Header {
	ref := chain.Ref{Number: binary.BigEndian.Uint64(b), Hash: sha256.Sum256(b)}
	at := time.UnixMilli(int64(binary.BigEndian.Uint64(b[40:]))).UTC()
	return chain.Header{Ref: ref, Parent: chain.Hash(b[8:40]), Time: at, Bytes: b}
}

// region: check

func (c *Chain) VerifyHeaders(parent chain.Header, hs []chain.Header) (int, error) {
	for i, h := range hs {
		if !c.authentic(h) || h.Parent != parent.Ref.Hash || h.Ref.Number != parent.Ref.Number+1 {
			return i, fmt.Errorf("%w: header %s on %s", chain.ErrInvalid, h.Ref, parent.Ref)
		}
		parent = h
	}
	return len(hs), nil
}

// authentic says whether h is what its bytes say, and the key signed them.
func (c *Chain) authentic(h chain.Header) bool {
	if len(h.Bytes) != whole || !ed25519.Verify(c.key, h.Bytes[:signed], h.Bytes[signed:]) {
		return false
	}
	d := decode(h.Bytes)
	return d.Ref == h.Ref && d.Parent == h.Parent && d.Time.Equal(h.Time)
}

func (c *Chain) VerifyBody(h chain.Header, body, extra []byte) error {
	if len(h.Bytes) != whole || len(body) != 8 || len(extra) > 0 || sha256.Sum256(body) != [32]byte(h.Bytes[48:80]) {
		return fmt.Errorf("%w: body of %s", chain.ErrInvalid, h.Ref)
	}
	return nil
}

func (c *Chain) Check(b chain.Block) chain.Verdict {
	if !c.authentic(b.Header) || c.VerifyBody(b.Header, b.Body, b.Extra) != nil {
		return chain.Rejected("not-signed")
	}
	return chain.Accepted()
}

// region: hold

// Chain is a chain.Chain in memory. Its key signs one block for each number.
type Chain struct {
	key    ed25519.PublicKey
	mu     sync.Mutex
	blocks []chain.Block              // imported, by number
	known  map[chain.Hash]chain.Block // imported and staged
}

// New is the chain of a key, which its genesis names.
func New(key ed25519.PublicKey) *Chain {
	g := chain.Block{Header: chain.Header{Ref: chain.Ref{Hash: sha256.Sum256(key)}, Time: time.UnixMilli(0).UTC(), Bytes: key}}
	return &Chain{key: key, blocks: []chain.Block{g}, known: map[chain.Hash]chain.Block{g.Ref().Hash: g}}
}

func (c *Chain) lock() (unlock func()) { c.mu.Lock(); return c.mu.Unlock }

func (c *Chain) imported(r chain.Ref) bool {
	return r.Number < uint64(len(c.blocks)) && c.blocks[r.Number].Ref() == r
}

// region: import

func (c *Chain) Import(_ context.Context, blocks []chain.Block) (int, error) {
	defer c.lock()()
	for i, b := range blocks {
		if c.imported(b.Ref()) {
			continue
		}
		if b.Header.Parent != c.blocks[len(c.blocks)-1].Ref().Hash {
			return i, fmt.Errorf("%w of %s", chain.ErrUnknownParent, b.Ref())
		}
		c.blocks, c.known[b.Ref().Hash] = append(c.blocks, b), b
	}
	return len(blocks), nil
}

func (c *Chain) Stage(_ context.Context, blocks []chain.Block) error {
	defer c.lock()()
	for _, b := range blocks {
		c.known[b.Ref().Hash] = b
	}
	return nil
}

func (c *Chain) Staged(context.Context) (refs []chain.Ref, _ error) {
	defer c.lock()()
	for _, b := range c.known {
		if !c.imported(b.Ref()) {
			refs = append(refs, b.Ref())
		}
	}
	slices.SortFunc(refs, func(a, b chain.Ref) int { return cmp.Compare(a.Number, b.Number) })
	return refs, nil
}

// region: read

func (c *Chain) Status() chain.Status {
	defer c.lock()()
	head := c.blocks[len(c.blocks)-1].Ref()
	return chain.Status{Network: "counter", Genesis: c.blocks[0].Ref().Hash, Head: head, Weight: chain.WeightOf(head.Number)}
}

func (c *Chain) Block(_ context.Context, r chain.Ref) (chain.Block, error) {
	defer c.lock()()
	if r.Hash.IsZero() && r.Number < uint64(len(c.blocks)) {
		return c.blocks[r.Number], nil
	}
	if b, ok := c.known[r.Hash]; ok {
		return b, nil
	}
	return chain.Block{}, fmt.Errorf("%w: block %s", chain.ErrNotFound, r)
}

func (c *Chain) Header(ctx context.Context, r chain.Ref) (chain.Header, error) {
	b, err := c.Block(ctx, r)
	return b.Header, err
}

func (c *Chain) Blocks(ctx context.Context, r chain.Range) ([]chain.Block, error) {
	return chain.WalkBlocks(ctx, r, c.Block)
}

func (c *Chain) Headers(ctx context.Context, r chain.Range) ([]chain.Header, error) {
	return chain.WalkHeaders(ctx, r, c.Header)
}
