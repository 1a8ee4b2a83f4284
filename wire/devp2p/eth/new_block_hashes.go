package eth

import (
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

// NewBlockHashes announces blocks (eth/68).
type NewBlockHashes struct{ Blocks []chain.Ref }

// Append appends the payload.
func (m NewBlockHashes) Append(b []byte) []byte {
	var in []byte
	for _, r := range m.Blocks {
		in = appendHead(in, hashItem+rlp.IntSize(r.Number))
		in = rlp.AppendUint64(appendHash(in, r.Hash), r.Number)
	}
	return append(appendHead(b, len(in)), in...)
}

// DecodeNewBlockHashes reads the payload.
func DecodeNewBlockHashes(b []byte) (m NewBlockHashes, err error) {
	c := message(b)
	m.Blocks = make([]chain.Ref, 0, c.count(MaxBlockHashes))
	for c.more() {
		in := c.list()
		r := chain.Ref{Hash: in.hash(), Number: in.uint()}
		c.nested(&in)
		m.Blocks = append(m.Blocks, r)
	}
	return m, c.end("block hashes")
}
