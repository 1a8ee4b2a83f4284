package codec

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/starlingp2p/starling/chain"
)

// The times that a header can have, in seconds since 1970: year 1 to 9999.
const (
	minSeconds = -62135596800
	maxSeconds = 253402300799
	maxNanos   = 1e9 - 1
)

// AppendHeader appends h as a Header message. Its hash is set, and its time
// lies in the years 1 to 9999 or is cut to them.
func AppendHeader(dst []byte, h chain.Header) []byte {
	seconds, nanos := headerTime(h.Time)
	dst = appendUint(dst, 1, h.Ref.Number)
	dst = appendHash(dst, 2, h.Ref.Hash)
	dst = appendHash(dst, 3, h.Parent)
	dst = appendUint(dst, 4, seconds)
	dst = appendUint(dst, 5, nanos)
	return appendBytes(dst, 6, h.Bytes)
}

func sizeHeader(h chain.Header) int {
	seconds, nanos := headerTime(h.Time)
	return sizeUint(1, h.Ref.Number) + sizeHash(2, h.Ref.Hash) + sizeHash(3, h.Parent) +
		sizeUint(4, seconds) + sizeUint(5, nanos) + sizeBytes(6, len(h.Bytes))
}

// headerTime is t as the fields have it.
func headerTime(t time.Time) (zigzag, nanos uint64) {
	s := t.Unix()
	if s < minSeconds || s > maxSeconds {
		return protowire.EncodeZigZag(min(max(s, minSeconds), maxSeconds)), 0
	}
	return protowire.EncodeZigZag(s), uint64(t.Nanosecond())
}

// DecodeHeader reads a Header message. Its Bytes alias b.
func DecodeHeader(b []byte) (chain.Header, error) {
	var h chain.Header
	var seconds, nanos uint64
	c := cursor{msg: "header", rest: b}
	for c.next() {
		switch c.num {
		case 1:
			h.Ref.Number = c.uint64()
		case 2:
			h.Ref.Hash = c.hash()
		case 3:
			h.Parent = c.hash()
		case 4:
			seconds = c.uint64()
		case 5:
			nanos = c.uint64()
		case 6:
			h.Bytes = c.bytes()
		}
	}
	s := protowire.DecodeZigZag(seconds)
	if c.err == nil && (s < minSeconds || s > maxSeconds || nanos > maxNanos) {
		c.fail("time %d s + %d ns is outside the years 1 to 9999", s, nanos)
	}
	if c.err == nil && h.Ref.Hash.IsZero() {
		c.fail("no hash")
	}
	if c.err != nil {
		return chain.Header{}, c.err
	}
	h.Time = time.Unix(s, int64(nanos)).UTC()
	return h, nil
}
