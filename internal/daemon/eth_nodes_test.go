package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Nodes of static-nodes.json are dialled beside those of the config; those of
// trusted-nodes.json are let in over every limit when they call, and not dialled.
func TestNodesOfFilesAreDialled(t *testing.T) {
	var nodes []*served
	var list []string
	for range 3 {
		n := serveNode(t, newEthereum(t))
		nodes, list = append(nodes, n), append(list, n.ready.Addrs[0])
	}
	b := serveNode(t, newEthereum(t, func(c *Config) {
		c.Networks[0].Static = list[:1]
		for name, url := range map[string]string{staticNodesFile: list[1], trustedNodesFile: list[2]} {
			if err := os.WriteFile(filepath.Join(c.Datadir, name), []byte(`["`+url+`"]`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}))
	if err := b.node.node.Client().WaitForPeers(inTime(t), 2); err != nil {
		t.Fatal(err)
	}
	for _, f := range b.node.node.Client().Outlook().Configured {
		if trusted := f.Addr.Text == list[2]; f.Trusted != trusted || f.Wanted == trusted || f.Tries > 0 && trusted {
			t.Errorf("configured is %+v", f)
		}
	}
	if err := nodes[2].node.node.Client().Connect(inTime(t), b.ready.Addrs[0]); err != nil {
		t.Fatal(err)
	}
	if err := b.node.node.Client().WaitForPeers(inTime(t), 3); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.node.peerInfos() {
		trusted := p.ID == b.node.adminID(nodes[2].node.node.Client().Status().Self)
		if p.Network.Static == trusted || p.Network.Trusted != trusted || p.Network.Inbound != trusted {
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
