package eth

import (
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

// GetReceipts asks for the receipts of blocks by hash.
type GetReceipts struct {
	ID     uint64
	First  uint64 // receipts of the first block to leave out; from eth/70 on
	Hashes []chain.Hash
}

// Append appends the payload for a version.
func (m GetReceipts) Append(b []byte, v Version) []byte {
	if v < V70 {
		return appendIDHashes(b, m.ID, m.Hashes)
	}
	b = appendHead(b, rlp.IntSize(m.ID)+rlp.IntSize(m.First)+listSize(len(m.Hashes)*hashItem))
	b = rlp.AppendUint64(rlp.AppendUint64(b, m.ID), m.First)
	return appendHashes(b, m.Hashes)
}

// DecodeGetReceipts reads the payload of a version. Hashes beyond what is ever
// served are left away.
func DecodeGetReceipts(b []byte, v Version) (m GetReceipts, err error) {
	c := message(b)
	m.ID = c.uint()
	if v >= V70 {
		m.First = c.uint()
	}
	in := c.list()
	m.Hashes = in.someHashes(MaxReceipts)
	c.nested(&in)
	return m, c.end("receipt request")
}
