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
