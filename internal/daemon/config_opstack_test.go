package daemon

import (
	"log/slog"
	"strings"
	"testing"
)

const opConfig = `config_version = 1
[[network]]
name = "op"
wire = "opstack"
listen = ["/ip4/127.0.0.1/tcp/0"]
[network.opstack]
chain_id = 901
genesis_hash = "0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
genesis_time = 1700000000
sequencer = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
forks = { canyon = 0, ecotone = 1700000100 }
`

func TestAnOPStackNetworkIsOpened(t *testing.T) {
	cfg, err := ParseConfig([]byte(opConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datadir = t.TempDir()
	n, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	st := n.Status()
	if st.Wire != "opstack" || st.Genesis != "0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20" {
		t.Errorf("status %+v", st)
	}
}

func TestBadOPStackNetworksAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"no chain", "chain_id = 901", "", "chain_id is missing"},
		{"hash", `genesis_hash = "0x01`, `genesis_hash = "0x`, "genesis_hash is"},
		{"time", "genesis_time = 1700000000", "", "genesis_time is missing"},
		{"fork", "canyon", "canyons", `forks has "canyons"`},
		{"signer", "0x19E7", "0x19", "network.opstack.sequencer"},
		{"listen", "/tcp/0", "/udp/0/quic-v1", "want /ip4, /ip6 with /tcp/PORT"},
		{"two chains", "forks = {", "[network.sequenced]\nsequencer = \"01\"\n[network.opstack.forks]\n#", "[network.sequenced] describes a chain of the wire \"native\""},
		{"two sources", "chain_id", "sequencer_file = \"a\"\nl1 = \"http://127.0.0.1:1\"\nsystem_config = \"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\"\nchain_id", "sequencer_file and l1 both tell"},
		{"l1", "chain_id", "l1 = \"127.0.0.1:8545\"\nsystem_config = \"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\"\nchain_id", "l1 is no URL"},
		{"no contract", "chain_id", "l1 = \"http://127.0.0.1:1\"\nchain_id", "opstack.system_config"},
		{"no l1", "chain_id", "system_config = \"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\"\nchain_id", "l1 is not"},
		{"depth without l1", "chain_id", "l1_depth = 4\nchain_id", "l1_depth is set"},
		{"discovery", "chain_id", "discovery = \"9222\"\nchain_id", "discovery is \"9222\""},
		{"discovery off and on", "[network.opstack]", "no_discovery = true\n[network.opstack]\ndiscovery = \"0.0.0.0:9222\"", "no_discovery is set"},
		{"nobody to ask", "[network.opstack]", "no_discovery = true\n[network.opstack]\nbootnodes = [\"enr:-\"]", "bootnodes names"},
		{"boot node", "chain_id", "bootnodes = [\"enr:-\"]\nchain_id", "opstack.bootnodes: boot node"},
		{"engine without a secret", "chain_id", "engine = \"http://127.0.0.1:8551\"\nchain_id", "engine_jwt is not"},
		{"a secret without engine", "chain_id", "engine_jwt = \"jwt.hex\"\nchain_id", "engine is not"},
		{"engine that is no URL", "chain_id", "engine = \"127.0.0.1:8551\"\nengine_jwt = \"jwt.hex\"\nchain_id", "engine is no URL"},
		{"wire", `wire = "opstack"`, `wire = "opstak"`, "this program has [\"native\" \"opstack\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseConfig([]byte(strings.Replace(opConfig, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseConfig = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestDiscoveryIsWhereTheNodeListens(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    Network
		want string
	}{
		{"default", Network{}, "0.0.0.0:9222"},
		{"listen", Network{Listen: []string{"/ip4/127.0.0.1/tcp/4000", "/ip4/127.0.0.2/tcp/4001"}}, "127.0.0.1:4000"},
		{"listen on IPv6", Network{Listen: []string{"/ip6/::1/tcp/4000"}}, "[::1]:4000"},
		{"dialling only", Network{NoListen: true}, "0.0.0.0:0"},
		{"said", Network{OPStack: OPStack{Discovery: "0.0.0.0:1"}}, "0.0.0.0:1"},
		{"off", Network{NoDiscovery: true}, ""},
	} {
		if got, err := tt.n.OPStack.discoverOn(&tt.n); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}
