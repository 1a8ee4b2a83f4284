package codec

import (
	"encoding/binary"

	"github.com/starlingp2p/starling/chain"
)

// Block is a block with what travels behind it. It is also the payload of the
// message "block".
type Block struct {
	Header Header
	Txs    []Tx
	Body   []byte // the transactions with their count, encoded
	// Trailer is what followed the transactions: the state root and a
	// cross-chain message, since v1.6.0. It is not under the block's hash, and
	// passed on as it came. Empty: none.
	Trailer []byte
}

// Append appends the payload, out of Header.Raw, Body and Trailer.
func (b Block) Append(dst []byte) []byte {
	dst = append(dst, b.Header.Raw...)
	dst = append(dst, b.Body...)
	return append(dst, b.Trailer...)
}

// Chain is the block as the node knows it.
func (b Block) Chain() chain.Block {
	return chain.Block{Header: b.Header.Chain(), Body: b.Body, Extra: b.Trailer}
}

// Ref is the block's number and hash.
func (b Block) Ref() chain.Ref { return b.Header.Chain().Ref }

// DecodeBlock reads a payload. From a strict peer a trailer must be well formed;
// what a lenient one lets follow is dropped unless it is a trailer. Whether the
// transactions belong to the header is for CheckBody to tell.
func DecodeBlock(b []byte, d Dialect) (Block, error) {
	r := newReader("block", b, d)
	var out Block
	out.Header = r.header()
	out.Txs, out.Body = r.body()
	if r.err != nil {
		return Block{}, r.err
	}
	if len(r.b) == 0 {
		return out, nil
	}
	t, err := DecodeTrailer(r.b)
	switch {
	case err == nil:
		out.Trailer = t.Raw
	case d == Strict:
		return Block{}, err
	}
	return out, nil
}

// DecodeBody reads the canonical encoding of a block's transactions.
func DecodeBody(b []byte) ([]Tx, error) {
	r := newReader("body", b, Strict)
	txs, _ := r.body()
	if err := r.end(); err != nil {
		return nil, err
	}
	return txs, nil
}

// AppendBody appends transactions with their count.
func AppendBody(dst []byte, txs []Tx) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(txs)))
	for _, t := range txs {
		dst = append(dst, t.Raw...)
	}
	return dst
}

func (r *reader) body() (txs []Tx, body []byte) {
	start := r.b
	n := r.counted("transactions", uint64(r.u32("transactions")), minTx, 1<<32)
	irregular := false
	for range n {
		r.irregular = false
		t := r.tx()
		if r.err != nil {
			return nil, nil
		}
		irregular = irregular || r.irregular
		txs = append(txs, t)
	}
	if r.err != nil {
		return nil, nil
	}
	if irregular {
		return txs, AppendBody(nil, txs)
	}
	end := len(start) - len(r.b)
	return txs, start[:end:end]
}
