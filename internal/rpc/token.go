package rpc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/starlingp2p/starling/internal/secret"
)

// tokenBytes is the entropy of a token that we make; minToken the least that
// one may have, in characters, and maxToken the most.
const (
	tokenBytes = 32
	minToken   = 32
	maxToken   = 1 << 10
)

// sameToken compares in a time that tells nothing, not even the length. An
// empty token is nobody's.
func sameToken(given, want string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && want != ""
}

// LoadToken reads the token in a file, and makes the file with a new one where
// there is none. Package secret tells what it asks of the file.
func LoadToken(path string) (string, error) {
	text, err := secret.ReadOrCreate(path, maxToken+2, func() ([]byte, error) {
		b := make([]byte, tokenBytes)
		rand.Read(b) // never fails
		return append(hex.AppendEncode(nil, b), '\n'), nil
	})
	if err != nil {
		return "", fmt.Errorf("token file %w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) < minToken || len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("token file %s does not hold a token of %d to %d printable characters; remove it, and a new one is made", path, minToken, maxToken)
	}
	return token, nil
}
