package eth

import "github.com/starlingp2p/starling/chain"

// GetPooledTransactions asks for transactions of the pool by hash.
type GetPooledTransactions struct {
	ID     uint64
	Hashes []chain.Hash
}

// Append appends the payload.
func (m GetPooledTransactions) Append(b []byte) []byte { return appendIDHashes(b, m.ID, m.Hashes) }

// DecodeGetPooledTransactions reads the payload. Hashes beyond what is ever
// looked up are left away.
func DecodeGetPooledTransactions(b []byte) (m GetPooledTransactions, err error) {
	m.ID, m.Hashes, err = decodeIDHashes(b, MaxTxLookups, "transaction request")
	return m, err
}
