package daemon

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sequencerKeyFile is where Init puts the sequencer's key, seen from the datadir.
const sequencerKeyFile = "keys/sequencer.key"

// Init makes a datadir: config.toml, and the sequencer's key where the node is
// to be the sequencer. It overwrites nothing.
func Init(dir string, cfg Config, sequencer ed25519.PrivateKey) error {
	if sequencer != nil && len(cfg.Networks) == 1 {
		cfg.Networks[0].Sequenced.ProduceKey = sequencerKeyFile
	}
	raw, err := cfg.Encode()
	if err != nil {
		return err
	}
	if _, err := ParseConfig(raw); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if stranger, err := foreign(dir); err != nil {
		return fmt.Errorf("init: %w", err)
	} else if stranger != "" {
		return fmt.Errorf("init: %s holds %q already; choose an empty folder", dir, stranger)
	}
	if err := create(filepath.Join(dir, "config.toml"), append([]byte(configHead), raw...)); err != nil {
		return err
	}
	if sequencer == nil {
		return nil
	}
	return create(filepath.Join(dir, sequencerKeyFile), []byte(hex.EncodeToString(sequencer.Seed())+"\n"))
}

const configHead = `# A node of Starling. Durations are written "30s", sizes "1MiB".
# Relative paths are seen from the datadir, which is this file's folder unless
# datadir says otherwise.

`

// create writes a new file of mode 0600, and fails if there is one.
func create(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("init: %s exists already and is left as it is", path)
	}
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// loadSeed reads an ed25519 key that is stored as its seed in hex. It refuses
// a file that others can read, and a link.
func loadSeed(path string) (ed25519.PrivateKey, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s is no regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("key file %s has mode %04o and can be read by others; run: chmod 600 %s", path, mode, path)
	}
	var buf [256]byte
	n, _ := f.Read(buf[:])
	seed, err := hex.DecodeString(strings.TrimSpace(string(buf[:n])))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("key file %s does not hold %d hex digits", path, 2*ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
