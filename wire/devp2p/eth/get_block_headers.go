package eth

import (
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

// GetBlockHeaders asks for headers from a hash or a number on.
type GetBlockHeaders struct {
	ID      uint64
	Origin  chain.Ref // the hash counts, or the number if it is zero
	Amount  uint64    // 0 is legal, and answered by nothing
	Skip    uint64    // headers left out between two
	Reverse bool      // towards genesis
}

// Append appends the payload.
func (m GetBlockHeaders) Append(b []byte) []byte {
	var in []byte
	if m.Origin.Hash.IsZero() {
		in = rlp.AppendUint64(in, m.Origin.Number)
	} else {
		in = appendHash(in, m.Origin.Hash)
	}
	in = rlp.AppendUint64(in, m.Amount)
	in = rlp.AppendUint64(in, m.Skip)
	in = appendBool(in, m.Reverse)
	b = appendHead(b, rlp.IntSize(m.ID)+listSize(len(in)))
	b = rlp.AppendUint64(b, m.ID)
	return append(appendHead(b, len(in)), in...)
}

// DecodeGetBlockHeaders reads the payload.
func DecodeGetBlockHeaders(b []byte) (m GetBlockHeaders, err error) {
	c := message(b)
	m.ID = c.uint()
	in := c.list()
	// A string of 32 bytes is a hash, one of at most 8 a number.
	switch origin := in.raw(); {
	case in.err != nil:
	case len(origin) == hashItem:
		h := cursor{b: origin}
		m.Origin.Hash = h.hash()
		in.nested(&h)
	case len(origin) <= 9:
		n := cursor{b: origin}
		m.Origin.Number = n.uint()
		in.nested(&n)
	default:
		in.fail(fmt.Errorf("an origin has %d bytes", len(origin)))
	}
	m.Amount = in.uint()
	m.Skip = in.uint()
	m.Reverse = in.bool()
	c.nested(&in)
	return m, c.end("header request")
}
