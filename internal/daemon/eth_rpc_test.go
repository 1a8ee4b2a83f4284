package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newEthereum is the config of a clique network of its own.
func newEthereum(t *testing.T, change ...func(*Config)) Config {
	t.Helper()
	cfg, err := ParseConfig([]byte(ethConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datadir = filepath.Join(t.TempDir(), "n")
	if err := os.MkdirAll(cfg.Datadir, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg.Networks[0].NoDiscovery = true
	cfg.Networks[0].Ethereum.Genesis = filepath.Join(cfg.Datadir, "genesis.json")
	if err := os.WriteFile(cfg.Networks[0].Ethereum.Genesis, []byte(cliqueGenesis), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

// The methods have geth's shapes; geth's own client drives them in interop/rpc,
// and blocks are compared with geth's in interop/devp2p.
func TestTheEthMethods(t *testing.T) {
	s := serveNode(t, newEthereum(t))
	c, ctx := s.dial(t), inTime(t)
	ask := func(method string, params ...any) string {
		t.Helper()
		var raw json.RawMessage
		if err := c.Call(ctx, method, &raw, params...); err != nil {
			return err.Error()
		}
		return string(raw)
	}
	genesis := s.node.Status().Genesis
	for _, tt := range []struct {
		method string
		params []any
		want   string
	}{
		{"net_version", nil, `"1338"`},
		{"eth_chainId", nil, `"0x53a"`},
		{"eth_blockNumber", nil, `"0x0"`},
		{"eth_syncing", nil, `false`},
		{"txpool_status", nil, `{"pending":"0x0","queued":"0x0"}`},
		{"eth_getBlockByNumber", []any{"0x1", false}, `null`},
		{"eth_getBlockByNumber", []any{"pending", false}, `null`},
		{"eth_getBlockByHash", []any{"0x" + strings.Repeat("ab", 32), false}, `null`},
		{"eth_getUncleByBlockHashAndIndex", []any{genesis, "0x0"}, `null`},
		{"eth_sendRawTransaction", []any{"0x" + ownTx}, `"` + ownTxHash + `"`},
		{"txpool_status", nil, `{"pending":"0x0","queued":"0x1"}`},
	} {
		if got := ask(tt.method, tt.params...); got != tt.want && tt.method != "txpool_status" {
			t.Errorf("%s%v gave %s, want %s", tt.method, tt.params, got, tt.want)
		}
	}
	var pool TxPoolStatus
	if err := c.Call(ctx, "txpool_status", &pool); err != nil || pool.Pending != "0x1" && pool.Queued != "0x1" {
		t.Errorf("txpool_status gave %+v, %v", pool, err)
	}
	first := ask("eth_getBlockByNumber", "earliest", true)
	for _, again := range []string{
		ask("eth_getBlockByNumber", "0x0", true), ask("eth_getBlockByNumber", "latest", false), ask("eth_getBlockByHash", genesis, false),
	} {
		if again != first || !strings.Contains(first, `"hash":"`+genesis+`"`) || !strings.Contains(first, `"totalDifficulty":"0x1"`) {
			t.Errorf("the first block is %s, and %s", first, again)
		}
	}
	for method, tt := range map[string]struct {
		params []any
		want   string
	}{
		"eth_sendRawTransaction":          {[]any{"0x" + ownTx}, "already known"},
		"eth_getBlockByNumber":            {[]any{"12"}, "no block number"},
		"eth_getBlockByHash":              {[]any{"0x12"}, "no hash"},
		"eth_getUncleByBlockHashAndIndex": {[]any{genesis, "zz"}, "index in hex"},
	} {
		if got := ask(method, tt.params...); !strings.Contains(got, tt.want) {
			t.Errorf("%s%v gave %s, want %q in it", method, tt.params, got, tt.want)
		}
	}
	for _, text := range []string{"ff", "0xfff", "0x", ""} {
		if got := ask("eth_sendRawTransaction", text); !strings.Contains(got, "in hex") {
			t.Errorf("eth_sendRawTransaction(%q) gave %s", text, got)
		}
	}
	if got := ask("eth_sendRawTransaction", "0x02ff"); !strings.Contains(got, "bad-encoding") {
		t.Errorf("a broken transaction gave %s", got)
	}
	if got := ask("eth_getBlockByNumber", "finalized"); !strings.Contains(got, "finalized block not found") {
		t.Errorf("the finalized block is %s", got)
	}
}

// What admin_nodeInfo and admin_peers show of eth is what geth shows; ids are
// enode's 32 bytes.
func TestAdminShowsTheEthProtocol(t *testing.T) {
	a := serveNode(t, newEthereum(t, func(c *Config) { c.Networks[0].NoDiscovery = false }))
	b := serveNode(t, newEthereum(t, func(c *Config) { c.Networks[0].NoListen = true }))
	c, events, ctx := b.dial(t), b.dial(t), inTime(t)
	notes, err := events.Subscribe(ctx, "admin", "peerEvents")
	if err != nil {
		t.Fatal(err)
	}
	var done bool
	var own struct {
		ID, Enode, ENR string
		Protocols      map[string]struct {
			Network       uint64
			Difficulty    int
			Genesis, Head string
			Config        map[string]any
		}
	}
	if err := a.dial(t).Call(ctx, "admin_nodeInfo", &own); err != nil {
		t.Fatal(err)
	}
	if err := c.Call(ctx, "admin_addPeer", &done, own.ENR); err != nil || !done {
		t.Fatalf("admin_addPeer: %v", err)
	}
	var ev PeerEvent
	if err := notes.Next(ctx, &ev); err != nil || ev.Type != "add" || len(ev.Peer) != 64 {
		t.Fatalf("the first event is %+v, %v", ev, err)
	}
	e := own.Protocols["eth"]
	if genesis := a.node.Status().Genesis; own.ID != ev.Peer || own.Enode != a.ready.Addrs[0] || e.Network != 1338 || e.Difficulty != 1 || e.Genesis != genesis || e.Head != genesis || e.Config["chainId"] != 1338.0 {
		t.Errorf("admin_nodeInfo gave %+v", own)
	}
	type link struct{ LocalAddress, RemoteAddress string }
	var peers, theirs []struct {
		ID, ENR   string
		Caps      []string
		Network   link
		Protocols map[string]struct {
			Version, Difficulty int
			Head                string
		}
	}
	if err := c.Call(ctx, "admin_peers", &peers); err != nil || len(peers) != 1 {
		t.Fatalf("admin_peers gave %+v, %v", peers, err)
	}
	if p := peers[0]; p.ID != own.ID || !slices.Equal(p.Caps, []string{"eth/68"}) || p.Protocols["eth"].Version != 68 || p.Protocols["eth"].Difficulty != 1 || p.Protocols["eth"].Head != e.Head {
		t.Errorf("the peer is %+v", p)
	}
	if err := a.dial(t).Call(ctx, "admin_peers", &theirs); err != nil || len(theirs) != 1 {
		t.Fatalf("admin_peers of the other gave %+v, %v", theirs, err)
	}
	if p, q := peers[0], theirs[0]; p.ENR != own.ENR || q.ENR != "" || p.Network.LocalAddress == "" || p.Network != (link{q.Network.RemoteAddress, q.Network.LocalAddress}) {
		t.Errorf("the link is %+v with %q, of the other %+v with %q", p.Network, p.ENR, q.Network, q.ENR)
	}
}
