package opstack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/p2p/enode"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// daemon runs starling as a member of the network until the test ends. more are
// lines of its [[network]] table, and of [network.opstack].
func (n *network) daemon(t *testing.T, more, opstack string) *steertest.Starling {
	t.Helper()
	return peers.Starling(t, patience, steertest.ShortDir(t), n.toml(more, opstack))
}

// toml is a config of the network, with such lines.
func (n *network) toml(more, opstack string) string {
	text := fmt.Sprintf(`config_version = 1
[rpc]
listen = "127.0.0.1:0"
[[network]]
name = "op"
wire = "opstack"
allow_private = true
listen = ["/ip4/%s/tcp/0"]
%s
[network.opstack]
chain_id = %d
block_time = "%ds"
genesis_hash = "%v"
genesis_time = %d
sequencer = "%v"
%s
`, ip(), more, n.id, blockTime, n.config.Genesis.Hash, n.genesis, n.key.Address(), opstack)
	text += "[network.opstack.forks]\n"
	for _, f := range n.config.Forks {
		text += fmt.Sprintf("%s = %d\n", f.Name, f.Time)
	}
	return text
}

// opPeer is what op-node's client read of a peer, as it encodes it again.
type opPeer struct {
	PeerID        string   `json:"peerID"`
	NodeID        string   `json:"nodeID"`
	UserAgent     string   `json:"userAgent"`
	ENR           string   `json:"ENR"`
	Addresses     []string `json:"addresses"`
	Protocols     []string `json:"protocols"`
	Connectedness int      `json:"connectedness"`
	Direction     int      `json:"direction"`
	ChainID       uint64   `json:"chainID"`
	GossipBlocks  bool     `json:"gossipBlocks"`
}

// TestOpNodesClientDrivesOurServer calls every opp2p method of a starling
// process with op-node's own client: over HTTP with the token, and on the unix
// socket. The peer checks that the lists follow.
func TestOpNodesClientDrivesOurServer(t *testing.T) {
	n := newNetwork(t, codec.V4, 20, 1, 100)
	op := runOpNode(t, newest, n.start(map[string]any{"head": 19}))
	d := n.daemon(t, fmt.Sprintf("static = [%q]\nno_discovery = true", op.Addrs[0]), "")
	op.Until("a connection", func(e event) bool { return e.Event == "connected" && e.Peer == d.ID })
	token, err := os.ReadFile(filepath.Join(d.Dir, "keys", "rpc.token"))
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct{ name, addr, token string }{
		{"http", d.RPC, strings.TrimSpace(string(token))},
		{"unix", d.Socket, ""},
	} {
		t.Run(way.name, func(t *testing.T) {
			var got map[string]json.RawMessage
			deadline := time.Now().Add(patience)
			var dump struct {
				Total int               `json:"totalConnected"`
				Peers map[string]opPeer `json:"peers"`
			}
			for { // our session is open a little after op-node's connection, its topics are known later
				op.Do(map[string]any{"do": "opp2p", "addr": way.addr, "params": way.token}, &got)
				if err := json.Unmarshal(got["peers"], &dump); err != nil {
					t.Fatalf("peers: %s: %v", got["peers"], err)
				}
				if dump.Peers[op.Peer].GossipBlocks {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("op-node is not in the topics: %s", got["peers"])
				}
				pause(t, 100*time.Millisecond)
			}
			p := dump.Peers[op.Peer]
			if dump.Total != 1 || p.PeerID != op.Peer || p.UserAgent != "optimism" || p.Connectedness != 1 || p.Direction != 2 || p.ChainID != n.id || len(p.NodeID) != 64 || len(p.Protocols) == 0 || len(p.Addresses) == 0 {
				t.Errorf("peers: %s", got["peers"])
			}
			var self opPeer
			if err := json.Unmarshal(got["self"], &self); err != nil || self.PeerID != d.ID || self.ChainID != n.id || len(self.NodeID) != 64 || strings.Trim(self.NodeID, "0") == "" {
				t.Errorf("self: %s (%v)", got["self"], err)
			}
			var stats map[string]int
			if err := json.Unmarshal(got["peerStats"], &stats); err != nil || stats["connected"] != 1 || stats["blocksTopicV4"] != 1 || stats["known"] < 1 {
				t.Errorf("peerStats: %s (%v)", got["peerStats"], err)
			}
			for method, raw := range got {
				failed := strings.Contains(string(raw), `"error":`)
				switch method {
				case "discoveryTable":
					if !strings.Contains(string(raw), "discovery disabled") {
						t.Errorf("%s: %s", method, raw)
					}
				case "connectPeer": // nobody is there
					if !failed {
						t.Errorf("%s: %s", method, raw)
					}
				default:
					if failed {
						t.Errorf("%s: %s", method, raw)
					}
				}
			}
			if len(got) != 17 {
				t.Errorf("%d methods were called", len(got))
			}
		})
	}
}

// TestDaemonFindsAnOpNodeAndMakesItsBlocks gives a starling process nothing but
// a boot node and the sequencer's key: it finds op-node by discv5, whose record
// op-node's own client then reads, and op-node gets the blocks that it makes.
func TestDaemonFindsAnOpNodeAndMakesItsBlocks(t *testing.T) {
	n := newNetwork(t, codec.V4, 5, 1, 100)
	op := runOpNode(t, newest, n.start(map[string]any{"head": 0, "discovery": true}))
	key := filepath.Join(t.TempDir(), "sequencer.key")
	if err := os.WriteFile(key, []byte(signerKey), 0o600); err != nil {
		t.Fatal(err)
	}
	d := n.daemon(t, `discovery_interval = "2s"`, fmt.Sprintf("bootnodes = [%q]\nsequencer_key = %q", op.ENR, key))
	op.Until("a connection", func(e event) bool { return e.Event == "connected" && e.Peer == d.ID })
	op.Until("a block of ours", func(e event) bool { return e.Event == "payload" && e.Peer == d.ID })

	var got map[string]json.RawMessage
	op.Do(map[string]any{"do": "opp2p", "addr": d.Socket}, &got)
	var self opPeer
	if err := json.Unmarshal(got["self"], &self); err != nil || !strings.HasPrefix(self.ENR, "enr:") {
		t.Errorf("self: %s (%v)", got["self"], err)
	}
	var dump struct {
		Peers map[string]opPeer `json:"peers"`
	}
	theirs, err := enode.Parse(enode.ValidSchemes, op.ENR)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got["peers"], &dump); err != nil || !strings.HasPrefix(dump.Peers[op.Peer].ENR, "enr:") || dump.Peers[op.Peer].NodeID != theirs.ID().String() {
		t.Errorf("peers: %s (%v)", got["peers"], err)
	}
	var table []string
	if err := json.Unmarshal(got["discoveryTable"], &table); err != nil || len(table) == 0 {
		t.Errorf("discoveryTable: %s (%v)", got["discoveryTable"], err)
	}
}
