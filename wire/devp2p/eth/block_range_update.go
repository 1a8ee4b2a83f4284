package eth

import (
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

// BlockRangeUpdate tells which blocks the sender serves now (from eth/69 on).
type BlockRangeUpdate struct {
	Earliest uint64
	Latest   chain.Ref
}

// Append appends the payload.
func (m BlockRangeUpdate) Append(b []byte) []byte {
	b = appendHead(b, rlp.IntSize(m.Earliest)+rlp.IntSize(m.Latest.Number)+hashItem)
	b = rlp.AppendUint64(rlp.AppendUint64(b, m.Earliest), m.Latest.Number)
	return appendHash(b, m.Latest.Hash)
}

// DecodeBlockRangeUpdate reads the payload. A range that is none is a fault.
func DecodeBlockRangeUpdate(b []byte) (m BlockRangeUpdate, err error) {
	c := message(b)
	m.Earliest = c.uint()
	m.Latest.Number = c.uint()
	m.Latest.Hash = c.hash()
	if err := c.end("block range"); err != nil {
		return m, err
	}
	return m, CheckRange(m.Earliest, m.Latest)
}

// CheckRange says what is wrong with a range that a peer claims to serve. That
// it goes past our own head is nothing wrong.
func CheckRange(earliest uint64, latest chain.Ref) error {
	if earliest > latest.Number {
		return bad("block range from %d to %d", earliest, latest.Number)
	}
	if latest.Hash.IsZero() {
		return bad("block range without a hash")
	}
	return nil
}
