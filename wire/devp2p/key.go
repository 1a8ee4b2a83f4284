package devp2p

import (
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/internal/secret"
)

// maxKeyFile bounds a key file, in bytes: 64 digits and a line's end.
const maxKeyFile = 66

// LoadOrCreateKey reads the key at path, 64 hex digits as geth's nodekey has
// them, or draws one there if there is none; package secret tells what it asks
// of the file and its folder. A file that exists is never written to. It blocks
// on the disk.
func LoadOrCreateKey(path string) (*ecdsa.PrivateKey, error) {
	raw, err := secret.ReadOrCreate(path, maxKeyFile, func() ([]byte, error) {
		key, err := crypto.GenerateKey()
		if err != nil {
			return nil, err
		}
		return hex.AppendEncode(nil, crypto.FromECDSA(key)), nil
	})
	if err != nil {
		return nil, fmt.Errorf("devp2p: key file %w", err)
	}
	key, err := crypto.HexToECDSA(strings.TrimRight(string(raw), "\r\n"))
	if err != nil {
		// The reason is not wrapped: it might quote the key.
		return nil, fmt.Errorf("devp2p: key file %s holds no key of 64 hex digits (%d bytes): restore it, or move it away for a new identity", path, len(raw))
	}
	return key, nil
}
