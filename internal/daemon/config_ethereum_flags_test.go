package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// withGethFlags is ethConfig with lines in its [network.ethereum] table, and
// without the address that it listens on.
func withGethFlags(lines ...string) []byte {
	text := strings.Replace(ethConfig, "listen = [\"127.0.0.1:0\"]\n", "", 1)
	return []byte(strings.Replace(text, "versions = [68]\n", "versions = [68]\n"+strings.Join(lines, "\n")+"\n", 1))
}

func TestGethsFlagsAreTaken(t *testing.T) {
	for _, tt := range []struct {
		flags string
		got   func(n *Network) any
		want  any
	}{
		{`port = 30399`, func(n *Network) any { return n.Listen }, []string{"0.0.0.0:30399"}},
		{"txpool.globalslots = 5120\ntxpool.accountqueue = 32\ntxpool.lifetime = \"1h\"", func(n *Network) any {
			return []int{n.Ethereum.PoolTxs, n.Ethereum.PoolPerSender, int(time.Duration(n.Ethereum.PoolLifetime).Hours())}
		}, []int{5120, 32, 1}},
		{`maxpeers = 80`, func(n *Network) any { return n.MaxPeers }, 80},
		{`nodiscover = true`, func(n *Network) any { return n.NoDiscovery }, true},
		{"discovery.v4 = false\ndiscovery.v5 = true\ndiscovery.port = 30304", func(n *Network) any {
			return []any{n.Ethereum.NoDiscV4, n.Ethereum.NoDiscV5, n.Ethereum.DiscoveryPort}
		}, []any{true, false, 30304}},
		{`"discovery.v5" = false`, func(n *Network) any { return n.Ethereum.NoDiscV5 }, true},
		{`discovery.dns = "enrtree://AKA3AM6LPBYEUDMVNU3BSVQJ5AD45Y7YPOHJLEF6W26QOE4VTUDPE@all.mainnet.ethdisco.net"`, func(n *Network) any { return len(n.Ethereum.Lists) }, 1},
		{`netrestrict = "10.0.0.0/8,192.168.0.0/16"`, func(n *Network) any { return n.NetRestrict }, []string{"10.0.0.0/8", "192.168.0.0/16"}},
		{`nodekey = "keys/geth"`, func(n *Network) any { return n.KeyFile }, "keys/geth"},
		{`syncmode = "fast"`, func(n *Network) any { return n.Ethereum.Mode }, "fast"},
		{`networkid = 77`, func(n *Network) any { return n.Ethereum.NetworkID }, 77},
		{"nat = \"extip:203.0.113.9\"\nbootnodes = []", func(n *Network) any { return n.Ethereum.NAT }, "extip:203.0.113.9"},
		// What is always so may be said.
		{"maxpendpeers = 50\ntxpool.nolocals = false\ntxpool.lifetime = \"3h0m0s\"\nipcdisable = false", func(n *Network) any { return n.Name }, "clique"},
	} {
		cfg, err := ParseConfig(withGethFlags(tt.flags))
		if err != nil {
			t.Errorf("%s: %v", tt.flags, err)
			continue
		}
		if got := tt.got(&cfg.Networks[0]); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, want %v", tt.flags, got, tt.want)
		}
	}
}

// Every flag has a place, and what has no counterpart is refused by its name and
// line, with what to use.
func TestEveryFlagOfGethsHasAPlace(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range gethFlags() {
		if seen[f.name] {
			t.Errorf("%s is there twice", f.name)
		}
		seen[f.name] = true
		if _, ok := fieldOf(f.key); f.key != "" && !ok {
			t.Errorf("%s stands for %s, which there is not", f.name, f.key)
		}
		if f.key != "" || f.with != "" {
			continue
		}
		_, err := ParseConfig(withGethFlags(f.name + ` = "something else"`))
		said := f.name + map[bool]string{false: ` = "something else"`}[f.secret]
		if err == nil || !strings.Contains(err.Error(), said+` has no counterpart here: `+f.why) || !strings.Contains(err.Error(), "line 8: ") {
			t.Errorf("%s: %v, want its name, its line and %q", f.name, err, f.why)
		}
	}
	for _, name := range strings.Fields("port maxpeers maxpendpeers nodiscover discovery.port discovery.v4 discovery.v5 discovery.dns netrestrict nodekey nodekeyhex networkid syncmode identity datadir") {
		if !seen[name] {
			t.Errorf("%s is not in the table", name)
		}
	}
}

func TestBadFlagsOfGethsAreRefused(t *testing.T) {
	for flags, want := range map[string]string{
		`port = "many"`:                         "network.listen",
		`discovery.v4 = "perhaps"`:              "want true or false",
		`discovery.port = 70000`:                "want 1 to 65535",
		`syncmode = "light"`:                    "light",
		`discovery.nonsense = 1`:                "discovery.nonsense is no flag of geth's",
		"network_id = 5\nnetworkid = 6":         "networkid says the same, and network.ethereum.network_id is set too",
		`nodiscovr = true`:                      `unknown key "network.ethereum.nodiscovr"`,
		"maxpeers = 3\nmaxpendpeers = 7":        "maxpendpeers",
		`ethstats = "me:secret@127.0.0.1:3000"`: "ethstats_secret",
	} {
		if _, err := ParseConfig(withGethFlags(flags)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
	if _, err := ParseConfig(withGethFlags(`nodekeyhex = "` + opKey + `"`)); err == nil || strings.Contains(err.Error(), opKey[:8]) {
		t.Errorf("nodekeyhex: %v, want an error without the key", err)
	}
}
