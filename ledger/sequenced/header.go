package sequenced

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
)

const (
	headerVersion = 1
	headerLen     = 1 + 8 + 8 + 32 + 8 + 32 + 4 + 4 + ed25519.SignatureSize
	headerDomain  = "starling sequenced block 1\n"
	// maxMillis keeps times within what package time can count in nanoseconds.
	maxMillis = 1<<63/1_000_000 - 1
)

// header is a decoded header.
type header struct {
	chain     [8]byte
	number    uint64
	parent    chain.Hash
	millis    uint64
	root      chain.Hash
	txs       uint32
	bodyBytes uint32
	sig       [ed25519.SignatureSize]byte
}

func (h header) append(dst []byte) []byte {
	dst = append(append(dst, headerVersion), h.chain[:]...)
	dst = binary.BigEndian.AppendUint64(dst, h.number)
	dst = append(dst, h.parent[:]...)
	dst = binary.BigEndian.AppendUint64(dst, h.millis)
	dst = append(dst, h.root[:]...)
	dst = binary.BigEndian.AppendUint32(dst, h.txs)
	dst = binary.BigEndian.AppendUint32(dst, h.bodyBytes)
	return append(dst, h.sig[:]...)
}

func decodeHeader(b []byte) (h header, err error) {
	if len(b) != headerLen {
		return h, fmt.Errorf("sequenced: header of %d bytes, want %d", len(b), headerLen)
	}
	if b[0] != headerVersion {
		return h, fmt.Errorf("sequenced: header of version %d, want %d", b[0], headerVersion)
	}
	h.chain = [8]byte(b[1:])
	h.number = binary.BigEndian.Uint64(b[9:])
	h.parent = chain.Hash(b[17:])
	h.millis = binary.BigEndian.Uint64(b[49:])
	h.root = chain.Hash(b[57:])
	h.txs = binary.BigEndian.Uint32(b[89:])
	h.bodyBytes = binary.BigEndian.Uint32(b[93:])
	h.sig = [ed25519.SignatureSize]byte(b[97:])
	if h.millis > maxMillis {
		return h, fmt.Errorf("sequenced: header with time %d ms, want at most %d", h.millis, uint64(maxMillis))
	}
	return h, nil
}

func (h header) time() time.Time { return time.UnixMilli(int64(h.millis)).UTC() }

// chainHeader is the header in the contract's form; b is its encoding.
func (h header) chainHeader(b []byte) chain.Header {
	return chain.Header{
		Ref:    chain.Ref{Number: h.number, Hash: sha256.Sum256(b)},
		Parent: h.parent,
		Time:   h.time(),
		Bytes:  b,
	}
}

// headerPreimage is what the sequencer signs of an encoded header.
func headerPreimage(genesis chain.Hash, b []byte) []byte {
	digest := sha256.Sum256(b[:headerLen-ed25519.SignatureSize])
	p := make([]byte, 0, len(headerDomain)+64)
	p = append(p, headerDomain...)
	p = append(p, genesis[:]...)
	return append(p, digest[:]...)
}

// seal signs h and gives it in the contract's form.
func (h header) seal(genesis chain.Hash, key ed25519.PrivateKey) chain.Header {
	b := h.append(make([]byte, 0, headerLen))
	copy(b[headerLen-ed25519.SignatureSize:], ed25519.Sign(key, headerPreimage(genesis, b)))
	return h.chainHeader(b)
}
