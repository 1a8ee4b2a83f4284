package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A network before the Merge waits for geth's five peers or 10 s before it syncs,
// whatever the most peers are: the node waits for no more than there may be.
func TestAnEthereumNetworkWaitsForCompany(t *testing.T) {
	for _, most := range []int{0, 3, 50} {
		cfg, err := ParseConfig([]byte(ethConfig))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Datadir, cfg.Networks[0].MaxPeers = t.TempDir(), most
		cfg.Networks[0].Ethereum.Genesis = filepath.Join(t.TempDir(), "genesis.json")
		if err := os.WriteFile(cfg.Networks[0].Ethereum.Genesis, []byte(cliqueGenesis), 0o600); err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		n, err := Open(cfg, log)
		if err != nil {
			t.Fatal(err)
		}
		got, err := n.settings(cfg.Networks[0], log)
		if err != nil || got.SyncPeers != 5 || got.SyncWait != 10*time.Second || got.MaxPeers != most {
			t.Errorf("max_peers %d: it waits for %d of %d peers, %v at most, %v", most, got.SyncPeers, got.MaxPeers, got.SyncWait, err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Where it can be said how many peers a sync waits for, it is no more than there
// may be.
func TestSyncPeersAreNoMoreThanMaxPeers(t *testing.T) {
	for _, tt := range []struct {
		most, sync int
		want       string
	}{
		{5, 5, ""},
		{5, 6, "network.ontology.sync_peers is 6, more than network.max_peers (5)"},
		{0, 51, "network.ontology.sync_peers is 51, more than network.max_peers (50)"},
		{0, 50, ""},
	} {
		text := presetOf("polaris")
		if tt.most > 0 {
			text += fmt.Sprintf("max_peers = %d\n", tt.most)
		}
		_, err := ParseConfig(fmt.Appendf(nil, "%s[network.ontology]\nsync_peers = %d\n", text, tt.sync))
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d of %d: %v, want %q", tt.sync, tt.most, err, tt.want)
		}
	}
}
