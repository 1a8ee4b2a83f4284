package opstack

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// onLoopback runs a wire on real sockets, with discovery.
func onLoopback(t *testing.T, h *wiretest.Host, change ...func(*Config)) *Wire {
	t.Helper()
	cfg := Config{
		Rules:   rulesOf(t, func(c *rules.Config) { c.GenesisTime = uint64(time.Now().Unix()) - 400 }),
		Status:  func() chain.Status { return chain.Status{Network: "test", Genesis: chain.Hash{1}} },
		Listen:  []string{"/ip4/127.0.0.1/tcp/0"},
		KeyFile: filepath.Join(t.TempDir(), "opnode_p2p_priv.txt"), AllowPrivate: true,
		DiscoverOn: "127.0.0.1:0",
	}
	for _, c := range change {
		c(&cfg)
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Start(t, w, h)
	return w
}

func TestPeersAreFoundAndDialled(t *testing.T) {
	ha, hb := &wiretest.Host{}, &wiretest.Host{}
	a := onLoopback(t, ha)
	b := onLoopback(t, hb, func(c *Config) { c.Bootnodes = []string{a.Record()} })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	found := func(h *wiretest.Host, id peer.ID) (at peer.Addr) {
		for _, f := range wiretest.Reports[wire.Found](h) {
			for _, p := range f.Peers {
				if f.Source == wire.SourceDiscv && p.ID == id {
					at = p.Addrs[0]
				}
			}
		}
		return at
	}
	// Each finds the other, though only one was told.
	for _, w := range []struct {
		h    *wiretest.Host
		w, o *Wire
	}{{hb, b, a}, {ha, a, b}} {
		for found(w.h, w.o.Self()).IsZero() {
			if ctx.Err() != nil {
				t.Fatalf("%s was not found", w.o.Self())
			}
			if err := w.w.Discover(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := found(ha, b.Self())
	if at != b.Addrs()[0] {
		t.Errorf("found at %v, it listens on %v", at, b.Addrs())
	}
	if err := a.Dial(ctx, at); err != nil {
		t.Fatal(err)
	}
	if p := ha.Sessions()[0].Peer(); p.ID != b.Self() || p.Agent != "starling" {
		t.Errorf("session with %+v", p)
	}
	if len(a.Table()) == 0 {
		t.Error("the table is empty")
	}
}

// Threat S-08: the key file is made once, for its owner only.
func TestTheIdentityIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "p2p.txt")
	same := func(c *Config) { c.KeyFile, c.DiscoverOn = path, "" }
	var first peer.ID
	t.Run("first", func(t *testing.T) { first = onLoopback(t, &wiretest.Host{}, same).Self() })
	t.Run("second", func(t *testing.T) {
		if got := onLoopback(t, &wiretest.Host{}, same).Self(); got != first {
			t.Errorf("identity %s, then %s", first, got)
		}
	})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
}
