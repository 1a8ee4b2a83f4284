package codec

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// cursor walks the fields of one message. It skips nothing by itself: a
// decoder that does not know field.num just goes on, which ignores the field.
// The first error ends the walk and stays.
type cursor struct {
	msg  string // for errors
	rest []byte
	err  error
	seen uint64 // singular fields that have occurred, by number below 64

	num   protowire.Number
	typ   protowire.Type
	value uint64
	data  []byte
}

// next moves to the next field.
func (c *cursor) next() bool {
	if c.err != nil || len(c.rest) == 0 {
		return false
	}
	num, typ, n := protowire.ConsumeTag(c.rest)
	if n < 0 {
		return c.fail("bad tag: %w", protowire.ParseError(n))
	}
	b := c.rest[n:]
	c.num, c.typ = num, typ
	switch typ {
	case protowire.VarintType:
		c.value, n = protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		_, n = protowire.ConsumeFixed32(b)
	case protowire.Fixed64Type:
		_, n = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		c.data, n = protowire.ConsumeBytes(b)
	default: // groups, which could nest
		return c.fail("field %d has wire type %d", num, typ)
	}
	if n < 0 {
		return c.fail("field %d: %w", num, protowire.ParseError(n))
	}
	c.rest = b[n:]
	return true
}

// fail notes an error and reports false.
func (c *cursor) fail(format string, args ...any) bool {
	if c.err == nil {
		c.err = fault(peer.BadEncoding, c.msg+": "+format, args...)
	}
	return false
}

// is checks the current field's wire type, and unless it is repeated that it
// has not occurred before.
func (c *cursor) is(t protowire.Type, repeated bool) bool {
	if c.typ != t {
		return c.fail("field %d has wire type %d, want %d", c.num, c.typ, t)
	}
	if repeated {
		return true
	}
	if bit := uint64(1) << c.num; c.seen&bit != 0 {
		return c.fail("field %d occurs twice", c.num)
	} else {
		c.seen |= bit
	}
	return true
}

func (c *cursor) uint64() uint64 {
	if !c.is(protowire.VarintType, false) {
		return 0
	}
	return c.value
}

// saturated is a number that is cut at max.
func (c *cursor) saturated(max uint64) uint64 { return min(c.uint64(), max) }

func (c *cursor) uint32() uint32 {
	v := c.uint64()
	if v > 1<<32-1 {
		c.fail("field %d is %d, over 32 bits", c.num, v)
		return 0
	}
	return uint32(v)
}

func (c *cursor) bool() bool {
	v := c.uint64()
	if v > 1 {
		c.fail("field %d is %d, want a bool", c.num, v)
	}
	return v == 1
}

// bytes is a field's content; it aliases the input. Its capacity ends with it.
func (c *cursor) bytes() []byte {
	if !c.is(protowire.BytesType, false) {
		return nil
	}
	return c.data[:len(c.data):len(c.data)]
}

// repeated is one item of a repeated field; it aliases the input.
func (c *cursor) repeated() []byte {
	if !c.is(protowire.BytesType, true) {
		return nil
	}
	return c.data[:len(c.data):len(c.data)]
}

func (c *cursor) hash() chain.Hash {
	var h chain.Hash
	b := c.bytes()
	if len(b) != 0 && len(b) != len(h) {
		c.fail("field %d: hash of %d bytes", c.num, len(b))
		return h
	}
	copy(h[:], b)
	return h
}

// text is cleaned and cut at max.
func (c *cursor) text(max int) string {
	return cutText(peer.Clean(string(clip(c.bytes(), 4*max))), max)
}

// name is text that means something to the protocol, and so is refused where
// it is too long or not clean.
func (c *cursor) name(max int) string {
	b := c.bytes()
	if len(b) > max {
		c.fail("field %d has %d bytes, bound %d", c.num, len(b), max)
		return ""
	}
	s := string(b)
	if !isClean(s) {
		c.fail("field %d is not clean text", c.num)
		return ""
	}
	return s
}

// isClean reports whether s is fit to show as it is; over peer.MaxText only
// printable ASCII is.
func isClean(s string) bool {
	if len(s) <= peer.MaxText {
		return peer.Clean(s) == s
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func clip(b []byte, n int) []byte { return b[:min(len(b), n)] }

// cutText cuts s at max bytes, not inside a rune.
func cutText(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

// count is how often field num occurs in b, as far as b parses, and at most
// limit+1: it bounds what a list may take before memory is taken for it.
func count(b []byte, num protowire.Number, limit int) int {
	total := 0
	c := cursor{rest: b}
	for total <= limit && c.next() {
		if c.num == num && c.typ == protowire.BytesType {
			total++
		}
	}
	return total
}

func appendUint(dst []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	dst = protowire.AppendTag(dst, num, protowire.VarintType)
	return protowire.AppendVarint(dst, v)
}

func appendBool(dst []byte, num protowire.Number, v bool) []byte {
	if !v {
		return dst
	}
	return appendUint(dst, num, 1)
}

func appendBytes(dst []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return dst
	}
	return appendItem(dst, num, v)
}

// appendItem is appendBytes for an item of a list, which is written though empty.
func appendItem(dst []byte, num protowire.Number, v []byte) []byte {
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	return protowire.AppendBytes(dst, v)
}

func appendText(dst []byte, num protowire.Number, v string, max int) []byte {
	v = cutText(v, max)
	if v == "" {
		return dst
	}
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	return protowire.AppendString(dst, v)
}

func appendHash(dst []byte, num protowire.Number, h chain.Hash) []byte {
	if h.IsZero() {
		return dst
	}
	return appendItem(dst, num, h[:])
}

// appendHead appends the tag and length of a message of n bytes.
func appendHead(dst []byte, num protowire.Number, n int) []byte {
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	return protowire.AppendVarint(dst, uint64(n))
}

// Sizes of what the functions above append.
func sizeUint(num protowire.Number, v uint64) int {
	if v == 0 {
		return 0
	}
	return protowire.SizeTag(num) + protowire.SizeVarint(v)
}

func sizeBytes(num protowire.Number, n int) int {
	if n == 0 {
		return 0
	}
	return sizeItem(num, n)
}

func sizeItem(num protowire.Number, n int) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(n)
}

func sizeHash(num protowire.Number, h chain.Hash) int {
	if h.IsZero() {
		return 0
	}
	return sizeItem(num, len(h))
}
