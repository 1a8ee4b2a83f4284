package devp2p

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
)

// Threat S-08: key files are made safely, read back, and refused where they are
// not safe or hold no key; nothing is written over.
func TestKeyFilesAreSafe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys", "nodekey")
	key, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v", info.Mode(), err)
	}
	raw, _ := os.ReadFile(path)
	if len(raw) != 64 {
		t.Errorf("the file has %d bytes, want 64 hex digits", len(raw))
	}
	if geth, err := crypto.LoadECDSA(path); err != nil || !geth.Equal(key) {
		t.Errorf("geth reads %v", err)
	}
	if again, err := LoadOrCreateKey(path); err != nil || !again.Equal(key) {
		t.Errorf("read again: %v", err)
	}
	for name, content := range map[string]string{"empty": "", "short": string(raw[:63]), "long": string(raw) + "00", "no hex": strings.Repeat("x", 64), "zero": strings.Repeat("0", 64)} {
		bad := filepath.Join(dir, name)
		os.WriteFile(bad, []byte(content), 0o600)
		if _, err := LoadOrCreateKey(bad); err == nil || content != "" && strings.Contains(err.Error(), content) {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(bad); string(got) != content {
			t.Errorf("%s: the file was changed", name)
		}
	}
	loose := filepath.Join(dir, "loose")
	os.WriteFile(loose, raw, 0o644)
	if _, err := LoadOrCreateKey(loose); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("mode 0644: %v", err)
	}
	link := filepath.Join(dir, "link")
	os.Symlink(path, link)
	if _, err := LoadOrCreateKey(link); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("symlink: %v", err)
	}
	geth := filepath.Join(dir, "geth")
	os.WriteFile(geth, []byte(hex.EncodeToString(crypto.FromECDSA(key))+"\n"), 0o600)
	if got, err := LoadOrCreateKey(geth); err != nil || !got.Equal(key) {
		t.Errorf("with a line feed: %v", err)
	}
}

func TestAddressesOfAllFormsAreRead(t *testing.T) {
	id := string(IDOf(&keyFor(1).PublicKey))
	w, err := New(configFor(idleNet(t), 1, "test", testGenesis))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"enode://" + id + "@10.0.0.1:30303":                "enode://" + id + "@10.0.0.1:30303",
		"enode://" + id + "@[::1]:30303?discport=0":        "enode://" + id + "@[::1]:30303",
		"enode://" + id + "@10.0.0.1:30303?discport=30301": "enode://" + id + "@10.0.0.1:30303?discport=30301",
		"enode://" + id + "@boot.example.org:30303":        "enode://" + id + "@boot.example.org:30303",
		// The record of EIP-778.
		"enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8": "",
	} {
		got, err := w.ParseAddr(in)
		if want == "" && err == nil || want != "" && (err != nil || got.Text != want) {
			t.Errorf("ParseAddr(%s) = %v, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"enode://" + id, "enode://" + id + "@10.0.0.1:0", "enode://" + id[:126] + "@10.0.0.1:1", "enode://" + strings.Repeat("0", 128) + "@10.0.0.1:1", "enode://" + id + "@:1"} {
		if got, err := w.ParseAddr(in); err == nil {
			t.Errorf("ParseAddr(%s) = %v", in, got)
		}
	}
	a, _ := w.ParseAddr("enode://" + id + "@boot.example.org:30303")
	if _, got, ok := w.Locate(a); ok || string(got) != id {
		t.Errorf("Locate of a name = %v, %v", got, ok)
	}
}
