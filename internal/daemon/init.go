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

	"github.com/starlingp2p/starling/internal/secret"
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
		var bad *ConfigError
		if errors.As(err, &bad) {
			err = bad.Err // there is no file yet that has lines
		}
		return fmt.Errorf("init: %w", err)
	}
	if err := makeDatadir(dir); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if stranger, err := foreign(dir); err != nil {
		return fmt.Errorf("init: %w", err)
	} else if stranger != "" {
		return fmt.Errorf("init: %s holds %q already; choose an empty folder", dir, stranger)
	}
	config, key := filepath.Join(dir, "config.toml"), filepath.Join(dir, sequencerKeyFile)
	for _, path := range []string{config, key} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("init: %s exists already and is left as it is; choose another datadir", path)
		}
	}
	if err := os.MkdirAll(filepath.Dir(key), 0o700); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if sequencer != nil {
		if err := secret.Create(key, []byte(hex.EncodeToString(sequencer.Seed())+"\n")); err != nil {
			return fmt.Errorf("init: %w", err)
		}
	}
	if err := secret.Create(config, append([]byte(configHead), raw...)); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	return nil
}

const configHead = `# A node of Starling. Durations are written "30s", sizes "1MiB".
# Relative paths are seen from the datadir, which is this file's folder unless
# datadir says otherwise.

`

// maxSeedFile bounds a key file, in bytes; a key takes 65.
const maxSeedFile = 256

// loadSeed reads an ed25519 key that is stored as its seed in hex.
func loadSeed(path string) (ed25519.PrivateKey, error) {
	text, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("key file %s does not hold %d hex digits; restore it from a backup", path, 2*ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// readSecret reads a key file that must be there.
func readSecret(path string) ([]byte, error) {
	text, err := secret.Read(path, maxSeedFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; restore it, or take the key out of the config to run a follower", err)
	}
	if err != nil {
		return nil, fmt.Errorf("key file %w", err)
	}
	return text, nil
}
