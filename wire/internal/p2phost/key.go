package p2phost

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling/internal/secret"
)

// maxKeyFile bounds a key file in bytes; an ed25519 or secp256k1 key in
// libp2p's protobuf form takes at most 68.
const maxKeyFile = 4096

// NewKey draws an ed25519 identity.
func NewKey() (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	return key, err
}

// NewSecp256k1Key draws a secp256k1 identity.
func NewSecp256k1Key() (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateSecp256k1Key(rand.Reader)
	return key, err
}

// LoadOrCreateKey reads the identity key at path, in libp2p's protobuf form,
// or makes an ed25519 key there if there is none; package secret tells what it
// asks of the file and its folder. A file that exists is never written to, and
// is refused if it is cut short. It blocks on the disk.
func LoadOrCreateKey(path string) (crypto.PrivKey, error) { return loadOrCreate(path, protobufKey()) }

// LoadOrCreateHexKey is LoadOrCreateKey for a secp256k1 key in 64 hex digits,
// the form of op-node's p2p.priv.path; "0x" before them is read over.
func LoadOrCreateHexKey(path string) (crypto.PrivKey, error) { return loadOrCreate(path, hexKey()) }

// keyFormat is a form of key file.
type keyFormat struct {
	make   func() (crypto.PrivKey, error)
	encode func(crypto.PrivKey) ([]byte, error)
	decode func([]byte) (crypto.PrivKey, error)
}

func protobufKey() keyFormat {
	return keyFormat{NewKey, crypto.MarshalPrivateKey, crypto.UnmarshalPrivateKey}
}

func hexKey() keyFormat {
	return keyFormat{
		make: NewSecp256k1Key,
		encode: func(k crypto.PrivKey) ([]byte, error) {
			raw, err := k.Raw()
			return hex.AppendEncode(nil, raw), err
		},
		decode: ParseHexKey,
	}
}

// ParseHexKey reads a secp256k1 key of 64 hex digits, "0x" before them or not.
// Its errors do not repeat it.
func ParseHexKey(text []byte) (crypto.PrivKey, error) {
	digits := bytes.TrimPrefix(bytes.TrimSpace(text), []byte("0x"))
	raw := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(raw, digits); err != nil || len(raw) != 32 {
		return nil, errors.New("p2phost: want 64 hex digits")
	}
	var n secp256k1.ModNScalar
	if overflow := n.SetByteSlice(raw); overflow || n.IsZero() {
		return nil, errors.New("p2phost: the number is no secp256k1 key: it is zero, or too large")
	}
	return crypto.UnmarshalSecp256k1PrivateKey(raw)
}

func loadOrCreate(path string, f keyFormat) (crypto.PrivKey, error) {
	raw, err := secret.ReadOrCreate(path, maxKeyFile, func() ([]byte, error) {
		key, err := f.make()
		if err != nil {
			return nil, err
		}
		return f.encode(key)
	})
	if err != nil {
		return nil, fmt.Errorf("p2phost: key file %w", err)
	}
	key, err := f.decode(raw)
	if err != nil {
		return nil, fmt.Errorf("p2phost: key file %s is damaged (%d bytes): restore it, or move it away for a new identity: %w", path, len(raw), err)
	}
	if t := key.Type(); t != pb.KeyType_Ed25519 && t != pb.KeyType_Secp256k1 {
		return nil, fmt.Errorf("p2phost: key file %s holds a key of kind %s, want Ed25519 or Secp256k1", path, t)
	}
	return key, nil
}

// acceptedKey reports whether an identity is of a kind that we take: ed25519
// or secp256k1. Both are small enough to be inlined in the ID; an RSA or ECDSA
// key is known by its hash only, so the ID alone tells.
func acceptedKey(id peer.ID) bool {
	pub, err := id.ExtractPublicKey()
	if err != nil {
		return false
	}
	return pub.Type() == pb.KeyType_Ed25519 || pub.Type() == pb.KeyType_Secp256k1
}
