package daemon

import (
	"log/slog"
	"strings"
	"testing"
)

const ontConfig = `config_version = 1
[[network]]
preset = "ontology"
listen = ["127.0.0.1:0"]
[network.ontology]
consensus_listen = "127.0.0.1:0"
`

func TestAnOntologyNetworkIsOpened(t *testing.T) {
	cfg, err := ParseConfig([]byte(ontConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datadir = t.TempDir()
	n, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	// What the config leaves out, the network brings along.
	if n.health.peers() != 4 || n.stack.syncPeers != 4 || len(n.stack.seeds) != 5 || n.stack.pool == nil || n.stack.consensus == nil {
		t.Errorf("%d peers, seeds %q, pool %v, consensus %v", n.health.peers(), n.stack.seeds, n.stack.pool, n.stack.consensus)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	// The hash of the main net's genesis block, as its explorers show it.
	const want = "1b8fa7f242d0eeb4395f89cbb59e4c29634047e33245c4914306e78a88e14ce5"
	if st := n.Status(); st.Wire != "ontology" || !strings.Contains(st.Genesis, want) && !strings.Contains(st.Genesis, reversed(want)) {
		t.Errorf("status %+v", st)
	}
}

// reversed turns the bytes of a hash in hex round: Ontology prints the last first.
func reversed(s string) string {
	var b strings.Builder
	for i := len(s); i > 0; i -= 2 {
		b.WriteString(s[i-2 : i])
	}
	return b.String()
}

// The file of reserved peers, as Ontology's nodes read it, adds to the config.
func TestReservedPeersComeFromTheirFile(t *testing.T) {
	o := Ontology{ReservedOnly: true, Reserved: []string{"203.0.113.1"}, Mask: []string{"203.0.113.2"}, ReservedFile: "peers.rsv"}
	file := `{"reserved":["203.0.113.3","node.example.org"],"mask":["203.0.113.4"]}`
	all, mask, err := o.restrict(func(path string) ([]byte, error) {
		if path != "peers.rsv" {
			t.Errorf("it reads %s", path)
		}
		return []byte(file), nil
	})
	if err != nil || strings.Join(all, " ") != "203.0.113.1 203.0.113.3 node.example.org" || len(mask) != 2 {
		t.Errorf("reserved %q, masked %v, %v", all, mask, err)
	}
	file = "{"
	if _, _, err := o.restrict(func(string) ([]byte, error) { return []byte(file), nil }); err == nil || !strings.Contains(err.Error(), "reserved_file") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestBadOntologyNetworksAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"nothing", `preset = "ontology"`, "name = \"x\"\nwire = \"ontology\"", "network.ontology.config is missing"},
		{"both", "consensus_listen", "config = \"config.json\"\nconsensus_listen", "leave one of them out"},
		{"no magic", "preset = \"ontology\"\nlisten = [\"127.0.0.1:0\"]\n[network.ontology]", "name = \"x\"\nwire = \"ontology\"\n[network.ontology]\nconfig = \"config.json\"", "magic is missing"},
		{"magic", "consensus_listen", "magic = 5\nconsensus_listen", "a preset has its own"},
		{"second port", "127.0.0.1:0\"\n", "20339\"\n", "consensus_listen is"},
		{"mask", "consensus_listen", "mask = [\"1.2.3\"]\nconsensus_listen", "mask is"},
		{"nobody reserved", "consensus_listen", "reserved_only = true\nconsensus_listen", "neither reserved nor reserved_file"},
		{"reserved for nothing", "consensus_listen", "reserved = [\"203.0.113.7\"]\nconsensus_listen", "reserved_only is not set"},
		{"sync peers", "consensus_listen", "sync_peers = -1\nconsensus_listen", "sync_peers is -1"},
		{"listen", `"127.0.0.1:0"`, `"/ip4/127.0.0.1/tcp/0"`, "want an IP address and a port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseConfig([]byte(strings.Replace(ontConfig, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseConfig = %v, want %q in it", err, tt.want)
			}
		})
	}
}

// Ontology's own methods have the shapes of its nodes.
func TestOntologyMethods(t *testing.T) {
	cfg, err := ParseConfig([]byte(strings.Replace(ontConfig, "listen =", "no_dial = true\nlisten =", 1)))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datadir = t.TempDir()
	c := serveNode(t, cfg).dial(t)
	for method, want := range map[string]string{
		"getconnectioncount": `0`,
		"getblockcount":      `1`,
		"getversion":         `""`,
		"getneighbor":        `[]`,
		"getnodestate":       `{"NodeState":4,"NodePort":1,"ID":0,"NodeTime":0,"NodeVersion":0,"NodeType":2,"Relay":true,"Height":0,"TxnCnt":[0]}`,
		"getsyncstatus":      `{"CurrentBlockHeight":0,"ConnectCount":0,"MaxPeerBlockHeight":0}`,
	} {
		hasForm(t, method, askOP(t, c, method), want)
	}
}
