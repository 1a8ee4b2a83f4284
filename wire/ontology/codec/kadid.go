package codec

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
)

// PeerID names a node in the newer releases' Kademlia. It is a claim: the
// owner of its key never signs anything.
type PeerID [20]byte

// String is the identity in hex.
func (p PeerID) String() string { return hex.EncodeToString(p[:]) }

// kadBits are the leading zero bits that the double SHA-256 of a node's key must
// have: 262,144 keys on average.
const kadBits = 18

// ErrNoWork: a node's key does not have the proof of work.
var ErrNoWork = errors.New("codec: key without proof of work")

// PseudoID is the identity of an old node: its nonce, and zeros.
func PseudoID(nonce uint64) (p PeerID) {
	binary.LittleEndian.PutUint64(p[:], nonce)
	return p
}

// Nonce is the number of a node with that identity.
func (p PeerID) Nonce() uint64 {
	n := new(big.Int).SetBytes(p[:])
	return n.Mod(n, new(big.Int).SetUint64(1<<64-1)).Uint64()
}

func hasWork(key []byte) bool {
	sum := double(key)
	return binary.BigEndian.Uint32(sum[:])>>(32-kadBits) == 0
}

// KadIDOf is the identity of the node with that key: on P-256, compressed, with
// the proof of work, which is checked first.
func KadIDOf(key []byte) (PeerID, error) {
	if len(key) != 33 || key[0] != 2 && key[0] != 3 {
		return PeerID{}, fmt.Errorf("codec: node key of %d bytes, want 33, compressed", len(key))
	}
	if !hasWork(key) {
		return PeerID{}, ErrNoWork
	}
	if _, err := ParseKey(key); err != nil {
		return PeerID{}, err
	}
	return PeerID(AddressOfKey(key)), nil
}

// NewKadKey looks for a key with the proof of work. It takes seconds of CPU, or
// until ctx ends.
func NewKadKey(ctx context.Context) (public, private []byte, err error) {
	for n := 0; ; n++ {
		if n%64 == 0 && ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, fmt.Errorf("codec: node key: %w", err)
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			return nil, nil, fmt.Errorf("codec: node key: %w", err)
		}
		if public = compressed(point); !hasWork(public) {
			continue
		}
		if private, err = k.Bytes(); err != nil {
			return nil, nil, fmt.Errorf("codec: node key: %w", err)
		}
		return public, private, nil
	}
}

// KadKeyOf is the public key of a private one, if it has the proof of work.
func KadKeyOf(private []byte) ([]byte, error) {
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private)
	if err != nil {
		return nil, fmt.Errorf("codec: node key: %w", err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("codec: node key: %w", err)
	}
	public := compressed(point)
	if !hasWork(public) {
		return nil, ErrNoWork
	}
	return public, nil
}

// compressed is a point of 65 bytes in 33.
func compressed(point []byte) []byte {
	return append([]byte{2 + point[64]&1}, point[1:33]...)
}
