package p2phost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto/pb"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

// Threat S-08, for key files in op-node's form.
func TestHexKeysAreAsOpNodeHasThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "opnode_p2p_priv.txt")
	made, err := LoadOrCreateHexKey(path)
	if err != nil || made.Type() != pb.KeyType_Secp256k1 {
		t.Fatal(made, err)
	}
	text, err := os.ReadFile(path)
	if info, serr := os.Stat(path); err != nil || serr != nil || len(text) != 64 || info.Mode().Perm() != 0o600 {
		t.Errorf("file of %d bytes, %v, %v; want 64, mode 0600", len(text), err, serr)
	}
	if again, err := LoadOrCreateHexKey(path); err != nil || !again.Equals(made) {
		t.Errorf("read again: %v", err)
	}
	for name, text := range map[string]string{"prefix": "0x" + strings.Repeat("0", 63) + "1", "newline": strings.Repeat("0", 63) + "1\n"} {
		k, err := ParseHexKey([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// The identity of the key 1, whose public key is the curve's generator.
		if id, err := libpeer.IDFromPrivateKey(k); err != nil || !strings.HasPrefix(id.String(), "16Uiu2HA") {
			t.Errorf("%s: identity %v, %v", name, id, err)
		}
	}
	for name, text := range map[string]string{"empty": "", "short": "01", "not hex": strings.Repeat("z", 64), "zero": strings.Repeat("0", 64), "too large": strings.Repeat("f", 64)} {
		if _, err := ParseHexKey([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
		bad := filepath.Join(filepath.Dir(path), "bad")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOrCreateHexKey(bad)
		if err == nil || len(text) >= 64 && strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v; want an error that does not repeat it", name, err)
		}
		if now, _ := os.ReadFile(bad); string(now) != text {
			t.Errorf("%s: the file was written to", name)
		}
	}
}
