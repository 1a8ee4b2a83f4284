package ontology

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// readKey reads the node key from its file: nil if there is none. The key
// proves nothing and signs nothing, but a stranger who has it can claim to be
// this node, so a file that others may read is refused.
func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ontology: node key: %w", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("ontology: node key %s has mode %v: make it a file with mode 0600", path, info.Mode())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ontology: node key: %w", err)
	}
	key, err := decodeKey(text)
	if err != nil {
		return nil, fmt.Errorf("ontology: node key %s: %w: move it away, and a new one is made", path, err)
	}
	return key, nil
}

// keepKey writes a new node key, durably and never over another.
func keepKey(path string, private []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".node-key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("ontology: node key: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(private) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("ontology: node key: %w", err)
	}
	return nil
}

// findKey looks for a node key, which takes seconds of CPU, keeps it and makes
// it ours for the handshakes to come.
func (n *node) findKey(ctx context.Context) {
	_, private, err := codec.NewKadKey(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.log.Warn("no node key could be made", "err", err)
		}
		return
	}
	if err := keepKey(n.cfg.NodeKeyFile, private); err != nil {
		n.log.Warn("the node key cannot be kept: the next start computes another", "err", err)
	}
	id, err := withKey(private, n.cfg.Soft)
	if err != nil {
		n.log.Warn("the node key is of no use", "err", err)
		return
	}
	n.become(id)
	n.log.Info("node key computed", "id", id.kad.String())
}
