package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What may be a secret is not shown, and a config that has such a header is for
// its owner alone.
func TestSecretsOfTheConfigAreNotShown(t *testing.T) {
	const flags = `l1 = "https://me:SECRET@l1.example.org/v3/SECRET?key=SECRET"
system_config = "0x229047fed2591dbec1eF1118d64F7aF3dB9EB290"
signer_endpoint = "https://signer.example.org:8443/SECRET"
signer_address = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
signer.header = ["Authorization: Bearer SECRET", "X-Role: SECRET"]`
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, withFlags(flags), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(path); err == nil || !strings.Contains(err.Error(), "network.opstack.signer_headers may be a secret") || !strings.Contains(err.Error(), "chmod 600 "+path) {
		t.Errorf("for all to read: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"network.opstack.l1":              "https://…@l1.example.org/…",
		"network.opstack.signer_endpoint": "https://signer.example.org:8443/…",
		"network.opstack.signer_headers":  "Authorization: …,X-Role: …",
	}
	for _, v := range cfg.Values() {
		if strings.Contains(v.Value, "SECRET") || want[v.Key] != "" && v.Value != want[v.Key] {
			t.Errorf("%s is shown as %q, want %q", v.Key, v.Value, want[v.Key])
		}
		delete(want, v.Key)
	}
	if len(want) > 0 {
		t.Errorf("not shown: %v", want)
	}
	if h, err := cfg.Networks[0].OPStack.signerHeaders(); err != nil || h.Get("Authorization") != "Bearer SECRET" {
		t.Errorf("what is sent is %v, %v", h, err)
	}
}

func TestURLsAreShownWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"http://127.0.0.1:8545":      "http://127.0.0.1:8545",
		"http://127.0.0.1:8545/":     "http://127.0.0.1:8545/",
		"https://k@h?key=1":          "https://…@h/…",
		"https://h#k":                "https://h/…",
		"me@stats.example.org:3000":  "me@stats.example.org:3000",
		"me@stats.example.org/k":     "me@stats.example.org/…",
		"me@wss://stats.example.org": "me@wss://stats.example.org",
		"me@wss://k:k@h/k":           "me@wss://…@h/…",
	} {
		if got := hideURL(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}
