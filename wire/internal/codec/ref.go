package codec

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/starlingp2p/starling/chain"
)

// appendRef appends a Ref message as field num; the zero Ref is left out.
func appendRef(dst []byte, num protowire.Number, r chain.Ref) []byte {
	if r == (chain.Ref{}) {
		return dst
	}
	dst = appendHead(dst, num, sizeUint(1, r.Number)+sizeHash(2, r.Hash))
	dst = appendUint(dst, 1, r.Number)
	return appendHash(dst, 2, r.Hash)
}

// ref reads the current field as a Ref message.
func (c *cursor) ref() chain.Ref {
	var r chain.Ref
	in := cursor{msg: "ref", rest: c.bytes()}
	for in.next() {
		switch in.num {
		case 1:
			r.Number = in.uint64()
		case 2:
			r.Hash = in.hash()
		}
	}
	c.take(in.err)
	return r
}
