package chain

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"
)

// Hash is a digest of 32 bytes, in the order in which the chain prints it.
type Hash [32]byte

// String is the hash in hex behind "0x".
func (h Hash) String() string { return "0x" + hex.EncodeToString(h[:]) }

// Short is the first four bytes in hex, for people to read.
func (h Hash) Short() string { return hex.EncodeToString(h[:4]) }

// IsZero reports whether h is the zero hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// ParseHash reads 64 hex digits, with or without "0x".
func ParseHash(s string) (Hash, error) {
	var h Hash
	digits := s
	if len(digits) >= 2 && digits[:2] == "0x" {
		digits = digits[2:]
	}
	if len(digits) != 2*len(h) {
		return h, fmt.Errorf("chain: hash %.80q has %d hex digits, want %d", s, len(digits), 2*len(h))
	}
	if _, err := hex.Decode(h[:], []byte(digits)); err != nil {
		return h, fmt.Errorf("chain: hash %q: %w", s, err)
	}
	return h, nil
}

// Ref names a block by number and hash. In a request a zero hash means "the
// canonical block of that number"; elsewhere the hash is set.
type Ref struct {
	Number uint64
	Hash   Hash
}

// String is "number (short hash)".
func (r Ref) String() string { return fmt.Sprintf("%d (%s)", r.Number, r.Hash.Short()) }

// Header is the part of a block that links it to its parent. Bytes is its
// encoding, which the chain's codec owns; Ref.Hash commits to it. A Header is
// never changed once it is made, and may be kept.
type Header struct {
	Ref    Ref
	Parent Hash
	Time   time.Time // UTC; what the block says of itself
	Bytes  []byte
}

// Block is a header with its body. Extra travels with a block and is not
// under its hash: receipts, a state-root trailer, an envelope's signature.
// A Block is never changed once it is made, and may be kept.
type Block struct {
	Header Header
	Body   []byte
	Extra  []byte
}

// Ref is the block's number and hash.
func (b Block) Ref() Ref { return b.Header.Ref }

// Size is the length of all its parts in bytes: what it costs a queue.
func (b Block) Size() int { return len(b.Header.Bytes) + len(b.Body) + len(b.Extra) }

// Tx is a transaction. Sender is an opaque key that is equal for transactions
// of one sender, or empty where it is not known. Kind is the chain's type
// byte. A Tx is never changed once it is made, and may be kept.
type Tx struct {
	Hash   Hash
	Sender string
	Kind   byte
	Bytes  []byte
}

// Weight is what the fork-choice rule compares, as a big-endian number of 256
// bits: total difficulty, or the number where the chain just grows. More is
// better.
type Weight [32]byte

// WeightOf is n as a Weight.
func WeightOf(n uint64) Weight {
	var w Weight
	new(big.Int).SetUint64(n).FillBytes(w[:])
	return w
}

// Compare is -1, 0 or 1 as w is less than, equal to or more than o.
func (w Weight) Compare(o Weight) int { return bytes.Compare(w[:], o[:]) }

// Big is the weight as a number; the caller owns it.
func (w Weight) Big() *big.Int { return new(big.Int).SetBytes(w[:]) }

// Status says where a chain stands: ours, or what a peer claims of its own. A
// claim is a hint about what to ask for and is never believed unproven.
type Status struct {
	Network   string // the network's name, or its number in decimal
	Genesis   Hash
	Head      Ref
	Finalized Ref    // zero where nothing is final
	Earliest  uint64 // the lowest number whose body is served
	Weight    Weight // of Head
}

// Range asks for consecutive blocks, counted from From. A zero From.Hash means
// the canonical block of From.Number; otherwise the hash counts and the number
// is ignored.
type Range struct {
	From     Ref
	Count    int  // at most; 0 asks for nothing
	Skip     int  // blocks left out between two that are wanted
	Reverse  bool // towards genesis
	MaxBytes int  // stop before the sum of sizes passes it, but give one at least; 0: no bound
}
