package p2phost

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

func TestKeyIsMadeOnceAndPrivate(t *testing.T) { // S-08
	path := filepath.Join(t.TempDir(), "keys", "node.key")
	ids := make([]crypto.PrivKey, 8)
	var wg sync.WaitGroup
	for i := range ids { // whoever is first makes it; all read the same
		wg.Go(func() {
			key, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			ids[i] = key
		})
	}
	wg.Wait()
	for _, k := range ids {
		if k == nil || !k.Equals(ids[0]) {
			t.Fatal("two callers got different keys")
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file mode = %v, %v; want 0600", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder mode = %v, %v; want 0700", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKeyFileIsRefusedAndNeverOverwritten(t *testing.T) { // S-08
	good := filepath.Join(t.TempDir(), "good")
	if _, err := LoadOrCreateKey(good); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	_, rsaPub, err := crypto.GenerateKeyPairWithReader(crypto.RSA, 2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaID, _ := libpeer.IDFromPublicKey(rsaPub)
	if acceptedKey(rsaID) {
		t.Error("an RSA identity is accepted")
	}
	for name, c := range map[string]struct {
		make func(path string)
		want string
	}{
		"loose mode": {func(p string) { os.WriteFile(p, raw, 0o600); os.Chmod(p, 0o644) }, "chmod 600"},
		"truncated":  {func(p string) { os.WriteFile(p, raw[:10], 0o600) }, "damaged"},
		"empty":      {func(p string) { os.WriteFile(p, nil, 0o600) }, "0 bytes"},
		"garbage":    {func(p string) { os.WriteFile(p, bytes.Repeat([]byte{0xff}, 68), 0o600) }, "damaged"},
		"huge":       {func(p string) { os.WriteFile(p, make([]byte, 1<<20), 0o600) }, "4096 bytes"},
		"symlink":    {func(p string) { os.Symlink(good, p) }, "symbolic link"},
		"folder":     {func(p string) { os.Mkdir(p, 0o700) }, "regular"},
		"open folder": {func(p string) {
			os.WriteFile(p, raw, 0o600)
			os.Chmod(filepath.Dir(p), 0o777)
		}, "chmod 700"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "d", "key")
			os.Mkdir(filepath.Dir(path), 0o700)
			c.make(path)
			before, _ := os.ReadFile(path)
			_, err := LoadOrCreateKey(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), filepath.Dir(path)) {
				t.Errorf("error = %v, want one that names the path and says %q", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}
