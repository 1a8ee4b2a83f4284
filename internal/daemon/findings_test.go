package daemon

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/why"
)

// What a network lacks to go on, and what its protocol does not protect, is told
// to whoever asks why.
func TestWhyTellsWhatANetworkLacks(t *testing.T) {
	for _, tt := range []struct{ name, config, code, says string }{
		{"no signer", presetOf("op-mainnet") + quiet, "no-signer", "set l1"},
		{"no signer yet", presetOf("op-mainnet") + quiet + "[network.opstack]\nl1 = \"http://127.0.0.1:1/secret\"\n", "no-signer", "network.opstack.l1"},
		{"a signer", presetOf("op-mainnet") + quiet + "[network.opstack]\nsequencer = \"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\"\n", "", ""},
		{"no target", presetOf("hoodi") + quiet, "no-target", "set network.target"},
		{"no seal is checked", presetOf("classic") + quiet, "seal-not-checked", "nobody worked for"},
		{"in the clear", presetOf("polaris") + quiet, "links-in-the-clear", "neither encryption nor identities"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := ParseConfig([]byte(tt.config))
			if err != nil {
				t.Fatal(err)
			}
			cfg.Datadir = t.TempDir()
			n, err := Open(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			n.began = time.Now().Add(-time.Minute)
			found := n.findings()
			if (len(found) == 1) != (tt.code != "") {
				t.Fatalf("found %+v, want %q", found, tt.code)
			}
			if tt.code == "" {
				return
			}
			f := found[0]
			if text := f.Cause + f.Remedy + strings.Join(f.Evidence, " "); f.Code != tt.code || !strings.Contains(text, tt.says) || strings.Contains(text, "secret") || f.Remedy == "" {
				t.Errorf("found %+v, want %s with %q", f, tt.code, tt.says)
			}
			if want := map[bool]string{true: why.Notice, false: why.Trouble}[tt.code == "links-in-the-clear" || tt.code == "seal-not-checked"]; f.Level != want {
				t.Errorf("%s is a %s, want a %s", f.Code, f.Level, want)
			}
		})
	}
}
