package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// withFlags is opConfig with lines in its [network.opstack] table, and without
// the address that it listens on.
func withFlags(lines ...string) []byte {
	text := strings.Replace(opConfig, `listen = ["/ip4/127.0.0.1/tcp/0"]`+"\n", "", 1)
	return []byte(strings.Replace(text, "chain_id = 901\n", "chain_id = 901\n"+strings.Join(lines, "\n")+"\n", 1))
}

const opStaticPeer = "/ip4/203.0.113.5/tcp/9222/p2p/16Uiu2HAm2eSCfd2UFfwAhsXwGuUPHqBD8rCn7Aedo3kwLFJx6DRF"

// Each of op-node's flags becomes the key that it stands for, however it is
// quoted.
func TestOpNodesFlagsAreTaken(t *testing.T) {
	enode := "enode://3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b13b306b0fe085665d8fc1b28ae1676cd3ad6e08eaeda225fe38d0da4de55703e0@203.0.113.7:9222"
	for _, tt := range []struct {
		flags string // lines, with blanks between for the eye
		got   func(n *Network) any
		want  any
	}{
		{`p2p.no-discovery = true`, func(n *Network) any { return n.NoDiscovery }, true},
		{`p2p.ban.threshold = -40`, func(n *Network) any { return n.MinScore }, -40.0},
		{`p2p.priv.path = "opnode_p2p_priv.txt"`, func(n *Network) any { return n.KeyFile }, "opnode_p2p_priv.txt"},
		{"p2p.listen.ip = \"127.0.0.1\"\np2p.listen.tcp = 9003", func(n *Network) any { return n.Listen }, []string{"/ip4/127.0.0.1/tcp/9003"}},
		{`p2p.listen.ip = "::"`, func(n *Network) any { return n.Listen }, []string{"/ip6/::/tcp/9222"}},
		{`p2p.listen.tcp = 9003`, func(n *Network) any { return n.Listen }, []string{"/ip4/0.0.0.0/tcp/9003"}},
		{"p2p.listen.ip = \"10.0.0.1\"\np2p.listen.udp = 9004", func(n *Network) any { return n.OPStack.Discovery }, "10.0.0.1:9004"},
		{"p2p.listen.ip = \"::1\"\np2p.listen.udp = 0", func(n *Network) any { return n.OPStack.Discovery }, "[::1]:0"},
		{`p2p.advertise.ip = "203.0.113.5"`, func(n *Network) any { return n.Advertise }, []string{"/ip4/203.0.113.5/tcp/9222"}},
		{"p2p.listen.tcp = 9003\np2p.advertise.ip = \"node.example.org\"", func(n *Network) any { return n.Advertise }, []string{"/dns4/node.example.org/tcp/9003"}},
		{"p2p.advertise.ip = \"203.0.113.5\"\np2p.advertise.tcp = 9003", func(n *Network) any { return n.Advertise }, []string{"/ip4/203.0.113.5/tcp/9003"}},
		{`p2p.advertise.udp = 9005`, func(n *Network) any { return n.OPStack.DiscoveryUDP }, uint16(9005)},
		{`p2p.bootnodes = "` + enode + `,` + enode + `"`, func(n *Network) any { return n.OPStack.Bootnodes }, []string{enode, enode}},
		{`p2p.static = "` + opStaticPeer + `"`, func(n *Network) any { return n.Static }, []string{opStaticPeer}},
		{`p2p.static = ["` + opStaticPeer + `"]`, func(n *Network) any { return n.Static }, []string{opStaticPeer}},
		{`"p2p.static" = "` + opStaticPeer + `"`, func(n *Network) any { return n.Static }, []string{opStaticPeer}},
		{`p2p.static = ""`, func(n *Network) any { return len(n.Static) }, 0},
		{`p2p.netrestrict = "10.0.0.0/8,192.0.2.0/24"`, func(n *Network) any { return n.NetRestrict }, []string{"10.0.0.0/8", "192.0.2.0/24"}},
		{`p2p.security = "noise"`, func(n *Network) any { return n.OPStack.TLS || n.OPStack.Plaintext }, false},
		{`p2p.security = "noise,tls"`, func(n *Network) any { return n.OPStack.TLS }, true},
		{"p2p.listen.ip = \"127.0.0.1\"\np2p.security = \"none\"", func(n *Network) any { return n.OPStack.Plaintext }, true},
		{"p2p.peers.lo = 20\np2p.peers.hi = 30", func(n *Network) any { return []int{n.MaxPeers, n.MaxInbound} }, []int{30, 10}},
		{"p2p.peers.lo = 5\np2p.peers.hi = 30", func(n *Network) any { return n.MaxInbound }, 20},
		{`p2p.peers.lo = 12`, func(n *Network) any { return []int{n.MaxPeers, n.MaxInbound} }, []int{30, 18}},
		{`p2p.peers.hi = 60`, func(n *Network) any { return n.MaxPeers }, 60},
		{`p2p.peers.grace = "30s"`, func(n *Network) any { return time.Duration(n.PeerGrace) }, 30 * time.Second},
		{`p2p.useragent = "optimism"`, func(n *Network) any { return n.OPStack.Agent }, "optimism"},
		{`p2p.sequencer.key = "` + opKey + `"`, func(n *Network) any { return n.OPStack.SequencerHex }, opKey},
		{"p2p.gossip.mesh.d = 9\np2p.gossip.mesh.lo = 7\np2p.gossip.mesh.dhi = 13\np2p.gossip.mesh.dlazy = 5", func(n *Network) any {
			return []int{n.OPStack.MeshD, n.OPStack.MeshLo, n.OPStack.MeshHi, n.OPStack.MeshLazy}
		}, []int{9, 7, 13, 5}},
		{`p2p.gossip.timestamp.threshold = "30s"`, func(n *Network) any { return time.Duration(n.OPStack.GossipMaxAge) }, 30 * time.Second},
		{"signer.endpoint = \"https://127.0.0.1:8443\"\nsigner.address = \"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\"\nsigner.header = \"X-A: b\"\nsigner.tls.ca = \"ca\"\nsigner.tls.cert = \"cert\"\nsigner.tls.key = \"key\"\nsigner.tls.enabled = true", func(n *Network) any {
			o := n.OPStack
			return []string{o.SignerEndpoint, o.SignerAddress, o.SignerHeaders[0], o.SignerCA, o.SignerCert, o.SignerKey}
		}, []string{"https://127.0.0.1:8443", "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A", "X-A: b", "ca", "cert", "key"}},
		// What is always so may be said.
		{"p2p.disable = false\np2p.scoring = \"light\"\np2p.ban.peers = true\np2p.ban.duration = \"1h\"\np2p.mux = \"yamux, mplex\"\np2p.nat = false\np2p.ping = true\np2p.sync.req-resp = true\np2p.timeout.dial = \"10s\"\nsyncmode = \"consensus-layer\"", func(n *Network) any { return n.Name }, "op"},
	} {
		cfg, err := ParseConfig(withFlags(tt.flags))
		if err != nil {
			t.Errorf("%s: %v", tt.flags, err)
			continue
		}
		if got := tt.got(&cfg.Networks[0]); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, want %v", tt.flags, got, tt.want)
		}
	}
}

// Every flag has a place: a key that there is, or values and a reason, or words
// for what it is a part of.
func TestEveryFlagOfOpNodesHasAPlace(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range opFlags() {
		if seen[f.name] {
			t.Errorf("%s is there twice", f.name)
		}
		seen[f.name] = true
		if _, ok := fieldOf(f.key); f.key != "" && !ok {
			t.Errorf("%s stands for %s, which there is not", f.name, f.key)
		}
		if kinds := []bool{f.key != "", f.why != "", f.with != ""}; slices.Index(kinds, true) < 0 || len(f.only) > 0 && f.why == "" {
			t.Errorf("%s has no place", f.name)
		}
		if f.key != "" || f.with != "" {
			continue
		}
		value := `"something else"`
		_, err := ParseConfig(withFlags(f.name + " = " + value))
		said := f.name + map[bool]string{false: ` = "something else"`}[f.secret]
		if err == nil || !strings.Contains(err.Error(), said+` has no counterpart here: `+f.why) || !strings.Contains(err.Error(), "line 7: ") {
			t.Errorf("%s: %v, want its name, its line and %q", f.name, err, f.why)
		}
	}
	// op-node v1.19.6 has these (op-node/flags/p2p_flags.go).
	for _, name := range strings.Fields(`disable no-discovery scoring ban.peers ban.threshold ban.duration priv.path priv.raw listen.ip listen.tcp listen.udp
		advertise.ip advertise.tcp advertise.udp bootnodes static netrestrict mux security peers.lo peers.hi peers.grace nat useragent timeout.negotiation
		timeout.accept timeout.dial peerstore.path discovery.path sequencer.key gossip.mesh.d gossip.mesh.lo gossip.mesh.dhi gossip.mesh.dlazy
		gossip.mesh.floodpublish gossip.timestamp.threshold sync.req-resp sync.onlyreqtostatic ping scoring.peers scoring.topics score.bands`) {
		if !seen["p2p."+name] {
			t.Errorf("p2p.%s is not in the table", name)
		}
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	for _, tt := range []struct{ flags, want string }{
		{`p2p.listen.ip = "localhost"`, "want an IP address"},
		{`p2p.listen.tcp = "http"`, "network.listen"},
		{`p2p.advertise.tcp = 9003`, "needs p2p.advertise.ip"},
		{`p2p.peers.lo = "many"`, "p2p.peers.lo is"},
		{"p2p.peers.lo = 20\np2p.peers.hi = 10", "p2p.peers.lo is"},
		{`p2p.security = "quic"`, "want noise, tls"},
		{`p2p.security = "none"`, "plaintext is for loopback only"},
		{`p2p.nonsense = 1`, "p2p.nonsense is no flag of op-node's"},
		{`p2p.no-discovery = "maybe"`, "is not true or false"},
		{"p2p.listen.ip = \"127.0.0.1\"\np2p.advertise.ip = \"203.0.113.5\"", "you advertise /ip4/203.0.113.5/tcp/9222 but listen on /ip4/127.0.0.1/tcp/9222"},
		{"sequencer_key = \"k\"\np2p.sequencer.key = \"" + opKey + "\"", "p2p.sequencer.key and network.opstack.sequencer_key are both set"},
		{"p2p.gossip.mesh.lo = 9", "want 3 <= least <= wanted"},
		{`signer.endpoint = "https://127.0.0.1:8443"`, "signer_endpoint needs it"},
		{`signer.address = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"`, "signer_endpoint is not"},
	} {
		if _, err := ParseConfig(withFlags(tt.flags)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.flags, err, tt.want)
		}
	}
	if _, err := ParseConfig(withFlags(`p2p.priv.raw = "` + opKey + `"`)); err == nil || !strings.Contains(err.Error(), "p2p.priv.raw has no counterpart") || strings.Contains(err.Error(), opKey[:8]) {
		t.Errorf("p2p.priv.raw: %v, want an error without the key", err)
	}
	// A key of ours and the flag that says the same are both named.
	for _, f := range opFlags() {
		if !strings.HasPrefix(f.key, "network.") {
			continue
		}
		field, _ := fieldOf(f.key)
		value := map[bool]string{true: "true", false: `"1"`}[field.typ.Kind().String() == "bool"]
		own := fmt.Sprintf("%s = %s", field.name, map[bool]string{true: `["x"]`, false: "1"}[field.typ.Kind().String() == "slice"])
		switch {
		case field.typ.Kind().String() == "bool":
			own = field.name + " = true"
		case field.typ.Kind().String() == "string", strings.Contains(field.typ.String(), "Duration"):
			own = field.name + ` = "1s"`
		}
		text := string(withFlags(f.name + " = " + value))
		if field.table == "network" {
			text = strings.Replace(text, `name = "op"`, "name = \"op\"\n"+own, 1)
		} else {
			text = strings.Replace(text, "chain_id = 901", "chain_id = 901\n"+own, 1)
		}
		if _, err := ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), f.name+" says the same, and "+f.key+" is set too") {
			t.Errorf("%s beside %s: %v", f.name, f.key, err)
		}
	}
}

// A key in the config is a secret, so the config is one.
func TestAKeyInTheConfigIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, withFlags(`p2p.sequencer.key = "`+opKey+`"`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) || strings.Contains(err.Error(), opKey) {
		t.Errorf("for all to read: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range cfg.Values() {
		if strings.Contains(v.Value, opKey) {
			t.Errorf("config dump shows the key as %s", v.Key)
		}
	}
}

// docs/networks.md lists the flags as the program has them.
func TestTheDocumentHasTheFlags(t *testing.T) {
	for name, flags := range map[string][]flagName{"flags of op-node": opFlags(), "flags of geth": gethFlags()} {
		var b strings.Builder
		b.WriteString("| flag | here |\n|---|---|\n")
		for _, f := range flags {
			fmt.Fprintf(&b, "| `%s` | %s |\n", f.name, f.here())
		}
		keepSection(t, "../../docs/networks.md", name, b.String())
	}
}
