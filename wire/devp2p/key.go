package devp2p

import (
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ethereum/go-ethereum/crypto"
)

// LoadOrCreateKey reads the key at path, 64 hex digits as geth's nodekey has
// them, or draws one there if there is none. A new file has mode 0600 and
// appears whole or not at all; its folder is made with mode 0700. A file that
// exists is never written to: it is refused if it is no regular file, if
// anybody but its owner may use it, if it holds no key, or if its folder can be
// written by everybody. It blocks on the disk.
func LoadOrCreateKey(path string) (*ecdsa.PrivateKey, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("devp2p: key folder %q: %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("devp2p: key folder %q: %w", dir, err)
	}
	// Others may replace the file there, whatever mode it has itself.
	if info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("devp2p: key folder %q can be written by everybody (mode %04o): chmod 700 it", dir, info.Mode().Perm())
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

func loadKey(path string) (*ecdsa.PrivateKey, error) {
	// O_NOFOLLOW refuses a symlink at the moment of opening, so what is checked
	// is what is read; O_NONBLOCK keeps a FIFO from holding us.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("devp2p: key file %q is a symbolic link: name the file itself", path)
	}
	if err != nil {
		return nil, fmt.Errorf("devp2p: key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("devp2p: key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("devp2p: key file %q is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("devp2p: key file %q can be used by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	raw, err := io.ReadAll(io.LimitReader(f, 128))
	if err != nil {
		return nil, fmt.Errorf("devp2p: key file %q: %w", path, err)
	}
	key, err := crypto.HexToECDSA(strings.TrimRight(string(raw), "\r\n"))
	if err != nil {
		// The reason is not wrapped: it might quote the key.
		return nil, fmt.Errorf("devp2p: key file %q holds no key of 64 hex digits (%d bytes): restore it, or move it away for a new identity", path, len(raw))
	}
	return key, nil
}

// createKey writes a new key beside path and links it there, which fails if
// the name is taken.
func createKey(path string) (err error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return fmt.Errorf("devp2p: new key: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("devp2p: new key file: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(crypto.FromECDSA(key)))
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
		return fmt.Errorf("devp2p: new key file %q: %w", path, err)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("devp2p: key folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("devp2p: key folder: %w", err)
	}
	return nil
}
