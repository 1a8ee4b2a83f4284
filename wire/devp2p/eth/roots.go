package eth

import (
	"bytes"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/starlingp2p/starling/chain"
)

// BodyRoots is what a header says of its block's body, and by which a body that
// comes without its block's name is told from others.
type BodyRoots struct {
	Txs, Uncles chain.Hash
	Withdrawals chain.Hash // zero before Shanghai
}

// derivable is a list of encoded items, hashed as they are.
type derivable [][]byte

// Len implements types.DerivableList.
func (l derivable) Len() int { return len(l) }

// EncodeIndex implements types.DerivableList.
func (l derivable) EncodeIndex(i int, b *bytes.Buffer) { b.Write(l[i]) }

// Root is the root over items in their consensus encoding.
func Root(items [][]byte) chain.Hash {
	return chain.Hash(types.DeriveSha(derivable(items), trie.NewStackTrie(nil)))
}

// Places of roots in a header's list (Yellow Paper, 4.3; EIP-4895).
const (
	fieldUncles      = 1
	fieldTxs         = 4
	fieldReceipts    = 5
	fieldWithdrawals = 16
)

// HeaderRoots reads what a header says of the block's body and receipts.
func HeaderRoots(header []byte) (body BodyRoots, receipts chain.Hash, err error) {
	c := message(header)
	n := 0
	for ; c.more() && n <= fieldWithdrawals; n++ {
		switch n {
		case fieldUncles:
			body.Uncles = c.hash()
		case fieldTxs:
			body.Txs = c.hash()
		case fieldReceipts:
			receipts = c.hash()
		case fieldWithdrawals:
			body.Withdrawals = c.hash()
		default:
			c.raw()
		}
	}
	if c.err != nil || n < leastFields {
		return BodyRoots{}, chain.Hash{}, bad("header of %d fields: %v", n, c.err)
	}
	return body, receipts, nil
}

// RootsOf computes the roots of a body.
func RootsOf(body []byte) (r BodyRoots, err error) {
	c := message(body)
	txs := c.list()
	items := txs.items(len(body))
	for i, item := range items {
		if item[0] < 0xc0 { // the envelope of EIP-2718
			envelope := cursor{b: item}
			items[i] = envelope.bytes()
			c.nested(&envelope)
		}
	}
	c.nested(&txs)
	uncles := c.raw()
	var withdrawals [][]byte
	later := c.more()
	if later {
		in := c.list()
		withdrawals = in.items(len(body))
		c.nested(&in)
	}
	if err := c.end("body"); err != nil {
		return BodyRoots{}, err
	}
	r.Txs, r.Uncles = Root(items), chain.Hash(crypto.Keccak256Hash(uncles))
	if later {
		r.Withdrawals = Root(withdrawals)
	}
	return r, nil
}

// mostReceipts is how many receipts of one block are hashed: no block's gas pays
// for more. Each takes 5 bytes at least, and over 260 once its bloom is in.
const mostReceipts = 1 << 17

// bloomed is a list of receipts, each of which gets its bloom when it is hashed:
// all at once would take fifty times the memory of what was sent.
type bloomed struct {
	of  []receipt
	err error // of the first whose logs are malformed
}

// Len implements types.DerivableList.
func (l *bloomed) Len() int { return len(l.of) }

// EncodeIndex implements types.DerivableList.
func (l *bloomed) EncodeIndex(i int, b *bytes.Buffer) {
	item, err := l.of[i].appendBloomed(b.AvailableBuffer(), false)
	if l.err == nil {
		l.err = err
	}
	b.Write(item)
}

// ReceiptsRoot computes the root of a block's receipts, in which each has its
// bloom.
func ReceiptsRoot(block []byte) (chain.Hash, error) {
	c := message(block)
	l := &bloomed{of: make([]receipt, 0, c.count(mostReceipts))}
	for c.more() {
		l.of = append(l.of, c.receipt())
	}
	if err := c.end("receipts of a block"); err != nil {
		return chain.Hash{}, err
	}
	root := types.DeriveSha(l, trie.NewStackTrie(nil))
	return chain.Hash(root), l.err
}
