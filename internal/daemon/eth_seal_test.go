package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
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
		if got := isOurs(c.status) || mustWait(c.status); got != c.want {
			t.Errorf("%+v: waits %v, want %v", c.status, got, c.want)
		}
	}
}

// Blocks that are claimed and not delivered stop a signer for a bounded time,
// also where the claims come and go; a sync that goes on is waited for.
func TestASignerWaitsForClaimsABoundedTime(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	waited := func(heads func(second int) uint64, must func(second int) bool) (seconds, warnings int) {
		var p patience
		for s := range 3 * 3600 {
			wait, inVain := p.more(start.Add(time.Duration(s)*time.Second), chain.Ref{Number: heads(s)}, must(s))
			if wait {
				seconds++
			}
			if inVain {
				warnings++
			}
		}
		return seconds, warnings
	}
	always := func(int) bool { return true }
	still := func(int) uint64 { return 7 }
	most := 3*3600/int((sealAnyway+sealPatience)/time.Second) + 1
	if n, warned := waited(still, always); n > most*int(sealPatience/time.Second) || warned == 0 || warned > most {
		t.Errorf("claims alone: %d s of three hours, %d warnings", n, warned)
	}
	if n, _ := waited(still, func(s int) bool { return s%2 == 0 }); n > most*int(sealPatience/time.Second) {
		t.Errorf("claims that come and go: %d s of three hours", n)
	}
	if n, warned := waited(func(s int) uint64 { return uint64(s / 100) }, always); n != 3*3600 || warned != 0 {
		t.Errorf("a sync that goes on: %d s of three hours, %d warnings", n, warned)
	}
	// What it seals itself begins no wait anew, until it waits again.
	var p patience
	now := start
	for range 1000 {
		if wait, _ := p.more(now, chain.Ref{Number: 7}, true); !wait {
			break
		}
		now = now.Add(time.Second)
	}
	for n := range uint64(100) {
		if wait, _ := p.more(now.Add(time.Duration(n)*time.Second), chain.Ref{Number: 8 + n}, true); wait {
			t.Fatalf("it waits after its own block %d", 7+n)
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
