package eth

import (
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// bad is the fault of a peer that sent what does not decode.
func bad(format string, args ...any) error {
	return &wire.Fault{Offense: peer.BadEncoding, Err: fmt.Errorf("eth: "+format, args...)}
}

// cursor reads the items of an RLP list one after another. The first error
// stays, and what is read after it is zero.
type cursor struct {
	b   []byte
	err error
}

// message opens the list that a message is.
func message(b []byte) cursor {
	content, rest, err := rlp.SplitList(b)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes behind the list", len(rest))
	}
	return cursor{content, err}
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.b = nil
}

func (c *cursor) uint() uint64 {
	if c.err != nil {
		return 0
	}
	n, rest, err := rlp.SplitUint64(c.b)
	if err != nil {
		c.fail(err)
		return 0
	}
	c.b = rest
	return n
}

func (c *cursor) bool() bool {
	n := c.uint()
	if n > 1 {
		c.fail(fmt.Errorf("%d is no boolean", n))
	}
	return n == 1
}

func (c *cursor) bytes() []byte {
	if c.err != nil {
		return nil
	}
	s, rest, err := rlp.SplitString(c.b)
	if err != nil {
		c.fail(err)
		return nil
	}
	c.b = rest
	return s
}

// fixed fills dst from a string of just its length.
func (c *cursor) fixed(dst []byte) {
	s := c.bytes()
	if c.err != nil {
		return
	}
	if len(s) != len(dst) {
		c.fail(fmt.Errorf("a string has %d bytes, want %d", len(s), len(dst)))
		return
	}
	copy(dst, s)
}

func (c *cursor) hash() (h chain.Hash) {
	c.fixed(h[:])
	return h
}

// list opens a list inside.
func (c *cursor) list() cursor {
	if c.err != nil {
		return cursor{err: c.err}
	}
	content, rest, err := rlp.SplitList(c.b)
	if err != nil {
		c.fail(err)
		return cursor{err: err}
	}
	c.b = rest
	return cursor{b: content}
}

// weight reads a number of at most bits.
func (c *cursor) weight(bits int) (w chain.Weight) {
	s := c.bytes()
	switch {
	case c.err != nil:
	case len(s) > 0 && s[0] == 0:
		c.fail(fmt.Errorf("a number has leading zeros"))
	case len(s) > len(w) || 8*len(s) > bits+7:
		c.fail(fmt.Errorf("a number has %d bytes, at most %d bits", len(s), bits))
	default:
		copy(w[len(w)-len(s):], s)
		if w.Big().BitLen() > bits {
			c.fail(fmt.Errorf("a number has %d bits, at most %d", w.Big().BitLen(), bits))
		}
	}
	return w
}

// raw takes one item as it is.
func (c *cursor) raw() []byte {
	if c.err != nil {
		return nil
	}
	_, _, rest, err := rlp.Split(c.b)
	if err != nil {
		c.fail(err)
		return nil
	}
	item := c.b[: len(c.b)-len(rest) : len(c.b)-len(rest)]
	c.b = rest
	return item
}

// more reports whether items are left.
func (c *cursor) more() bool { return c.err == nil && len(c.b) > 0 }

// count counts the items that are left, and fails if there are over most.
func (c *cursor) count(most int) int {
	if c.err != nil {
		return 0
	}
	n, err := rlp.CountValues(c.b)
	if err == nil && n > most {
		err = fmt.Errorf("a list has %d items, at most %d", n, most)
	}
	if err != nil {
		c.fail(err)
		return 0
	}
	return n
}

// items takes all that is left as lists or strings that the caller knows.
func (c *cursor) items(most int) [][]byte {
	n := c.count(most)
	out := make([][]byte, 0, n)
	for c.more() {
		out = append(out, c.raw())
	}
	return out
}

// lists is items, each of which must be a list.
func (c *cursor) lists(most int) [][]byte {
	out := c.items(most)
	for _, item := range out {
		if item[0] < 0xc0 {
			c.fail(fmt.Errorf("an item is no list"))
			return nil
		}
	}
	return out
}

// hashItem is a hash with its RLP prefix.
const hashItem = 33

// end says what was wrong with a message, of which nothing may be left.
func (c *cursor) end(what string) error {
	if c.err == nil && len(c.b) > 0 {
		c.err = fmt.Errorf("%d bytes are left in the list", len(c.b))
	}
	if c.err != nil {
		return bad("%s: %v", what, c.err)
	}
	return nil
}

// nested is end for a list inside of c.
func (c *cursor) nested(in *cursor) {
	if in.err == nil && len(in.b) > 0 {
		in.err = fmt.Errorf("%d bytes are left in a list", len(in.b))
	}
	if in.err != nil {
		c.fail(in.err)
	}
}

// RequestID reads the id of a request or an answer, which is its first field.
func RequestID(b []byte) (uint64, error) {
	c := message(b)
	id := c.uint()
	if c.err != nil {
		return 0, bad("request id: %v", c.err)
	}
	return id, nil
}
