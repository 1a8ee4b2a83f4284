package devp2p

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

// TestChainFilesGoBothWays: what geth exports starling imports, every root
// checked; what starling exports of that is the same file, and another geth
// imports it.
func TestChainFilesGoBothWays(t *testing.T) {
	const blocks = 6
	for _, release := range []string{newest, old} {
		t.Run(release, func(t *testing.T) {
			var from, to *gethNode
			if release == newest {
				from, to = startGeth(t, 70, blocks), startGeth(t, 70, 0)
			} else {
				from, to = startOld(t, 1), startOld(t, 1)
				from.Do(map[string]any{"do": "seal"}, nil)
				from.Do(map[string]any{"do": "send", "count": 5}, nil)
				from.Until("blocks", func(e event) bool { return e.Event == "head" && e.Number >= blocks })
				from.rest()
			}
			dir := steertest.ShortDir(t)
			for name, text := range map[string]string{
				"genesis.json": string(from.Genesis),
				"config.toml":  "config_version = 1\n[[network]]\nname = \"interop\"\nwire = \"devp2p\"\n[network.ethereum]\ngenesis = \"genesis.json\"\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			run := func(args ...string) {
				t.Helper()
				if out, err := exec.CommandContext(t.Context(), peers.Program(t), append(args[:1:1], append([]string{"--datadir", dir}, args[1:]...)...)...).CombinedOutput(); err != nil {
					t.Fatalf("starling %v: %v\n%s", args, err, out)
				}
			}
			files := t.TempDir()
			file := func(name string) string { return filepath.Join(files, name) }
			var done bool
			from.call(t, &done, "admin_exportChain", file("theirs.rlp.gz"))
			from.call(t, &done, "admin_exportChain", file("theirs.rlp"))
			run("import", file("theirs.rlp.gz"))
			run("export", file("ours.rlp"))
			run("export", file("ours.rlp.gz"))
			theirs, err := os.ReadFile(file("theirs.rlp"))
			if err != nil {
				t.Fatal(err)
			}
			ours, err := os.ReadFile(file("ours.rlp"))
			if err != nil || !bytes.Equal(ours, theirs) || len(ours) == 0 {
				t.Fatalf("our file has %d bytes, geth's %d: %v", len(ours), len(theirs), err)
			}
			to.call(t, &done, "admin_importChain", file("ours.rlp.gz"))
			want, got := struct{ Hash string }{}, struct{ Hash string }{}
			from.call(t, &want, "eth_getBlockByNumber", "latest", false)
			to.call(t, &got, "eth_getBlockByNumber", "latest", false)
			if got != want || got.Hash == "" {
				t.Errorf("geth's head is %s after the import, want %s", got, want)
			}
			t.Logf("%d bytes went from geth %s to starling and on to another geth", len(ours), release)
		})
	}
}
