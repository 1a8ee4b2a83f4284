package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
