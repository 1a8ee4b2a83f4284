package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/internal/rpc"
)

// served is a node that runs, with its RPC over HTTP.
type served struct {
	ready Event
	dir   string
	node  *Node
}

// serveNode runs a node until the test ends.
func serveNode(t *testing.T, cfg Config) *served {
	t.Helper()
	cfg.RPC.Listen = "127.0.0.1:0"
	s := &served{dir: cfg.Datadir}
	logs, err := newLogs(cfg, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Open(cfg, logs.Logger())
	if err != nil {
		t.Fatal(err)
	}
	s.node = n
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan Event, 1), make(chan error, 1)
	go func() {
		done <- n.run(ctx, Output{Out: io.Discard, OnEvent: func(ev Event) {
			if ev.Event == EventReady {
				ready <- ev
			}
		}}, logs.Logger())
	}()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, n.Close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case s.ready = <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("the node ended: %v", err)
	case <-time.After(limit):
		t.Fatal("the node is not ready")
	}
	return s
}

// follower makes the datadir of a node that follows another's network.
func follower(t *testing.T, of Config) Config {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "f")
	n := of.Networks[0]
	n.Sequenced.ProduceKey = ""
	if err := Init(dir, Config{ConfigVersion: ConfigVersion, Networks: []Network{n}}, nil); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(filepath.Join(dir, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// dial gives a client on the unix socket.
func (s *served) dial(t *testing.T) *rpc.Client {
	t.Helper()
	c, err := rpc.Dial(t.Context(), SocketPath(s.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// post sends one call over HTTP, with the token if auth is set.
func (s *served) post(t *testing.T, call string, auth bool) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.ready.RPC, strings.NewReader(call))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if auth {
		token, err := os.ReadFile(filepath.Join(s.dir, "keys", "rpc.token"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func inTime(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// keys are the keys of a JSON object.
func keys(t *testing.T, raw json.RawMessage) []string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// net_* and admin_* have the shapes of geth, and follow a peer that comes, is
// configured, and goes.
func TestNetAndAdminHaveGethsShapes(t *testing.T) {
	first := newConfig(t)
	a := serveNode(t, first)
	b := serveNode(t, follower(t, first))
	c, events, ctx := b.dial(t), b.dial(t), inTime(t)
	call := func(method string, result any, params ...any) {
		t.Helper()
		if err := c.Call(ctx, method, result, params...); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
	}
	var version, count, clientVersion, datadir string
	var listening bool
	call("net_version", &version)
	call("net_peerCount", &count)
	call("net_listening", &listening)
	call("web3_clientVersion", &clientVersion)
	call("admin_datadir", &datadir)
	if strings.Trim(version, "0123456789") != "" || version == "" || count != "0x0" || !listening || !strings.HasPrefix(clientVersion, "starling/v") || datadir != b.dir {
		t.Errorf("net_version %q, net_peerCount %q, net_listening %v, web3_clientVersion %q, admin_datadir %q", version, count, listening, clientVersion, datadir)
	}
	var raw json.RawMessage
	call("admin_nodeInfo", &raw)
	if got := keys(t, raw); !slices.Equal(got, []string{"enode", "enr", "id", "ip", "listenAddr", "name", "ports", "protocols"}) {
		t.Errorf("admin_nodeInfo has the keys %q", got)
	}
	var info NodeInfo
	if err := json.Unmarshal(raw, &info); err != nil || info.ID != b.ready.ID || info.IP != "127.0.0.1" || info.Ports.Listener == 0 || !strings.Contains(string(raw), `"native":{"network":"test"`) {
		t.Errorf("admin_nodeInfo gave %s, %v", raw, err)
	}

	notes, err := events.Subscribe(ctx, "admin", "peerEvents")
	if err != nil {
		t.Fatal(err)
	}
	url := a.ready.Addrs[0]
	var ok bool
	call("admin_addPeer", &ok, url)
	var ev PeerEvent
	if err := notes.Next(ctx, &ev); err != nil || ev.Type != "add" || ev.Peer != a.ready.ID || ev.Remote == "" {
		t.Fatalf("the first event is %+v, %v", ev, err)
	}
	call("net_peerCount", &count)
	call("admin_peers", &raw)
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || len(list) != 1 || count != "0x1" {
		t.Fatalf("%s peers: %s, %v", count, raw, err)
	}
	if got := keys(t, list[0]); !slices.Equal(got, []string{"caps", "enode", "enr", "id", "name", "network", "protocols"}) {
		t.Errorf("a peer has the keys %q", got)
	}
	var p PeerInfo
	if err := json.Unmarshal(list[0], &p); err != nil || p.ID != a.ready.ID || !p.Network.Static || p.Network.Trusted || p.Network.RemoteAddress == "" {
		t.Errorf("the peer is %s, %v", list[0], err)
	}
	call("admin_addTrustedPeer", &ok, url)
	call("admin_peers", &raw)
	if json.Unmarshal(raw, &list); !bytes.Contains(raw, []byte(`"trusted":true`)) {
		t.Errorf("after it was added as trusted the peers are %s", raw)
	}
	// Threat row A-10: what is configured is not banned, by name or by prefix.
	for _, params := range [][]any{{a.ready.ID}, {b.ready.ID}, {"127.0.0.1"}, {"127.0.0.0/16"}, {"0.0.0.0/0"}, {"10.0.0.0/8"}, {"::/0"}} {
		var own *rpc.Error
		if err := c.Call(ctx, "starling_ban", nil, params...); !errors.As(err, &own) || own.Code != rpc.CodeFailed {
			t.Errorf("a ban of %v gave %v", params, err)
		}
	}
	call("admin_removeTrustedPeer", &ok, url)
	call("admin_removePeer", &ok, url)
	if err := notes.Next(ctx, &ev); err != nil || ev.Type != "drop" || ev.Peer != a.ready.ID || ev.Error == "" {
		t.Errorf("the second event is %+v, %v", ev, err)
	}
	for _, method := range []string{"admin_addPeer", "admin_removePeer", "admin_addTrustedPeer", "admin_removeTrustedPeer"} {
		var own *rpc.Error
		if err := c.Call(ctx, method, nil, "hello"); !errors.As(err, &own) || own.Code != rpc.CodeBadParams {
			t.Errorf("%s of nonsense gave %v", method, err)
		}
		if status, text := a.post(t, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":["x"]}`, false); status != 401 || !strings.Contains(text, "-32010") {
			t.Errorf("%s without a token: %d %s", method, status, text)
		}
	}
}

// Prefixes are banned, wide ones when that is meant, and a ban is lifted by
// the name that it was made by. Threat row A-10.
func TestPrefixesAreBannedAndWideOnesWithForce(t *testing.T) {
	n := serveNode(t, newConfig(t))
	c, ctx := n.dial(t), inTime(t)
	for _, tt := range []struct {
		params []any
		listed string // empty: refused
	}{
		{[]any{"192.0.2.7", 60, "noise"}, "192.0.2.7/32"},
		{[]any{"198.51.100.0/24", 60, "noise"}, "198.51.100.0/24"},
		{[]any{"2001:db8::/32", 60, "noise"}, "2001:db8::/32"},
		{[]any{"203.0.0.0/8", 60, "noise"}, ""},
		{[]any{"203.0.0.0/8", 60, "noise", true}, "203.0.0.0/8"},
		{[]any{"/ip4/192.0.2.1/tcp/1", 60}, ""},
	} {
		err := c.Call(ctx, "starling_ban", nil, tt.params...)
		if (err == nil) != (tt.listed != "") {
			t.Errorf("a ban of %v gave %v", tt.params, err)
			continue
		}
		var bans []BanReply
		if err := c.Call(ctx, "starling_bans", &bans); err != nil {
			t.Fatal(err)
		}
		if tt.listed == "" {
			if len(bans) != 0 {
				t.Errorf("after a refused ban there are %+v", bans)
			}
			continue
		}
		if len(bans) != 1 || bans[0].Who != tt.listed || bans[0].Reason != "noise" {
			t.Errorf("a ban of %v is listed as %+v", tt.params, bans)
		}
		if err := c.Call(ctx, "starling_unban", nil, tt.listed); err != nil {
			t.Errorf("lifting %s: %v", tt.listed, err)
		}
	}
}

// Each method is described, and the document keeps the rules of OpenRPC and of
// JSON Schema that it can break.
func TestTheDocumentDescribesEveryMethod(t *testing.T) {
	n := serveNode(t, newConfig(t))
	c, ctx := n.dial(t), inTime(t)
	var raw json.RawMessage
	if err := c.Call(ctx, "rpc.discover", &raw); err != nil {
		t.Fatal(err)
	}
	var doc rpc.Document
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenRPC == "" || doc.Info.Title == "" || doc.Info.Version != Version {
		t.Errorf("the document begins with %q %+v", doc.OpenRPC, doc.Info)
	}
	described := map[string]bool{}
	for _, m := range doc.Methods {
		if described[m.Name] {
			t.Errorf("%s is there twice", m.Name)
		}
		described[m.Name] = true
		if m.Summary == "" || !strings.HasSuffix(m.Summary, ".") && !strings.Contains(m.Summary, ": ") {
			t.Errorf("%s is described as %q, want a sentence", m.Name, m.Summary)
		}
		if m.Result.Name == "" || m.Result.Schema == nil {
			t.Errorf("%s has the result %+v", m.Name, m.Result)
		}
		names, optional := map[string]bool{}, false
		for _, p := range m.Params {
			if p.Name == "" || names[p.Name] || p.Description == "" || p.Schema == nil {
				t.Errorf("%s has the parameter %+v", m.Name, p)
			}
			if p.Required && optional {
				t.Errorf("%s: %s must be there, but one before it need not", m.Name, p.Name)
			}
			names[p.Name], optional = true, optional || !p.Required
		}
	}
	all := append(n.node.methods(), n.node.node.Methods()...)
	for _, m := range all {
		if !described[m.Name] {
			t.Errorf("%s is not in the document", m.Name)
		}
	}
	for _, name := range []string{"rpc.discover", "rpc_modules", "admin_subscribe", "admin_unsubscribe", "starling_subscribe", "starling_unsubscribe", "sequencer_pause"} {
		if !described[name] {
			t.Errorf("%s is not in the document", name)
		}
	}
	if len(doc.Methods) != len(all)+6 {
		t.Errorf("%d methods are described, the node has %d", len(doc.Methods), len(all)+6)
	}
	checkRefs(t, raw, doc.Components.Schemas)

	var modules map[string]string
	if err := c.Call(ctx, "rpc_modules", &modules); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []string{"net", "admin", "starling", "web3", "rpc", "sequencer"} {
		if modules[ns] != "1.0" {
			t.Errorf("the modules are %v, without %s", modules, ns)
		}
	}
}

// checkRefs looks for references that lead nowhere, and for types that JSON
// Schema does not have.
func checkRefs(t *testing.T, raw json.RawMessage, schemas map[string]any) {
	t.Helper()
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	types := []string{"null", "boolean", "object", "array", "number", "string", "integer"}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				name, local := strings.CutPrefix(ref, "#/components/schemas/")
				if _, there := schemas[name].(map[string]any); !local || !there {
					t.Errorf("a reference leads nowhere: %s", ref)
				}
			}
			if typ, ok := v["type"].(string); ok && !slices.Contains(types, typ) {
				t.Errorf("there is no type %q", typ)
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(tree)
}

// What the node tells has the form that the document says: each method that
// takes nothing and changes nothing is called, and its answer decoded strictly
// into the type that describes it.
func TestAnswersHaveTheDocumentedForm(t *testing.T) {
	n := serveNode(t, newConfig(t))
	c, ctx := n.dial(t), inTime(t)
	for _, m := range n.node.methods() {
		if m.Write || len(m.Params) > 0 && !m.Params[0].Optional {
			continue
		}
		var raw json.RawMessage
		if err := c.Call(ctx, m.Name, &raw); err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		into := newOf(m.Result)
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(into); err != nil {
			t.Errorf("%s gave %s, which is no %T: %v", m.Name, raw, m.Result, err)
		}
	}
}

// The events of the node come over subscriptions.
func TestEventsHeadsAndBlocksCanBeSubscribedTo(t *testing.T) {
	n := serveNode(t, newConfig(t)) // makes a block each 20 ms
	ctx := inTime(t)
	for _, name := range []string{"heads", "blocks", "events"} {
		notes, err := n.dial(t).Subscribe(ctx, "starling", name)
		if err != nil {
			t.Fatal(err)
		}
		last := uint64(0)
		for range 5 {
			var ev struct {
				V      int    `json:"v"`
				Number uint64 `json:"number"`
				Event  string `json:"event"`
				Hash   string `json:"hash"`
				Txs    *int   `json:"txs"`
			}
			if err := notes.Next(ctx, &ev); err != nil {
				t.Fatal(err)
			}
			if name != "events" && (ev.V != 1 || ev.Number <= last || ev.Hash == "" || name == "blocks" && (ev.Txs == nil || last > 0 && ev.Number != last+1)) {
				t.Errorf("%s: %+v after %d", name, ev, last)
			}
			if name == "events" && (ev.V != 1 || ev.Event == "") {
				t.Errorf("an event: %+v", ev)
			}
			last = ev.Number
		}
	}
	var own *rpc.Error
	if _, err := n.dial(t).Subscribe(ctx, "starling", "heads", "extra"); !errors.As(err, &own) || own.Code != rpc.CodeBadParams {
		t.Errorf("an option that is none: %v", err)
	}
	if status, text := n.post(t, `{"jsonrpc":"2.0","id":1,"method":"admin_subscribe","params":["peerEvents"]}`, false); status != 200 || !strings.Contains(text, "notifications not supported") {
		t.Errorf("over HTTP: %d %s", status, text)
	}
}

// What a reader that leaves had made of a block is whole for those who stay.
func TestAReaderThatLeavesSpoilsNoBlockOfOthers(t *testing.T) {
	n := serveNode(t, newConfig(t)).node
	gone, leave := context.WithCancel(t.Context())
	leave()
	head := n.stack.chain.Status().Head
	recs := []eventlog.Record{{Event: starling.HeadChanged{Blocks: []chain.Ref{head}}}}
	var told []BlockEvent
	for _, ctx := range []context.Context{gone, t.Context()} {
		if err := n.blockEvents(ctx, recs, func(v any) error {
			var ev BlockEvent
			err := json.Unmarshal(v.(json.RawMessage), &ev)
			told = append(told, ev)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 2 || told[1].Number != head.Number || told[1].Txs == nil || told[1].Bytes == 0 {
		t.Errorf("told of block %d: %+v", head.Number, told)
	}
}

// A target is taken as in the config, the token of the datadir gives authority
// over HTTP, and knownPeers is bounded.
func TestWritesOverHTTPTakeTheTokenOfTheDatadir(t *testing.T) {
	n := serveNode(t, newConfig(t))
	hash := strings.Repeat("00", 31) + "01"
	call := `{"jsonrpc":"2.0","id":1,"method":"starling_target","params":["7:` + hash + `"]}`
	if status, text := n.post(t, call, false); status != 401 {
		t.Errorf("without the token: %d %s", status, text)
	}
	if status, text := n.post(t, call, true); status != 200 || !strings.Contains(text, `"result":true`) {
		t.Errorf("with it: %d %s", status, text)
	}
	for _, tt := range []struct{ call, want string }{
		{`{"jsonrpc":"2.0","id":1,"method":"starling_target","params":["seven"]}`, "NUMBER:HASH"},
		{`{"jsonrpc":"2.0","id":1,"method":"starling_knownPeers","params":[0]}`, "1 to 1000"},
		{`{"jsonrpc":"2.0","id":1,"method":"starling_knownPeers","params":[1001]}`, "1 to 1000"},
		{`{"jsonrpc":"2.0","id":1,"method":"starling_knownPeers","params":[1000]}`, `"result":[]`},
		{`{"jsonrpc":"2.0","id":1,"method":"starling_caps"}`, `"wire":"native"`},
	} {
		if _, text := n.post(t, tt.call, true); !strings.Contains(text, tt.want) {
			t.Errorf("%s gave %s, want %q", tt.call, text, tt.want)
		}
	}
}

// newOf is a pointer to a new value of v's type.
func newOf(v any) any {
	if v == nil {
		return new(any)
	}
	return reflect.New(reflect.TypeOf(v)).Interface()
}
