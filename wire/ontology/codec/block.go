package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
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
	var txs []Tx
	out, err := readBlock(b, d, func(t Tx) { txs = append(txs, t) })
	out.Txs = txs
	return out, err
}

// ScanBlock is DecodeBlock for whoever takes blocks from strangers: it keeps no
// transaction, of which a block may have as many as take many times its bytes,
// and checks their root. Duplicates are for CheckBody to tell.
func ScanBlock(b []byte, d Dialect) (Block, error) {
	var root rootOf
	out, err := readBlock(b, d, func(t Tx) { root.add(t.Hash) })
	if err != nil {
		return Block{}, err
	}
	if got := root.sum(); got != out.Header.TxRoot {
		return Block{}, &wire.Fault{
			Offense: peer.WrongBlock,
			Err:     fmt.Errorf("codec: the transactions of block %d have root %s, its header says %s", out.Header.Height, got, out.Header.TxRoot),
		}
	}
	return out, nil
}

func readBlock(b []byte, d Dialect, see func(Tx)) (out Block, err error) {
	r := newReader("block", b, d)
	out.Header = r.header()
	out.Body = r.body(see)
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
	var txs []Tx
	r.body(func(t Tx) { txs = append(txs, t) })
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

// maxPadded is the most bytes of transactions that are written anew because a
// lenient peer padded them: no release does.
const maxPadded = 1 << 20

// body reads transactions, shows each and gives their canonical encoding.
func (r *reader) body(see func(Tx)) []byte {
	start := r.b
	n := r.counted("transactions", uint64(r.u32("transactions")), minTx, 1<<32)
	var anew []byte // once one was padded
	for range n {
		r.irregular = false
		at := len(start) - len(r.b)
		t := r.tx()
		if r.err == nil && r.irregular && anew == nil {
			anew = append([]byte(nil), start[:min(at, maxPadded)]...)
		}
		if anew != nil {
			if anew = append(anew, t.Raw...); len(anew) > maxPadded || at > maxPadded {
				r.fail("more than %d bytes of transactions are padded", maxPadded)
			}
		}
		if r.err != nil {
			return nil
		}
		see(t)
	}
	if r.err != nil {
		return nil
	}
	if anew != nil {
		return anew
	}
	end := len(start) - len(r.b)
	return start[:end:end]
}
