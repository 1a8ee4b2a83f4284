package codec

import (
	"crypto/sha256"
	"slices"

	"github.com/starlingp2p/starling/chain"
)

// Hash is a digest in the order in which it travels. People see it reversed,
// as Chain gives it.
type Hash [32]byte

// Chain is the hash in the order in which it is shown.
func (h Hash) Chain() chain.Hash {
	slices.Reverse(h[:])
	return chain.Hash(h)
}

// HashOf is the hash that Chain gives h for.
func HashOf(h chain.Hash) Hash {
	slices.Reverse(h[:])
	return Hash(h)
}

// String is the hash in hex as people see it.
func (h Hash) String() string { return h.Chain().String()[2:] }

// IsZero reports whether h is the zero hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// double is SHA-256 twice.
func double(b []byte) Hash {
	once := sha256.Sum256(b)
	return sha256.Sum256(once[:])
}
