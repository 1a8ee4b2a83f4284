package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/blocksync"
)

// withSigner gives a node the key of cliqueGenesis' signer.
func withSigner(t *testing.T) func(*Config) {
	return func(c *Config) {
		c.Networks[0].Ethereum.SignerKey = "keys/signer.key"
		path := filepath.Join(c.Datadir, "keys", "signer.key")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("11", 32)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A node with a signer's key seals each period, and another follows.
func TestANodeSeals(t *testing.T) {
	a := serveNode(t, newEthereum(t, withSigner(t)))
	b := serveNode(t, newEthereum(t, func(c *Config) { c.Networks[0].NoListen, c.Networks[0].Static = true, a.ready.Addrs }))
	c, ctx := b.dial(t), inTime(t)
	notes, err := c.Subscribe(ctx, "starling", "heads")
	if err != nil {
		t.Fatal(err)
	}
	for head := (HeadEvent{}); head.Number < 2; {
		if err := notes.Next(ctx, &head); err != nil {
			t.Fatal(err)
		}
	}
	var block struct {
		Difficulty, Miner, ExtraData, StateRoot string
	}
	if err := b.dial(t).Call(ctx, "eth_getBlockByNumber", &block, "0x1"); err != nil || block.Difficulty != "0x2" || !strings.HasPrefix(block.ExtraData, "0x737461726c696e67") {
		t.Errorf("block 1 is %+v, %v", block, err)
	}
}

// A signer waits while blocks of others are fetched, or will be: also while the
// sync waits for company. It does not wait for those who deliver nothing.
func TestASignerWaitsForTheSync(t *testing.T) {
	for _, c := range []struct {
		status starling.SyncStatus
		want   bool
	}{
		{starling.SyncStatus{Mode: "starting"}, true},
		{starling.SyncStatus{Mode: "idle"}, false},
		{starling.SyncStatus{Mode: "synced"}, false},
		{starling.SyncStatus{Mode: "forward", Outdone: true}, true},
		{starling.SyncStatus{Mode: "backward"}, true},
		{starling.SyncStatus{Mode: "behind", Outdone: true}, true},
		{starling.SyncStatus{Mode: "behind"}, false}, // a block's parent is missing
		{starling.SyncStatus{Mode: "stuck", Cause: string(blocksync.CauseFewPeers), Outdone: true}, true},
		{starling.SyncStatus{Mode: "stuck", Cause: string(blocksync.CauseImport)}, true},
		{starling.SyncStatus{Mode: "stuck", Cause: string(blocksync.CauseDisk)}, true},
		{starling.SyncStatus{Mode: "stuck", Cause: string(blocksync.CauseVerify)}, true},
		{starling.SyncStatus{Mode: "stuck", Cause: string(blocksync.CauseSilent), Outdone: true}, false},
		{starling.SyncStatus{Mode: "stuck", Cause: string(blocksync.CauseAnswers), Outdone: true}, false},
		{starling.SyncStatus{Mode: "stuck", Cause: string(blocksync.CauseMissingParent)}, false},
		{starling.SyncStatus{Mode: "stuck", Cause: string(blocksync.CauseNoPeers)}, false},
	} {
		if got := mustWait(c.status); got != c.want {
			t.Errorf("%+v: waits %v, want %v", c.status, got, c.want)
		}
	}
}

func TestSignerKeysThatCannotSealAreRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"signer_key": func(c *Config) { c.Networks[0].Ethereum.SignerKey = "keys/gone.key" },
		"64 hex digits": func(c *Config) {
			withSigner(t)(c)
			path := filepath.Join(c.Datadir, "keys", "signer.key")
			if err := os.WriteFile(path, []byte("0x12"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"period is 0": func(c *Config) {
			withSigner(t)(c)
			still := strings.Replace(cliqueGenesis, `"period":1`, `"period":0`, 1)
			if err := os.WriteFile(c.Networks[0].Ethereum.Genesis, []byte(still), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		n, err := Open(newEthereum(t, change), slog.New(slog.DiscardHandler))
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "signer_key") {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}
