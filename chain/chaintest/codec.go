package chaintest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
)

// The layout of a header, in bytes, big-endian:
//
//	magic 4 | number 8 | parent 32 | time 8 (Unix milliseconds) | branch 8 |
//	weight 4 | body length 4 | body digest 32 | seal 32
const (
	magic         = "ctb1"
	sealedBytes   = 4 + 8 + 32 + 8 + 8 + 4 + 4 + 32
	headerBytes   = sealedBytes + sha256.Size
	txPrefixBytes = 4
	extraBytes    = 8
)

// MaxBodyBytes is the longest body that Chain takes.
const MaxBodyBytes = 16 << 20

// fields is a header taken apart.
type fields struct {
	number   uint64
	parent   chain.Hash
	time     time.Time
	branch   uint64
	weight   uint32
	bodyLen  uint32
	bodyHash [32]byte
}

// seal authenticates the sealed part of a header.
func seal(key [32]byte, sealed []byte) []byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(sealed)
	return mac.Sum(nil)
}

// header encodes f and seals it with key.
func (f fields) header(key [32]byte) chain.Header {
	b := make([]byte, 0, headerBytes)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint64(b, f.number)
	b = append(b, f.parent[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(f.time.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, f.branch)
	b = binary.BigEndian.AppendUint32(b, f.weight)
	b = binary.BigEndian.AppendUint32(b, f.bodyLen)
	b = append(b, f.bodyHash[:]...)
	b = append(b, seal(key, b)...)
	return chain.Header{
		Ref:    chain.Ref{Number: f.number, Hash: sha256.Sum256(b)},
		Parent: f.parent,
		Time:   f.time,
		Bytes:  b,
	}
}

// parse takes a header apart and checks that what stands beside its bytes is
// what they say, so that no peer can relabel a header. It does not check the
// seal.
func parse(h chain.Header) (fields, error) {
	var f fields
	b := h.Bytes
	if len(b) != headerBytes {
		return f, fmt.Errorf("%w: header of %d bytes, want %d", chain.ErrInvalid, len(b), headerBytes)
	}
	if string(b[:4]) != magic {
		return f, fmt.Errorf("%w: header begins with %q, want %q", chain.ErrInvalid, b[:4], magic)
	}
	f.number = binary.BigEndian.Uint64(b[4:])
	copy(f.parent[:], b[12:])
	f.time = time.UnixMilli(int64(binary.BigEndian.Uint64(b[44:]))).UTC()
	f.branch = binary.BigEndian.Uint64(b[52:])
	f.weight = binary.BigEndian.Uint32(b[60:])
	f.bodyLen = binary.BigEndian.Uint32(b[64:])
	copy(f.bodyHash[:], b[68:])
	switch {
	case h.Ref.Hash != sha256.Sum256(b):
		return f, fmt.Errorf("%w: header does not hash to %s", chain.ErrInvalid, h.Ref.Hash)
	case h.Ref.Number != f.number:
		return f, fmt.Errorf("%w: header %d is labelled %d", chain.ErrInvalid, f.number, h.Ref.Number)
	case h.Parent != f.parent:
		return f, fmt.Errorf("%w: header %d is labelled with another parent", chain.ErrInvalid, f.number)
	case !h.Time.Equal(f.time):
		return f, fmt.Errorf("%w: header %d is labelled with another time", chain.ErrInvalid, f.number)
	case f.weight == 0:
		return f, fmt.Errorf("%w: header %d weighs nothing", chain.ErrInvalid, f.number)
	case f.bodyLen > MaxBodyBytes:
		return f, fmt.Errorf("%w: body of %d bytes, at most %d", chain.ErrInvalid, f.bodyLen, MaxBodyBytes)
	}
	return f, nil
}

// appendTx appends a transaction to a body.
func appendTx(body, tx []byte) []byte {
	body = binary.BigEndian.AppendUint32(body, uint32(len(tx)))
	return append(body, tx...)
}

// Txs splits a body into its transactions, which alias it. A transaction's
// hash is the SHA-256 of its bytes.
func Txs(body []byte) ([]chain.Tx, error) {
	var txs []chain.Tx
	for len(body) > 0 {
		if len(body) < txPrefixBytes {
			return nil, fmt.Errorf("%w: body ends in a length of %d bytes", chain.ErrInvalid, len(body))
		}
		n := binary.BigEndian.Uint32(body)
		body = body[txPrefixBytes:]
		if n == 0 || uint64(n) > uint64(len(body)) {
			return nil, fmt.Errorf("%w: transaction of %d bytes, %d are left", chain.ErrInvalid, n, len(body))
		}
		txs = append(txs, NewTx(body[:n:n]))
		body = body[n:]
	}
	return txs, nil
}

// NewTx is a transaction of these bytes, which it keeps. Its sender is the
// text before the first colon, if there is one in the first 64 bytes.
func NewTx(b []byte) chain.Tx {
	tx := chain.Tx{Hash: sha256.Sum256(b), Bytes: b}
	if i := bytes.IndexByte(b[:min(len(b), 64)], ':'); i > 0 {
		tx.Sender = string(b[:i])
	}
	return tx
}

// extraOf is what travels with a block under Config.Extra: eight bytes that
// can be checked against the header.
func extraOf(bodyHash [32]byte) []byte {
	sum := sha256.Sum256(append([]byte("extra"), bodyHash[:]...))
	return sum[:extraBytes]
}
