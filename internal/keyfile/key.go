package keyfile

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/sha3"
)

// Kinds of keys.
const (
	Ed25519   = "ed25519"
	Secp256k1 = "secp256k1"
)

// Forms of files.
const (
	Hex      = "hex"      // 64 hex digits: a secp256k1 scalar or an ed25519 seed
	Libp2p   = "libp2p"   // libp2p's protobuf
	Keystore = "keystore" // web3 secret storage, version 3; secp256k1 only
)

// secretBytes is what either kind of key is made of.
const secretBytes = 32

// Key is a private key of one of the kinds.
type Key struct {
	kind   string
	secret [secretBytes]byte // a seed or a scalar
	priv   crypto.PrivKey
}

// New draws a key of a kind.
func New(kind string) (Key, error) {
	if kind == Secp256k1 {
		k, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			return Key{}, fmt.Errorf("keyfile: %w", err)
		}
		return fromSecret(kind, k.Serialize())
	}
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	return fromSecret(kind, secret)
}

func fromSecret(kind string, secret []byte) (k Key, err error) {
	if len(secret) != secretBytes {
		return k, fmt.Errorf("keyfile: a secret of %d bytes, want %d", len(secret), secretBytes)
	}
	k.kind = kind
	copy(k.secret[:], secret)
	switch kind {
	case Ed25519:
		k.priv, err = crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(secret))
	case Secp256k1:
		var n secp256k1.ModNScalar
		if n.SetByteSlice(secret) || n.IsZero() {
			return Key{}, errors.New("keyfile: the number is none of a secp256k1 key; restore the file from a backup")
		}
		k.priv, err = crypto.UnmarshalSecp256k1PrivateKey(secret)
	default:
		return Key{}, fmt.Errorf("keyfile: kind %.40q, want %q or %q", kind, Ed25519, Secp256k1)
	}
	if err != nil {
		return Key{}, fmt.Errorf("keyfile: %w", err)
	}
	return k, nil
}

// Kind is Ed25519 or Secp256k1.
func (k Key) Kind() string { return k.kind }

// Secret is the key itself, in hex. It is for an operator who asks for it.
func (k Key) Secret() string { return hex.EncodeToString(k.secret[:]) }

// PeerID is the identity on libp2p networks.
func (k Key) PeerID() string {
	id, err := peer.IDFromPrivateKey(k.priv)
	if err != nil {
		return ""
	}
	return id.String()
}

// Public is the public key in hex: as ed25519 has it, or compressed.
func (k Key) Public() string {
	raw, err := k.priv.GetPublic().Raw()
	if err != nil {
		return ""
	}
	return hex.EncodeToString(raw)
}

// Fingerprint is a short name of the public key, in the form of OpenSSH.
func (k Key) Fingerprint() string {
	raw, err := crypto.MarshalPublicKey(k.priv.GetPublic())
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// NodeID is the identity in an enode URL, 128 hex digits; empty for a kind that
// has none.
func (k Key) NodeID() string {
	if k.kind != Secp256k1 {
		return ""
	}
	return hex.EncodeToString(k.uncompressed())
}

// uncompressed is the 64 bytes of a secp256k1 point without the leading 4.
func (k Key) uncompressed() []byte {
	return secp256k1.PrivKeyFromBytes(k.secret[:]).PubKey().SerializeUncompressed()[1:]
}

// address is the account of a secp256k1 key on Ethereum.
func (k Key) address() []byte {
	h := sha3.NewLegacyKeccak256()
	h.Write(k.uncompressed())
	return h.Sum(nil)[12:]
}

// Encode gives the content of a file of a form. A keystore needs a password.
func (k Key) Encode(form string, password []byte) ([]byte, error) {
	switch form {
	case Hex:
		return []byte(k.Secret()), nil
	case Libp2p:
		raw, err := crypto.MarshalPrivateKey(k.priv)
		if err != nil {
			return nil, fmt.Errorf("keyfile: %w", err)
		}
		return raw, nil
	case Keystore:
		if k.kind != Secp256k1 {
			return nil, fmt.Errorf("keyfile: a keystore holds secp256k1 keys, this one is %s; choose the form %q or %q", k.kind, Hex, Libp2p)
		}
		return seal(k, password)
	}
	return nil, fmt.Errorf("keyfile: form %.40q, want %q, %q or %q", form, Hex, Libp2p, Keystore)
}

// ErrKind: hex digits do not say what they are a key of.
var ErrKind = fmt.Errorf("keyfile: 64 hex digits do not say what they are a key of: say %s, as op-node's and geth's files are, or %s", Secp256k1, Ed25519)

// Decode reads the content of a file. kind tells of hex digits what they are a
// key of; it is not used where the content says so itself, and ErrKind where it
// is empty though it is needed.
func Decode(raw []byte, kind string, password []byte) (k Key, form string, err error) {
	text := bytes.TrimSpace(raw)
	if bytes.HasPrefix(text, []byte("{")) {
		k, err = unseal(text, password)
		return k, Keystore, err
	}
	digits := bytes.TrimPrefix(text, []byte("0x"))
	if secret, err := hex.DecodeString(string(digits)); err == nil && len(secret) == secretBytes {
		if kind == "" {
			return Key{}, Hex, ErrKind
		}
		k, err = fromSecret(kind, secret)
		return k, Hex, err
	}
	k, err = decodeLibp2p(raw)
	return k, Libp2p, err
}

func decodeLibp2p(raw []byte) (Key, error) {
	none := errors.New("keyfile: the file holds no key that is known: want 64 hex digits, libp2p's protobuf or a keystore of version 3")
	priv, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		return Key{}, none
	}
	secret, err := priv.Raw()
	switch {
	case err != nil:
		return Key{}, none
	case priv.Type() == pb.KeyType_Ed25519 && len(secret) >= secretBytes:
		return fromSecret(Ed25519, secret[:secretBytes])
	case priv.Type() == pb.KeyType_Secp256k1:
		return fromSecret(Secp256k1, secret)
	}
	return Key{}, fmt.Errorf("keyfile: the file holds a key of kind %s, want %s or %s", priv.Type(), Ed25519, Secp256k1)
}
