package eth

import (
	"fmt"
	"math"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

// NewPooledTransactionHashes announces transactions, with the type and the size
// of each (eth/68 to 71).
type NewPooledTransactionHashes struct {
	Txs []Announced
	// Excess is how many more were announced than are looked at.
	Excess int
}

// Announced is one transaction. Size is that of its consensus encoding in
// bytes, sidecar included.
type Announced struct {
	Hash chain.Hash
	Kind byte
	Size uint32
}

// Append appends the payload.
func (m NewPooledTransactionHashes) Append(b []byte) []byte {
	kinds := make([]byte, len(m.Txs))
	sizes := 0
	for i, tx := range m.Txs {
		kinds[i] = tx.Kind
		sizes += rlp.IntSize(uint64(tx.Size))
	}
	b = appendHead(b, bytesSize(kinds)+listSize(sizes)+listSize(len(m.Txs)*hashItem))
	b = appendHead(appendBytes(b, kinds), sizes)
	for _, tx := range m.Txs {
		b = rlp.AppendUint64(b, uint64(tx.Size))
	}
	b = appendHead(b, len(m.Txs)*hashItem)
	for _, tx := range m.Txs {
		b = appendHash(b, tx.Hash)
	}
	return b
}

// DecodeNewPooledTransactionHashes reads the payload. Lists of unequal length
// are a fault.
func DecodeNewPooledTransactionHashes(b []byte) (m NewPooledTransactionHashes, err error) {
	c := message(b)
	kinds := c.bytes()
	sizes, hashes := c.list(), c.list()
	if c.err == nil && len(hashes.b) != len(kinds)*hashItem {
		c.fail(fmt.Errorf("%d types, but %d bytes of hashes", len(kinds), len(hashes.b)))
	}
	m.Txs = make([]Announced, 0, min(len(kinds), MaxAnnounced))
	for _, kind := range kinds {
		tx := Announced{Kind: kind, Hash: hashes.hash()}
		size := sizes.uint()
		if size > math.MaxUint32 {
			sizes.fail(fmt.Errorf("a transaction of %d bytes", size))
		}
		tx.Size = uint32(size)
		if sizes.err != nil || hashes.err != nil {
			break
		}
		if len(m.Txs) < MaxAnnounced {
			m.Txs = append(m.Txs, tx)
		} else {
			m.Excess++
		}
	}
	c.nested(&sizes)
	c.nested(&hashes)
	return m, c.end("announced transactions")
}
