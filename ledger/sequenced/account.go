package sequenced

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Address names an account: its ed25519 public key.
type Address [ed25519.PublicKeySize]byte

// String is the address in 64 hex digits.
func (a Address) String() string { return hex.EncodeToString(a[:]) }

// ParseAddress reads what String writes.
func ParseAddress(s string) (a Address, err error) {
	if len(s) != 2*len(a) {
		return a, fmt.Errorf("sequenced: address %.80q has %d characters, want %d hex digits", s, len(s), 2*len(a))
	}
	if _, err := hex.Decode(a[:], []byte(s)); err != nil {
		return a, fmt.Errorf("sequenced: address %q: %w", s, err)
	}
	return a, nil
}

// KeyFromSeed is the private key of a seed: the same seed, the same key.
func KeyFromSeed(seed [ed25519.SeedSize]byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(seed[:])
}

// AddressOf is the account that a private key controls.
func AddressOf(key ed25519.PrivateKey) Address {
	return Address(key.Public().(ed25519.PublicKey))
}

// Account is the state of an account. The zero Account is one never used.
type Account struct {
	Balance uint64
	Nonce   uint64 // of its next transaction
}

// accountKey is where the state keeps an account.
func accountKey(a Address) []byte { return append([]byte{'a'}, a[:]...) }

func (a Account) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, 16), a.Balance), a.Nonce)
}

func decodeAccount(b []byte) (Account, error) {
	switch len(b) {
	case 0:
		return Account{}, nil
	case 16:
		return Account{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, nil
	}
	return Account{}, fmt.Errorf("sequenced: account of %d bytes, want 16", len(b))
}

// ReadAccount reads an account after the head.
func ReadAccount(ctx context.Context, s StateReader, a Address) (Account, error) {
	b, _, err := s.State(ctx, accountKey(a))
	if err != nil {
		return Account{}, err
	}
	return decodeAccount(b)
}
