package p2phost

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
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
// or makes an ed25519 key there if there is none. A new file has mode 0600 and
// appears whole or not at all; its folder is made with mode 0700. A file that
// exists is never written to: it is refused if it is no regular file, if
// anybody but its owner may use it, if it is cut short, or if its folder can
// be written by everybody. It blocks on the disk.
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
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("p2phost: key folder %q: %w", dir, err)
	}
	if err := checkKeyDir(dir); err != nil {
		return nil, err
	}
	key, err := loadKey(path, f)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path, f); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return loadKey(path, f) // ours, or that of whoever was faster
}

func checkKeyDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("p2phost: key folder %q: %w", dir, err)
	}
	// Others may replace the file there, whatever mode it has itself.
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("p2phost: key folder %q can be written by everybody (mode %04o): chmod 700 it", dir, info.Mode().Perm())
	}
	return nil
}

func loadKey(path string, format keyFormat) (crypto.PrivKey, error) {
	// O_NOFOLLOW refuses a symlink at the moment of opening, so what is checked
	// is what is read; O_NONBLOCK keeps a FIFO from holding us.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("p2phost: key file %q is a symbolic link: name the file itself", path)
	}
	if err != nil {
		return nil, fmt.Errorf("p2phost: key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("p2phost: key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("p2phost: key file %q is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("p2phost: key file %q can be used by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("p2phost: key file %q: %w", path, err)
	}
	if len(raw) == 0 || len(raw) > maxKeyFile {
		return nil, fmt.Errorf("p2phost: key file %q has %d bytes, which is no key: restore it, or move it away for a new identity", path, len(raw))
	}
	key, err := format.decode(raw)
	if err != nil {
		return nil, fmt.Errorf("p2phost: key file %q is damaged (%d bytes): restore it, or move it away for a new identity: %w", path, len(raw), err)
	}
	if t := key.Type(); t != pb.KeyType_Ed25519 && t != pb.KeyType_Secp256k1 {
		return nil, fmt.Errorf("p2phost: key file %q holds a key of kind %s, want Ed25519 or Secp256k1", path, t)
	}
	return key, nil
}

// createKey writes a new key beside path and links it there, which fails if
// the name is taken.
func createKey(path string, format keyFormat) (err error) {
	key, err := format.make()
	if err != nil {
		return fmt.Errorf("p2phost: new key: %w", err)
	}
	raw, err := format.encode(key)
	if err != nil {
		return fmt.Errorf("p2phost: new key: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("p2phost: new key file: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("p2phost: new key file %q: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("p2phost: key folder %q: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("p2phost: key folder %q: %w", dir, err)
	}
	return nil
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
