package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Nodes of static-nodes.json are dialled, those of trusted-nodes.json over every
// limit, beside those of the config.
func TestNodesOfFilesAreDialled(t *testing.T) {
	var list []string
	for range 3 {
		list = append(list, serveNode(t, newEthereum(t)).ready.Addrs[0])
	}
	b := serveNode(t, newEthereum(t, func(c *Config) {
		c.Networks[0].NoListen, c.Networks[0].Static = true, list[:1]
		for name, url := range map[string]string{staticNodesFile: list[1], trustedNodesFile: list[2]} {
			if err := os.WriteFile(filepath.Join(c.Datadir, name), []byte(`["`+url+`"]`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}))
	if err := b.node.node.Client().WaitForPeers(inTime(t), 3); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.node.peerInfos() {
		if !p.Network.Static || p.Network.Trusted != (p.Enode == list[2]) {
			t.Errorf("the peer is %+v", p)
		}
	}
}

func TestBrokenNodeFilesAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                      "want a list",
		`["enode://12@1.2.3.4"]`: "node 1",
		`[` + strings.Repeat(`"x",`, mostAddrs) + `"x"]`: "at most",
	} {
		n, err := Open(newEthereum(t, func(c *Config) {
			if err := os.WriteFile(filepath.Join(c.Datadir, trustedNodesFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}), slog.New(slog.DiscardHandler))
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), trustedNodesFile) {
			t.Errorf("%v, want %q and the file in it", err, want)
		}
	}
}
