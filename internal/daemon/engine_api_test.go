package daemon

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/jwt"
)

const mergedGenesis = `{"config":{"chainId":1338,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,
"constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0,"mergeNetsplitBlock":0,"terminalTotalDifficulty":0},
"difficulty":"0x0","gasLimit":"0x1c9c380","timestamp":"0x6553f100","baseFeePerGas":"0x3b9aca00","alloc":{}}`

// driven is a network after the Merge, with an Engine API on loopback.
func driven(t *testing.T, change ...func(*Config)) Config {
	t.Helper()
	return newEthereum(t, append([]func(*Config){func(c *Config) {
		e := &c.Networks[0].Ethereum
		e.EngineListen, e.Versions = "127.0.0.1:0", nil
		if err := os.WriteFile(e.Genesis, []byte(mergedGenesis), 0o600); err != nil {
			t.Fatal(err)
		}
	}}, change...)...)
}

// secretOf reads the secret that a node has made.
func secretOf(t *testing.T, cfg Config) jwt.Secret {
	t.Helper()
	path := filepath.Join(cfg.Datadir, "keys", "jwt.hex")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the secret's file: %v, %v; want mode 0600", info, err)
	}
	s, err := loadJWT(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// said is an answer over HTTP.
type said struct {
	code int
	body string
}

// post calls with a token and more headers; the call is a method's name, or JSON.
func post(t *testing.T, client *http.Client, url, token, call string, headers ...string) said {
	t.Helper()
	if !strings.HasPrefix(call, "{") {
		call = fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":[]}`, call)
	}
	req, err := http.NewRequestWithContext(inTime(t), http.MethodPost, url, strings.NewReader(call))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := client.Do(req)
	if err != nil {
		return said{0, err.Error()}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return said{0, err.Error()}
	}
	return said{res.StatusCode, string(body)}
}

// Only who knows the secret calls: no token, another's, an old one, one of the
// node's RPC, and one that overheard the algorithm "none" are refused, and who
// guesses is locked out, which a right token at the same address is not.
// Threats.
func TestTheEngineAPITakesAFreshToken(t *testing.T) {
	cfg := driven(t, func(c *Config) { c.RPC.Listen = "127.0.0.1:0" })
	ev := observed(t, cfg, nil)
	secret, client, now := secretOf(t, cfg), newClient(t, &http.Transport{}), time.Now()
	good := secret.Token(now)
	if got := post(t, client, ev.Engine, good, "engine_exchangeCapabilities"); got.code != http.StatusOK || !strings.Contains(got.body, `"engine_newPayloadV4","engine_forkchoiceUpdatedV1"`) {
		t.Errorf("with the right token: %+v", got)
	}
	if !strings.HasPrefix(ev.Engine, "http://127.0.0.1:") {
		t.Errorf("it listens at %s", ev.Engine)
	}
	rpcToken, err := os.ReadFile(filepath.Join(cfg.Datadir, "keys", "rpc.token"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, token, want string
	}{
		{"none", "", "need authority"},
		{"another secret", jwt.Secret{1}.Token(now), "not signed with our secret"},
		{"an old one", secret.Token(now.Add(-2 * time.Minute)), "look at both clocks"},
		{"one of the future", secret.Token(now.Add(2 * time.Minute)), "look at both clocks"},
		{"the RPC's", strings.TrimSpace(string(rpcToken)), "no token"},
	} {
		if got := post(t, client, ev.Engine, tt.token, "engine_exchangeCapabilities"); got.code != http.StatusUnauthorized || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s: %+v, want 401 with %q", tt.name, got, tt.want)
		}
	}
	locked := said{}
	for range 50 {
		if locked = post(t, client, ev.Engine, "a.b.c", "engine_exchangeCapabilities"); locked.code == http.StatusTooManyRequests {
			break
		}
	}
	if locked.code != http.StatusTooManyRequests {
		t.Errorf("who guesses gets %+v, want 429 at last", locked)
	}
	if got := post(t, client, ev.Engine, good, "eth_syncing"); got.code != http.StatusOK || !strings.Contains(got.body, `"result":false`) {
		t.Errorf("a right token while others are locked out: %+v", got)
	}
	for _, tt := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"a name that was pointed here", []string{"Host", "evil.example.org"}, http.StatusForbidden},
		{"a web page", []string{"Origin", "https://evil.example.org"}, http.StatusForbidden},
		{"a form", []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType},
	} {
		if got := post(t, client, ev.Engine, good, "eth_chainId", tt.headers...); got.code != tt.want {
			t.Errorf("%s: %+v, want %d", tt.name, got, tt.want)
		}
	}
	// Nor is it on the node's own RPC, or all of that here.
	if got := post(t, client, ev.RPC, "", "engine_exchangeCapabilities"); !strings.Contains(got.body, "no method") {
		t.Errorf("on the RPC: %+v", got)
	}
	if got := post(t, client, ev.Engine, good, "admin_addPeer"); !strings.Contains(got.body, "no method") {
		t.Errorf("another method of the RPC: %+v", got)
	}
	if code, body := get(t, client, ev.RPC+"/metrics"); code != http.StatusOK || !strings.Contains(body, `starling_engine_api_events_total{event="token-denied"}`) {
		t.Errorf("the metrics do not tell: %d", code)
	}
}

// A block of 10 MiB fits into a call, and not much more. Silent connections, and
// callers who send next to nothing, leave room for the consensus client. Threat
//
func TestTheEngineAPIIsBounded(t *testing.T) {
	cfg := driven(t)
	ev := observed(t, cfg, nil)
	secret, client := secretOf(t, cfg), newClient(t, &http.Transport{})
	at := strings.TrimPrefix(ev.Engine, "http://")
	for range 40 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", maxEngineRequest)
	}
	padded := func(size int) string {
		return `{"jsonrpc":"2.0","id":1,"method":"engine_newPayloadV1","params":["` + strings.Repeat("f", size) + `"]}`
	}
	for _, tt := range []struct {
		call string
		want string
	}{
		{"engine_getClientVersionV1", `"name":"Starling"`},
		{padded(20 << 20), `"code":-32602`},
		{padded(maxEngineRequest), `over 25165824 bytes`},
		{`{"jsonrpc":"2.0","id":1,"method":"engine_newPayloadV3","params":[{},[],null]}`, `"code":-32602`},
		{`{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[{},{},{},{},{}]}`, `"code":-32602`},
		{`{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[{"headBlockHash":"0x` + strings.Repeat("00", 32) + `","safeBlockHash":"0x` + strings.Repeat("00", 32) + `","finalizedBlockHash":"0x` + strings.Repeat("00", 32) + `"},null]}`, `"code":-38002`},
		{`{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[{"headBlockHash":"0x` + strings.Repeat("11", 32) + `","safeBlockHash":"0x` + strings.Repeat("00", 32) + `","finalizedBlockHash":"0x` + strings.Repeat("00", 32) + `"},null]}`, `"status":"SYNCING"`},
		{"engine_getPayloadV3", "no method"},
	} {
		got := post(t, client, ev.Engine, secret.Token(time.Now()), tt.call)
		for range 50 { // the longest come faster here than a client may ask
			if got.code != http.StatusTooManyRequests {
				break
			}
			got = post(t, client, ev.Engine, secret.Token(time.Now()), tt.call)
		}
		if !strings.Contains(got.body, tt.want) {
			t.Errorf("%.90s: %d %.300s, want %q", tt.call, got.code, got.body, tt.want)
		}
	}
}

// What is wrong with the keys is found before the node starts.
func TestBadEngineAPIsAreStartErrors(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		change     func(*Config)
	}{
		{"no merge", "not one after the Merge", func(c *Config) {
			if err := os.WriteFile(c.Networks[0].Ethereum.Genesis, []byte(cliqueGenesis), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"a secret that is none", "64 hex digits", func(c *Config) { secretFile(t, c, strings.Repeat("z", 64), 0o600) }},
		{"a secret that others can read", "engine_jwt", func(c *Config) { secretFile(t, c, strings.Repeat("a", 64), 0o644) }},
	} {
		n, err := Open(driven(t, tt.change), slog.New(slog.DiscardHandler))
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "network.ethereum.engine_") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = Run(t.Context(), driven(t, func(c *Config) { c.Networks[0].Ethereum.EngineListen = taken.Addr().String() }), Output{})
	var start *StartError
	if !errors.As(err, &start) || !strings.Contains(err.Error(), "network.ethereum.engine_listen") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a port in use: %v", err)
	}
	for _, text := range []string{`engine_listen = "8551"`, `engine_jwt = "jwt.hex"`, "engine_listen = \"127.0.0.1:8551\"\nengine_hosts = [\"node:8551\"]"} {
		if _, err := ParseConfig([]byte(ethConfig + text)); err == nil || !strings.Contains(err.Error(), "network.ethereum.engine_") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// secretFile writes a secret for an Engine API.
func secretFile(t *testing.T, c *Config, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own.hex")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	c.Networks[0].Ethereum.EngineJWT = path
}
