package eth

import (
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"
)

// Transactions are new transactions, unasked for. Each is in its consensus
// encoding: a list, or a type byte and what follows (EIP-2718); blobs travel
// with their sidecar only where they were asked for.
type Transactions struct{ Txs [][]byte }

// Append appends the payload.
func (m Transactions) Append(b []byte) []byte { return appendTxs(b, m.Txs) }

// DecodeTransactions reads the payload.
func DecodeTransactions(b []byte) (m Transactions, err error) {
	c := message(b)
	m.Txs = c.txs(MaxTxs)
	return m, c.end("transactions")
}

// PooledTransactions answers GetPooledTransactions.
type PooledTransactions struct {
	ID  uint64
	Txs [][]byte
}

// Append appends the payload.
func (m PooledTransactions) Append(b []byte) []byte {
	b = appendHead(b, rlp.IntSize(m.ID)+listSize(txsSize(m.Txs)))
	return appendTxs(rlp.AppendUint64(b, m.ID), m.Txs)
}

// DecodePooledTransactions reads the payload: at most most transactions, as
// many as were asked for.
func DecodePooledTransactions(b []byte, most int) (m PooledTransactions, err error) {
	c := message(b)
	m.ID = c.uint()
	in := c.list()
	m.Txs = in.txs(most)
	c.nested(&in)
	return m, c.end("pooled transactions")
}

// TxKind is the type byte of a transaction; 0 for those of old.
func TxKind(tx []byte) byte {
	if len(tx) > 0 && tx[0] < 0x80 {
		return tx[0]
	}
	return 0
}

// txSize is what a transaction takes in a list.
func txSize(tx []byte) int {
	if len(tx) > 0 && tx[0] >= 0xc0 {
		return len(tx)
	}
	return bytesSize(tx)
}

func txsSize(txs [][]byte) (n int) {
	for _, tx := range txs {
		n += txSize(tx)
	}
	return n
}

func appendTxs(b []byte, txs [][]byte) []byte {
	b = appendHead(b, txsSize(txs))
	for _, tx := range txs {
		if len(tx) > 0 && tx[0] >= 0xc0 {
			b = append(b, tx...)
		} else {
			b = appendBytes(b, tx)
		}
	}
	return b
}

// txs takes all that is left as transactions.
func (c *cursor) txs(most int) [][]byte {
	out := c.items(most)
	for i, item := range out {
		if item[0] >= 0xc0 {
			continue
		}
		s := cursor{b: item}
		if out[i] = s.bytes(); len(out[i]) < 2 || out[i][0] == 0 || out[i][0] >= 0x80 {
			c.fail(fmt.Errorf("transaction %d has no type", i))
			return nil
		}
	}
	return out
}

// Hashed is the part of a transaction that its hash covers: all of it, but for
// a blob transaction that brings its sidecar, type byte and list, whose hash
// covers the type and the first item (EIP-4844, "Networking").
func Hashed(tx []byte) []byte {
	const blob = 3
	if TxKind(tx) != blob {
		return tx
	}
	c := message(tx[1:])
	inner := c.raw()
	if c.err != nil || len(inner) == 0 || inner[0] < 0xc0 {
		return tx
	}
	return append([]byte{blob}, inner...)
}
