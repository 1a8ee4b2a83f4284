package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

// dumped is the config as it counts with flags.
func dumped(t *testing.T, config string, flags ...string) (map[string]daemon.Value, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range command(io.Discard, io.Discard).Commands {
		if c.Name != "run" {
			continue
		}
		var cfg daemon.Config
		var err error
		c.Action = func(_ context.Context, cmd *cli.Command) error { cfg, err = loadConfig(cmd); return nil }
		if e := c.Run(t.Context(), append([]string{"run", "--config", path}, flags...)); e != nil {
			return nil, e
		}
		out := map[string]daemon.Value{}
		for _, v := range cfg.Values() {
			out[v.Key] = v
		}
		return out, err
	}
	panic("no verb run")
}

const (
	onEthereum = "config_version = 1\n[[network]]\npreset = \"hoodi\"\n"
	onOPStack  = "config_version = 1\n[[network]]\npreset = \"op-sepolia\"\n"
	onOntology = "config_version = 1\n[[network]]\npreset = \"polaris\"\n"

	udpOnly = "enode://3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b13b306b0fe085665d8fc1b28ae1676cd3ad6e08eaeda225fe38d0da4de55703e0@203.0.113.7:0?discport=30301"
	aRecord = "enr:-KG4QNTx85fjxABbSq_Rta9wy56nQ1fHK0PewJbGjLm1M4bMGx5-3Qq4ZX2-iFJ0pys_O90sVXNNOxp2E7afBsGsBrgDhGV0aDKQu6TalgMAAAD__________4JpZIJ2NIJpcIQEnfA2iXNlY3AyNTZrMaECGXWQ-rQ2KZKRH1aOW4IlPDBkY4XDphxg9pxKytFCkayDdGNwgiMog3VkcIIjKA"
)

// Flags of geth and op-node stand for keys, as the wire of the network has them
// mean.
func TestFlagsOfOthersAreTaken(t *testing.T) {
	for _, tt := range []struct {
		config, flags, key, want string
	}{
		// A boot node of Ethereum's is asked over UDP: it need not have a TCP port.
		{onEthereum, "--bootnodes " + udpOnly + "," + aRecord, "network.ethereum.bootnodes", udpOnly + "," + aRecord},
		{onEthereum, "--bootnodes=" + udpOnly, "network.ethereum.bootnodes_v5", "bootnodes"},
		{onEthereum, `--bootnodes=`, "network.ethereum.bootnodes", ""},
		{onOPStack, "--p2p.bootnodes " + aRecord, "network.opstack.bootnodes", aRecord},
		{onOntology, "--bootnodes 203.0.113.7:20338", "network.seeds", "203.0.113.7:20338"},

		{onEthereum, "--networkid 77 --syncmode full --nat extip:203.0.113.9", "network.ethereum.network_id", "77"},
		{onEthereum, "--syncmode fast", "network.ethereum.mode", "fast"},
		{onEthereum, "--nat extip:203.0.113.9", "network.ethereum.nat", "extip:203.0.113.9"},
		{onEthereum, "--discovery.v4=false", "network.ethereum.no_discv4", "true"},
		{onEthereum, "--discv5=false", "network.ethereum.no_discv5", "true"},
		{onEthereum + "[network.ethereum]\nno_discv4 = true\n", "--discovery.v4", "network.ethereum.no_discv4", "false"},
		{onEthereum, "--discovery.port 30304", "network.ethereum.discovery_port", "30304"},
		{onEthereum, "--discovery.dns=", "network.ethereum.lists", ""},
		{onEthereum, "--nodiscover", "network.no_discovery", "true"},
		{onEthereum, "--ethstats me@127.0.0.1:3000", "network.ethereum.ethstats", "me@127.0.0.1:3000"},
		{onEthereum, "--authrpc.port 8552", "network.ethereum.engine_listen", "127.0.0.1:8552"},
		{onEthereum + "[network.ethereum]\nengine_listen = \"127.0.0.2:8551\"\n", "--authrpc.port 8552", "network.ethereum.engine_listen", "127.0.0.2:8552"},
		{onEthereum, "--authrpc.addr 127.0.0.3 --authrpc.vhosts node.example.org", "network.ethereum.engine_hosts", "node.example.org"},
		{onEthereum, "--txpool.globalslots 512", "network.ethereum.pool_txs", "512"},
		{onEthereum, "--txpool.accountqueue 7 --txpool.lifetime 1h --txpool.journal transactions.rlp", "network.ethereum.pool_lifetime", "1h0m0s"},
		{onEthereum, "--txpool.pricelimit 1000", "network.ethereum.pool_price_limit", "1000"},
		{onEthereum, "--txpool.pricebump 25 --blobpool.pricebump 100", "network.ethereum.pool_price_bump", "25"},
		{onEthereum, "--identity harbour", "network.ethereum.identity", "harbour"},
		{onEthereum, "--maxpeers 30 --maxpendpeers 50", "network.max_peers", "30"},
		{onEthereum, "-maxpeers 30", "network.max_peers", "30"}, // geth takes one dash too
		{onEthereum, "--netrestrict 10.0.0.0/8,192.168.0.0/16", "network.net_restrict", "10.0.0.0/8,192.168.0.0/16"},
		{onEthereum, "--nodekey /keys/n", "network.key_file", "/keys/n"},
		{onEthereum, "--port 30399", "network.listen", "0.0.0.0:30399"},
		{"config_version = 1\n[[network]]\nname = \"x\"\nwire = \"devp2p\"\n", "--override.genesis /g.json --port 30399", "network.listen", "0.0.0.0:30399"},
		{"config_version = 1\n[[network]]\n", "--sepolia", "network.preset", "sepolia"},
		{onEthereum, "--mainnet=false", "network.preset", "hoodi"},
		{onEthereum, "--verbosity=4", "log_level", "debug"},
		{onOPStack, "--log.level WARN", "log_level", "warn"},
		{onOntology, "--log.format terminal", "log_format", "text"},
		{onEthereum, "--http --http.port 8547 --http.vhosts node.example.org --http.corsdomain https://example.org", "rpc.listen", "127.0.0.1:8547"},
		{onEthereum, "--http --ws --ws.port 8545", "rpc.listen", "127.0.0.1:8545"},
		{onEthereum, "--ws", "rpc.listen", "127.0.0.1:8546"},
		{onEthereum, "--metrics --metrics.addr 127.0.0.1 --metrics.port 6061", "metrics.listen", "127.0.0.1:6061"},
		{onEthereum, "--pprof", "metrics.admin", "127.0.0.1:6060"},
		{onOPStack, "--p2p.static /ip4/203.0.113.5/tcp/9222/p2p/16Uiu2HAm2eSCfd2UFfwAhsXwGuUPHqBD8rCn7Aedo3kwLFJx6DRF --p2p.no-discovery", "network.no_discovery", "true"},
		{onOPStack + "listen = [\"/ip4/127.0.0.1/tcp/9222\"]\n", "--p2p.listen.tcp 9003", "network.listen", "/ip4/127.0.0.1/tcp/9003"},
	} {
		got, err := dumped(t, tt.config, strings.Fields(tt.flags)...)
		if err != nil || got[tt.key].Value != tt.want {
			t.Errorf("%s: %s is %q, %v, want %q", tt.flags, tt.key, got[tt.key].Value, err, tt.want)
		}
		if o := got[tt.key].Origin; tt.want != "" && tt.want != "hoodi" && tt.want != "bootnodes" && !strings.HasPrefix(o, "flag --") {
			t.Errorf("%s: %s comes from %q", tt.flags, tt.key, o)
		}
	}
}

// What has no counterpart is refused by its name, with what to do, before the
// config is read; and what says the same twice is.
func TestFlagsOfOthersAreRefusedByName(t *testing.T) {
	for _, tt := range []struct{ config, flags, want string }{
		{onEthereum, "--cache 4096 --gcmode archive", `--cache = "4096" has no counterpart here: nothing is executed`},
		{onEthereum, "--snapshot", "--snapshot has no counterpart here: nothing is executed"},
		{onEthereum, "--unlock 0x00", "signer_key"},
		{onEthereum, "--http.port 8545", "add it"},
		{onEthereum, "--http --ws", "the two have one here; give ws.addr and ws.port what http has: 127.0.0.1:8545"},
		{onEthereum, "--http --http.addr 0.0.0.0", "rpc.token_file"},
		{onEthereum, "--syncmode snap", `mode is "snap"`},
		{onEthereum, "--syncmode light", `mode is "light"`},
		{onEthereum, "--txpool.pricebump 2000", "pool_price_bump is 2000, want 1 to 1000 percent"},
		{onEthereum, "--blobpool.pricebump 10", "--blobpool.pricebump"},
		{onEthereum, "--maxpendpeers 7", "--maxpendpeers"},
		{onEthereum, "--ethstats me:hush@127.0.0.1:3000", "ethstats_secret"},
		{onEthereum, "--bootnodes enode://nonsense", "--bootnodes: network.ethereum.bootnodes"},
		{onEthereum, "--maxpeers 3 --max-peers 4", "--maxpeers says the same as --max-peers"},
		{onEthereum, "--nodekey a --p2p.priv.path b", "says the same as --"},
		{onEthereum, "--mainnet --sepolia", "--sepolia says the same as --mainnet"},
		{onEthereum, "--discovery.port many", "--discovery.port: network.ethereum.discovery_port"},
		{onOntology, "--networkid 5", `--networkid is for a network of geth's kind, and this one is on "ontology"`},
		{onOntology, "--bootnodes 203.0.113.7:1 --seed 203.0.113.7:2", "--bootnodes: it says the same as --seed"},
		{onOPStack, "--p2p.priv.raw hush", "is a secret, and everybody on this machine can read a command line"},
	} {
		_, err := dumped(t, tt.config, strings.Fields(tt.flags)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q", tt.flags, err, tt.want)
		}
	}
	if _, err := dumped(t, "nonsense", "--nodekeyhex", "hush"); err == nil || !strings.Contains(err.Error(), "network.key_file") || strings.Contains(err.Error(), "hush") {
		t.Errorf("--nodekeyhex: %v", err)
	}
}

// A file that is named on the command line is seen from where that is typed.
func TestFilesOfOthersFlagsAreSeenFromHere(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got, err := dumped(t, onEthereum, "--nodekey", "n.key", "--authrpc.port", "8551", "--authrpc.jwtsecret", "jwt.hex")
	if err != nil || got["network.key_file"].Value != filepath.Join(here, "n.key") || got["network.ethereum.engine_jwt"].Value != filepath.Join(here, "jwt.hex") {
		t.Errorf("%+v, %+v, %v", got["network.key_file"], got["network.ethereum.engine_jwt"], err)
	}
}
