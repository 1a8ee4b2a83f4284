package daemon

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/internal/rpc"
)

const (
	opStranger = "16Uiu2HAm2eSCfd2UFfwAhsXwGuUPHqBD8rCn7Aedo3kwLFJx6DRF"

	// opPeerForm is a peer as op-node v1.19.6 encodes one.
	opPeerForm = `{"peerID":"","nodeID":"","userAgent":"","protocolVersion":"","ENR":"","addresses":[""],"protocols":[""],
		"connectedness":0,"direction":0,"protected":false,"chainID":0,"latency":0,"gossipBlocks":false,
		"scores":{"gossip":{"total":0,"blocks":{"timeInMesh":0,"firstMessageDeliveries":0,"meshMessageDeliveries":0,"invalidMessageDeliveries":0},
		"IPColocationFactor":0,"behavioralPenalty":0},"reqResp":{"validResponses":0,"errorResponses":0,"rejectedPayloads":0}}}`
	opStatsForm = `{"connected":0,"table":0,"blocksTopic":0,"blocksTopicV2":0,"blocksTopicV3":0,"blocksTopicV4":0,"banned":0,"known":0}`
)

// serveOP runs a node of a chain of the OP Stack; change edits its config.
func serveOP(t *testing.T, change ...func(*Config)) *served {
	t.Helper()
	cfg, err := ParseConfig([]byte(opConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datadir = t.TempDir()
	cfg.Networks[0].NoDiscovery = true // it leaves something behind for seconds; processes that have it are in interop
	for _, c := range change {
		c(&cfg)
	}
	return serveNode(t, cfg)
}

// askOP calls a method on the unix socket.
func askOP(t *testing.T, c *rpc.Client, method string, params ...any) json.RawMessage {
	t.Helper()
	var out json.RawMessage
	if err := c.Call(inTime(t), method, &out, params...); err != nil {
		t.Fatalf("%s(%v): %v", method, params, err)
	}
	return out
}

func hasForm(t *testing.T, what string, got json.RawMessage, want string) {
	t.Helper()
	var g, w any
	if err := errors.Join(json.Unmarshal(got, &g), json.Unmarshal([]byte(want), &w)); err != nil {
		t.Fatal(err)
	}
	if form(g) != form(w) {
		t.Errorf("%s is %s, which has the form\n%s, want\n%s", what, got, form(g), form(w))
	}
}

func TestOPPeersHaveOpNodesShape(t *testing.T) {
	a, b := serveOP(t), serveOP(t)
	c := a.dial(t)
	self := askOP(t, c, "opp2p_self")
	hasForm(t, "opp2p_self", self, opPeerForm)
	var we OPPeer
	if err := json.Unmarshal(self, &we); err != nil {
		t.Fatal(err)
	}
	if we.PeerID != a.ready.ID || len(we.NodeID) != 64 || we.ChainID != 901 || !we.GossipBlocks || we.Connectedness != 0 || !strings.HasSuffix(we.Addresses[0], "/p2p/"+a.ready.ID) {
		t.Errorf("opp2p_self is %s", self)
	}
	if got := string(askOP(t, c, "opp2p_connectPeer", b.ready.Addrs[0])); got != "null" {
		t.Errorf("opp2p_connectPeer gave %s", got)
	}
	askOP(t, c, "opp2p_protectPeer", b.ready.ID)

	raw := askOP(t, c, "opp2p_peers", true)
	var dump OPPeers
	if err := json.Unmarshal(raw, &dump); err != nil {
		t.Fatal(err)
	}
	one, err := json.Marshal(dump.Peers[b.ready.ID])
	if err != nil {
		t.Fatal(err)
	}
	hasForm(t, "a peer", one, opPeerForm)
	if got := keys(t, raw); strings.Join(got, " ") != "bannedIPS bannedPeers bannedSubnets peers totalConnected" {
		t.Errorf("opp2p_peers has the fields %q", got)
	}
	p := dump.Peers[b.ready.ID]
	if dump.TotalConnected != 1 || len(dump.Peers) != 1 || p.Connectedness != 1 || p.Direction != 2 || p.ChainID != 901 || !p.Protected || len(p.Protocols) == 0 || !strings.HasPrefix(p.UserAgent, "starling/") {
		t.Errorf("opp2p_peers is %s", raw)
	}
	stats := askOP(t, c, "opp2p_peerStats")
	hasForm(t, "opp2p_peerStats", stats, opStatsForm)
	var s OPPeerStats
	if err := json.Unmarshal(stats, &s); err != nil || s.Connected != 1 || s.Known < 1 {
		t.Errorf("opp2p_peerStats is %s (%v)", stats, err)
	}
	askOP(t, c, "opp2p_unprotectPeer", b.ready.ID)
	askOP(t, c, "opp2p_disconnectPeer", b.ready.ID)
	if n := len(a.node.peers()); n != 0 {
		t.Errorf("%d sessions after opp2p_disconnectPeer", n)
	}
}

func TestOPBlockListsFollow(t *testing.T) {
	s := serveOP(t)
	c := s.dial(t)
	steps := []struct{ what, list, param, listed, where string }{
		{"Peer", "Peers", `"` + opStranger + `"`, `["` + opStranger + `"]`, "bannedPeers"},
		{"Addr", "Addrs", `"203.0.113.7"`, `["203.0.113.7"]`, "bannedIPS"},
		{"Addr", "Addrs", `"2001:db8::1"`, `["2001:db8::1"]`, "bannedIPS"},
		{"Subnet", "Subnets", `{"IP":"198.51.100.0","Mask":"////AA=="}`, `[{"IP":"198.51.100.0","Mask":"////AA=="}]`, "bannedSubnets"},
		{"Subnet", "Subnets", `{"IP":"198.51.100.9","Mask":"/////w=="}`, `[{"IP":"198.51.100.9","Mask":"/////w=="}]`, "bannedSubnets"},
		{"Subnet", "Subnets", `{"IP":"2001:db8::","Mask":"/////wAAAAAAAAAAAAAAAA=="}`, `[{"IP":"2001:db8::","Mask":"/////wAAAAAAAAAAAAAAAA=="}]`, "bannedSubnets"},
		{"Subnet", "Subnets", `{"IP":"10.0.0.0","Mask":"/wAAAA=="}`, `[{"IP":"10.0.0.0","Mask":"/wAAAA=="}]`, "bannedSubnets"}, // wider than others may ban
	}
	for _, st := range steps {
		list := "opp2p_listBlocked" + st.list
		if got := string(askOP(t, c, list)); got != "[]" {
			t.Errorf("%s before is %s", list, got)
		}
		if got := string(askOP(t, c, "opp2p_block"+st.what, json.RawMessage(st.param))); got != "null" {
			t.Errorf("opp2p_block%s gave %s", st.what, got)
		}
		if got := string(askOP(t, c, list)); got != st.listed {
			t.Errorf("%s is %s, want %s", list, got, st.listed)
		}
		var dump map[string]json.RawMessage
		if err := json.Unmarshal(askOP(t, c, "opp2p_peers", false), &dump); err != nil || string(dump[st.where]) != st.listed {
			t.Errorf("opp2p_peers has %s in %s, want %s (%v)", dump[st.where], st.where, st.listed, err)
		}
		for range 2 { // it is no error if it is not blocked
			if got := string(askOP(t, c, "opp2p_unblock"+st.what, json.RawMessage(st.param))); got != "null" {
				t.Errorf("opp2p_unblock%s gave %s", st.what, got)
			}
		}
		if got := string(askOP(t, c, list)); got != "[]" {
			t.Errorf("%s after is %s", list, got)
		}
	}
	// What a ban by score would list nowhere, opp2p_disconnectPeer lifts by hand.
	askOP(t, c, "opp2p_blockPeer", opStranger)
	askOP(t, c, "opp2p_disconnectPeer", opStranger)
	if got := string(askOP(t, c, "opp2p_listBlockedPeers")); got != "[]" {
		t.Errorf("after opp2p_disconnectPeer %s are blocked", got)
	}
}

func TestOPErrorsAreOpNodes(t *testing.T) {
	s := serveOP(t)
	c := s.dial(t)
	for _, tt := range []struct {
		method, params, want string
		code                 int
	}{
		{"opp2p_discoveryTable", `[]`, "discovery disabled", rpc.CodeFailed},
		{"opp2p_blockPeer", `[]`, "invalid request", rpc.CodeFailed},
		{"opp2p_blockPeer", `[""]`, "invalid request", rpc.CodeFailed},
		{"opp2p_blockPeer", `["nobody"]`, "invalid argument 0", rpc.CodeBadParams},
		{"opp2p_blockAddr", `[null]`, "invalid request", rpc.CodeFailed},
		{"opp2p_blockAddr", `["203.0.113"]`, "param 1", rpc.CodeBadParams},
		{"opp2p_blockSubnet", `[null]`, "invalid request", rpc.CodeFailed},
		{"opp2p_blockSubnet", `[{"IP":"198.51.100.0","Mask":"AP8A/w=="}]`, "invalid request", rpc.CodeFailed},
		{"opp2p_blockSubnet", `[{"IP":"2001:db8::","Mask":"////AA=="}]`, "invalid request", rpc.CodeFailed},
		{"opp2p_connectPeer", `["/ip4/127.0.0.1/tcp/1"]`, "bad peer address", rpc.CodeFailed},
	} {
		var params []any
		if err := json.Unmarshal([]byte(tt.params), &params); err != nil {
			t.Fatal(err)
		}
		var own *rpc.Error
		err := c.Call(inTime(t), tt.method, nil, params...)
		if !errors.As(err, &own) || own.Code != tt.code || !strings.Contains(own.Message, tt.want) {
			t.Errorf("%s%s: %v, want code %d, %q", tt.method, tt.params, err, tt.code, tt.want)
		}
	}
	if status, text := s.post(t, `{"jsonrpc":"2.0","id":1,"method":"opp2p_blockPeer","params":["`+opStranger+`"]}`, false); !strings.Contains(text, "-32010") {
		t.Errorf("a block without a token: %d %s", status, text)
	}
	if _, text := s.post(t, `{"jsonrpc":"2.0","id":1,"method":"opp2p_self"}`, false); !strings.Contains(text, s.ready.ID) {
		t.Errorf("opp2p_self without a token: %s", text)
	}
}

// docs/rpc.md has the methods of this wire beside its table, which is of a node
// of the native one.
func TestTheDocumentNamesEveryOPMethod(t *testing.T) {
	page, err := os.ReadFile(rpcDoc)
	if err != nil {
		t.Fatal(err)
	}
	methods := (&opp2p{node: &Node{}}).methods()
	if len(methods) != 17 {
		t.Errorf("%d methods", len(methods))
	}
	for _, m := range append(methods, (&opPayloads{node: &Node{}}).methods()...) {
		if !strings.Contains(string(page), "`"+m.Name+"`") {
			t.Errorf("%s does not name %s", rpcDoc, m.Name)
		}
	}
}

// FuzzOPSubnet checks that what is taken as a subnet is written as it was meant.
func FuzzOPSubnet(f *testing.F) {
	f.Add([]byte{198, 51, 100, 0}, []byte{255, 255, 255, 0})
	f.Add(make([]byte, 16), []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0})
	f.Fuzz(func(t *testing.T, ip, mask []byte) {
		p, ok := OPSubnet{IP: ip, Mask: mask}.prefix()
		if !ok {
			return
		}
		if again, ok := subnetOf(p).prefix(); !ok || again != p || p.Masked() != p {
			t.Fatalf("%x with the mask %x is %v, which is read as %v", ip, mask, p, again)
		}
		if a, ok := netip.AddrFromSlice(ip); !ok || !p.Contains(a.Unmap()) {
			t.Fatalf("%x with the mask %x is %v", ip, mask, p)
		}
	})
}
