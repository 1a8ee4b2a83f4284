package codec

import "github.com/starlingp2p/starling/chain"

// AppendBlock appends b as a Block message; see AppendHeader for its header.
func AppendBlock(dst []byte, b chain.Block) []byte {
	dst = appendHead(dst, 1, sizeHeader(b.Header))
	dst = AppendHeader(dst, b.Header)
	dst = appendBytes(dst, 2, b.Body)
	return appendBytes(dst, 3, b.Extra)
}

// SizeBlock is how many bytes AppendBlock appends.
func SizeBlock(b chain.Block) int {
	return sizeItem(1, sizeHeader(b.Header)) + sizeBytes(2, len(b.Body)) + sizeBytes(3, len(b.Extra))
}

// DecodeBlock reads a Block message. Its parts alias b.
func DecodeBlock(b []byte) (chain.Block, error) {
	var out chain.Block
	var header []byte
	c := cursor{msg: "block", rest: b}
	for c.next() {
		switch c.num {
		case 1:
			header = c.bytes()
		case 2:
			out.Body = c.bytes()
		case 3:
			out.Extra = c.bytes()
		}
	}
	if c.err != nil {
		return chain.Block{}, c.err
	}
	h, err := DecodeHeader(header)
	if err != nil {
		return chain.Block{}, err
	}
	out.Header = h
	return out, nil
}

// AppendGossipBlock appends the payload of the block topic: a snappy block of
// a Block message.
func AppendGossipBlock(dst []byte, b chain.Block) []byte {
	buf := TakeBuffer()
	defer buf.Free()
	buf.B = AppendBlock(buf.B, b)
	return Compress(dst, buf.B)
}
