package daemon

import (
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/chain"
)

const ethConfig = `config_version = 1
[[network]]
name = "clique"
wire = "devp2p"
listen = ["127.0.0.1:0"]
[network.ethereum]
genesis = "genesis.json"
versions = [68]
`

const cliqueGenesis = `{"config":{"chainId":1338,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,
"constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0,"clique":{"period":1,"epoch":30000}},
"difficulty":"0x1","gasLimit":"0x1c9c380","timestamp":"0x6553f100","baseFeePerGas":"0x3b9aca00","alloc":{},
"extraData":"0x0000000000000000000000000000000000000000000000000000000000000000` +
	`19e7e376e7c213b7e7e7e46cc70a5dd086daff2a` +
	`0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"}`

func TestAnEthereumNetworkIsOpened(t *testing.T) {
	cfg, err := ParseConfig([]byte(ethConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datadir = t.TempDir()
	log := slog.New(slog.DiscardHandler)
	if _, err := Open(cfg, log); err == nil || !strings.Contains(err.Error(), "network.ethereum.genesis: ") {
		t.Errorf("without a genesis file: %v", err)
	}
	cfg.Networks[0].Ethereum.Genesis = filepath.Join(t.TempDir(), "genesis.json")
	if err := os.WriteFile(cfg.Networks[0].Ethereum.Genesis, []byte(cliqueGenesis), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := Open(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	if st := n.Status(); st.Wire != "devp2p" || st.Head.Hash != st.Genesis {
		t.Errorf("status %+v", st)
	}
}

// ownTx is a transfer for chain 1338 as geth v1.17.10 signs it, and its hash.
const (
	ownTx = "02f86c82053a80843b9aca0084773594008252089401000000000000000000000000000000000000000180c001a045e7a53acdc97eccc3d9697723520f0" +
		"d196c516c220f018701f102767d71dd66a02278d9640db4d0f5306561343c058c4dcde57179a1d61a17634fd935d70822b1"
	ownTxHash = "0x22ebd304e9ca4f9f93a184fa58c44e495eebd352543ac0033123b6ed42ec0688"
)

// What a user sent waits in the pool of the network, over a restart too.
func TestAnEthereumNetworkHoldsTransactions(t *testing.T) {
	cfg, err := ParseConfig([]byte(ethConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datadir = t.TempDir()
	cfg.Networks[0].Ethereum.Genesis = filepath.Join(t.TempDir(), "genesis.json")
	if err := os.WriteFile(cfg.Networks[0].Ethereum.Genesis, []byte(cliqueGenesis), 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(ownTx)
	if err != nil {
		t.Fatal(err)
	}
	for _, restarted := range []bool{false, true} {
		n, err := Open(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if !restarted {
			if v := n.stack.pool.(chain.LocalTxPool).AddLocal(t.Context(), []chain.Tx{{Bytes: raw}})[0]; v.Action != chain.Accept {
				t.Errorf("our transaction: %v", v)
			}
		}
		if hash, ok := n.stack.hashOf(raw); !ok || hash.String() != ownTxHash {
			t.Errorf("its hash is %v, want %s", hash, ownTxHash)
		}
		if got := n.Status().PoolTxs; got != 1 {
			t.Errorf("restarted %v: %d transactions wait, want 1", restarted, got)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadEthereumNetworksAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"no genesis", `genesis = "genesis.json"`, "", "genesis is missing"},
		{"nat", `versions =`, "nat = \"magic\"\nversions =", "network.ethereum.nat"},
		{"version", "[68]", "[67]", "versions has 67, this program has [eth/70 eth/69 eth/68]"},
		{"listen", `"127.0.0.1:0"`, `"/ip4/127.0.0.1/tcp/0"`, "want an IP address and a port"},
		{"static", `listen =`, "static = [\"/ip4/127.0.0.1/tcp/1\"]\nlisten =", "network.static"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseConfig([]byte(strings.Replace(ethConfig, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseConfig = %v, want %q in it", err, tt.want)
			}
		})
	}
}

// Discovery keeps to net_restrict as dials do.
func TestDiscoveryKeepsToTheRestriction(t *testing.T) {
	var e Ethereum
	d, err := e.discovery(Network{NetRestrict: []string{"10.0.0.0/8", "192.168.0.0/16"}}, "", &Datadir{Path: t.TempDir()})
	if err != nil || d.NetRestrict != "10.0.0.0/8,192.168.0.0/16" {
		t.Errorf("discovery is restricted to %q, %v", d.NetRestrict, err)
	}
}
