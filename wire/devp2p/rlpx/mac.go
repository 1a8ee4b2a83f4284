package rlpx

import (
	"crypto/cipher"
	"crypto/subtle"
	"hash"
)

// macLen is the length of a MAC on the wire, and of a cipher block.
const macLen = 16

// mac is one direction's running MAC: a Keccak state over all that was sent,
// stirred with AES (RLPx specification, "MAC").
type mac struct {
	block  cipher.Block
	hash   hash.Hash
	digest [32]byte // of the state as it is, if fresh
	fresh  bool
	tmp    [macLen]byte
}

func newMAC(block cipher.Block, h hash.Hash) *mac { return &mac{block: block, hash: h} }

// absorb adds ciphertext of a frame's body to the state.
func (m *mac) absorb(b []byte) {
	m.hash.Write(b)
	m.fresh = false
}

// header is the MAC of an encrypted frame header. It is valid until the next call.
func (m *mac) header(h []byte) []byte {
	// The state has not changed since the last frame ended, so its digest is
	// that frame's: one permutation saved for each frame.
	if !m.fresh {
		m.hash.Sum(m.digest[:0])
	}
	return m.stir(h)
}

// body is the MAC of what was absorbed since header. It is valid until the next call.
func (m *mac) body() []byte {
	m.hash.Sum(m.digest[:0])
	return m.stir(m.digest[:macLen])
}

// stir mixes a seed into the state, whose digest is in m.digest.
func (m *mac) stir(seed []byte) []byte {
	m.block.Encrypt(m.tmp[:], m.digest[:macLen])
	subtle.XORBytes(m.tmp[:], m.tmp[:], seed)
	m.hash.Write(m.tmp[:])
	m.hash.Sum(m.digest[:0])
	m.fresh = true
	return m.digest[:macLen]
}
