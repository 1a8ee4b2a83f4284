package codec

import (
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// AppendTxBundle appends a TxBundle message: the payload of the transaction
// topic. No transaction is empty. NextBundle keeps it within its bounds.
func AppendTxBundle(dst []byte, txs []chain.Tx) []byte {
	for _, tx := range txs {
		dst = appendItem(dst, 1, tx.Bytes)
	}
	return dst
}

// NextBundle is how many of txs, from the first, fit one TxBundle of at most
// maxBytes (0: MaxTxBundle). It is 0 only where txs is empty or the first
// alone does not fit.
func NextBundle(txs []chain.Tx, maxBytes int) int {
	if maxBytes <= 0 || maxBytes > MaxTxBundle {
		maxBytes = MaxTxBundle
	}
	sum := 0
	for i, tx := range txs {
		sum += sizeItem(1, len(tx.Bytes))
		if sum > maxBytes || i == MaxTxs {
			return i
		}
	}
	return len(txs)
}

// DecodeTxBundle reads a TxBundle message of at most MaxTxBundle bytes and
// MaxTxs transactions. Only their Bytes are filled in; they alias b.
func DecodeTxBundle(b []byte) ([]chain.Tx, error) {
	if len(b) > MaxTxBundle {
		return nil, fault(peer.BadFrame, "transaction bundle of %d bytes, bound %d", len(b), MaxTxBundle)
	}
	n := count(b, 1, MaxTxs)
	if n > MaxTxs {
		return nil, fault(peer.BadEncoding, "transaction bundle: over %d transactions", MaxTxs)
	}
	txs := make([]chain.Tx, 0, n)
	c := cursor{msg: "transaction bundle", rest: b}
	for c.next() {
		if c.num == 1 {
			txs = appendTx(txs, &c)
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	return txs, nil
}

func appendTx(txs []chain.Tx, c *cursor) []chain.Tx {
	raw := c.repeated()
	if len(raw) == 0 {
		c.fail("empty transaction")
		return txs
	}
	return append(txs, chain.Tx{Bytes: raw})
}
