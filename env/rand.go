package env

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
)

// NewRand returns a generator for decisions (back-off jitter, peer choice,
// bucket salts). The same seed gives the same draws; seed 0 draws a seed from
// the operating system. The generator is not safe for concurrent use: the
// owner of the state that it serves owns it too. Keys and nonces come from
// crypto/rand, never from here.
func NewRand(seed uint64) *rand.Rand {
	if seed == 0 {
		var b [8]byte
		crand.Read(b[:]) // never fails: see its documentation
		seed = binary.LittleEndian.Uint64(b[:]) | 1
	}
	return rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
}
