package keccak

import (
	"encoding/binary"
	"hash"

	"github.com/ethereum/go-ethereum/crypto/keccak"
)

// New gives a hash with nothing written to it. Its Sum leaves it as it is.
func New() hash.Hash {
	if !fast() {
		return keccak.NewLegacyKeccak256()
	}
	return new(state)
}

// state is a hash under way.
type state struct {
	a    [25]uint64
	last [rate]byte // what was written behind the last whole block
	n    int        // how much that is
}

// Write implements hash.Hash. It never fails.
func (s *state) Write(b []byte) (int, error) {
	written := len(b)
	if s.n > 0 {
		k := copy(s.last[s.n:], b)
		s.n += k
		b = b[k:]
		if s.n < rate {
			return written, nil
		}
		absorbBlocks(&s.a, &s.last[0], 1)
		s.n = 0
	}
	if blocks := len(b) / rate; blocks > 0 {
		absorbBlocks(&s.a, &b[0], blocks)
		b = b[blocks*rate:]
	}
	s.n = copy(s.last[:], b)
	return written, nil
}

// Sum implements hash.Hash.
func (s *state) Sum(b []byte) []byte {
	a := s.a
	var block [rate]byte
	copy(block[:], s.last[:s.n])
	block[s.n] = 0x01 // Keccak's padding, from before SHA-3
	block[rate-1] |= 0x80
	absorbBlocks(&a, &block[0], 1)
	for _, w := range a[:Size/8] {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// Reset implements hash.Hash.
func (s *state) Reset() { s.a, s.n = [25]uint64{}, 0 }

// Size implements hash.Hash.
func (s *state) Size() int { return Size }

// BlockSize implements hash.Hash.
func (s *state) BlockSize() int { return rate }
