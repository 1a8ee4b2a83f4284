package p2phost

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

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

// LoadOrCreateKey reads the identity key at path, in libp2p's protobuf form,
// or makes an ed25519 key there if there is none. A new file has mode 0600 and
// appears whole or not at all; its folder is made with mode 0700. A file that
// exists is never written to: it is refused if it is no regular file, if
// anybody but its owner may use it, if it is cut short, or if its folder can
// be written by everybody. It blocks on the disk.
func LoadOrCreateKey(path string) (crypto.PrivKey, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("p2phost: key folder %q: %w", dir, err)
	}
	if err := checkKeyDir(dir); err != nil {
		return nil, err
	}
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return loadKey(path) // ours, or that of whoever was faster
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

func loadKey(path string) (crypto.PrivKey, error) {
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
	key, err := crypto.UnmarshalPrivateKey(raw)
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
func createKey(path string) (err error) {
	key, err := NewKey()
	if err != nil {
		return fmt.Errorf("p2phost: new key: %w", err)
	}
	raw, err := crypto.MarshalPrivateKey(key)
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
