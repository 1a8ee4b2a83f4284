package codec

import (
	"encoding/binary"
	"time"

	"github.com/starlingp2p/starling/chain"
)

const (
	minHeader  = 4 + 3*32 + 4 + 4 + 8 + 1 + 20 + 1 + 1
	maxPayload = 256 << 10 // of a header's consensus payload, in bytes
	maxKeys    = 1024      // of a header, and as many signatures
	maxKey     = 256       // of an encoded key, in bytes
	maxSig     = 512       // of an encoded signature, in bytes
)

// Header is a block's header. Its hash covers all but Keys and Sigs, so two
// encodings of one header may differ in those.
type Header struct {
	Version        uint32
	Prev           Hash
	TxRoot         Hash
	BlockRoot      Hash
	Time           uint32 // Unix seconds
	Height         uint32
	Nonce          uint64 // the protocol's "consensus data"
	Payload        []byte // of the consensus: JSON in VBFT
	NextBookkeeper Address
	Keys           [][]byte // of the bookkeepers who signed
	Sigs           [][]byte

	Hash Hash
	Raw  []byte // the encoding
}

// AppendUnsigned appends what the hash covers.
func (h Header) AppendUnsigned(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, h.Version)
	dst = append(dst, h.Prev[:]...)
	dst = append(dst, h.TxRoot[:]...)
	dst = append(dst, h.BlockRoot[:]...)
	dst = le.AppendUint32(dst, h.Time)
	dst = le.AppendUint32(dst, h.Height)
	dst = le.AppendUint64(dst, h.Nonce)
	dst = appendVarbytes(dst, h.Payload)
	return append(dst, h.NextBookkeeper[:]...)
}

// Append appends the encoding, out of the fields.
func (h Header) Append(dst []byte) []byte {
	dst = h.AppendUnsigned(dst)
	dst = appendVaruint(dst, uint64(len(h.Keys)))
	for _, k := range h.Keys {
		dst = appendVarbytes(dst, k)
	}
	dst = appendVaruint(dst, uint64(len(h.Sigs)))
	for _, s := range h.Sigs {
		dst = appendVarbytes(dst, s)
	}
	return dst
}

// Seal computes Hash and Raw out of the other fields.
func (h Header) Seal() Header {
	h.Raw = h.Append(nil)
	h.Hash = double(h.AppendUnsigned(nil))
	return h
}

// Chain is the header as the node knows it.
func (h Header) Chain() chain.Header {
	return chain.Header{
		Ref:    chain.Ref{Number: uint64(h.Height), Hash: h.Hash.Chain()},
		Parent: h.Prev.Chain(),
		Time:   time.Unix(int64(h.Time), 0).UTC(),
		Bytes:  h.Raw,
	}
}

// DecodeHeader reads the one canonical encoding of a header.
func DecodeHeader(b []byte) (Header, error) {
	r := newReader("header", b, Strict)
	h := r.header()
	if err := r.end(); err != nil {
		return Header{}, err
	}
	return h, nil
}

func (r *reader) header() (h Header) {
	start, was := r.b, r.irregular
	r.irregular = false
	h.Version = r.u32("version")
	h.Prev = r.hash("parent")
	h.TxRoot = r.hash("transactions root")
	h.BlockRoot = r.hash("block root")
	h.Time = r.u32("time")
	h.Height = r.u32("height")
	h.Nonce = r.u64("nonce")
	h.Payload = r.varbytes("consensus payload", maxPayload)
	h.NextBookkeeper = r.address("next bookkeeper")
	unsigned := len(start) - len(r.b)
	h.Keys = r.items("keys", maxKeys, maxKey)
	h.Sigs = r.items("signatures", maxKeys, maxSig)
	if r.err != nil {
		return Header{}
	}
	if r.irregular {
		return h.Seal()
	}
	r.irregular = was
	end := len(start) - len(r.b)
	h.Raw = start[:end:end]
	h.Hash = double(start[:unsigned])
	return h
}

// fewShort is how many items of a list may be shorter than any key or signature:
// many would take many times their bytes.
const fewShort = 16

// items reads a list of byte strings.
func (r *reader) items(what string, most uint64, size int) [][]byte {
	n := r.count(what, 1, most)
	if n == 0 {
		return nil
	}
	list := make([][]byte, 0, min(n, 16))
	short := 0
	for range n {
		item := r.varbytes(what, size)
		if len(item) < 32 {
			if short++; short > fewShort {
				r.fail("%s: more than %d are shorter than 32 bytes", what, fewShort)
			}
		}
		if r.err != nil {
			return nil
		}
		list = append(list, item)
	}
	return list
}
