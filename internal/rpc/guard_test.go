package rpc_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/rpc"
)

const (
	sum    = `{"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]}`
	change = `{"jsonrpc":"2.0","id":1,"method":"change"}`
)

// changing are methods of which one changes something.
func changing() []starling.Method {
	return append(methods(), starling.Method{Name: "change", Write: true, Call: func(context.Context, rawJSON) (any, error) { return true, nil }})
}

// What a web page can send without being asked is refused: another content
// type, another Origin, a name that somebody has pointed at this machine. No
// answer lets every page read it. Threat rows.
func TestWebPagesAreKeptOut(t *testing.T) {
	url := web(t, changing(), rpc.TCP{Open: true, Hosts: []string{"Node.example.org"}, Origins: []string{"https://wallet.example.org"}, Token: token})
	host := strings.TrimPrefix(url, "http://")
	for _, tt := range []struct {
		name   string
		header []string
		want   int
		allow  string // Access-Control-Allow-Origin
	}{
		{"a program", []string{"Content-Type", "application/json"}, 200, ""},
		{"with a charset", []string{"Content-Type", "application/json; charset=utf-8"}, 200, ""},
		{"a form", []string{"Content-Type", "text/plain"}, 415, ""},
		{"another form", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, ""},
		{"no content type", nil, 415, ""},
		{"a name that is ours", []string{"Content-Type", "application/json", "Host", "node.example.org:7701"}, 200, ""},
		{"localhost", []string{"Content-Type", "application/json", "Host", "localhost:7701"}, 200, ""},
		{"an address of IPv6", []string{"Content-Type", "application/json", "Host", "[::1]:7701"}, 200, ""},
		{"a name that was pointed here", []string{"Content-Type", "application/json", "Host", "evil.example.org"}, 403, ""},
		{"a name that begins like an address", []string{"Content-Type", "application/json", "Host", "127.0.0.1.evil.example.org"}, 403, ""},
		{"another page", []string{"Content-Type", "application/json", "Origin", "https://evil.example.org"}, 403, ""},
		{"no page in particular", []string{"Content-Type", "application/json", "Origin", "null"}, 403, ""},
		{"two pages", []string{"Content-Type", "application/json", "Origin", "https://wallet.example.org", "Origin", "https://evil.example.org"}, 403, ""},
		{"a page that may", []string{"Content-Type", "application/json", "Origin", "https://wallet.example.org"}, 200, "https://wallet.example.org"},
		{"the node's own page", []string{"Content-Type", "application/json", "Origin", "http://" + host}, 200, "http://" + host},
		{"an image of another page", []string{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403, ""},
		{"a frame in another page", []string{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403, ""},
		{"a link in another page", []string{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, http.MethodPost, url, sum, tt.header...)
			if got.status != tt.want || got.header.Get("Access-Control-Allow-Origin") != tt.allow {
				t.Errorf("status %d, allowed %q (%s), want %d and %q", got.status, got.header.Get("Access-Control-Allow-Origin"), got.body, tt.want, tt.allow)
			}
		})
	}
	asked := do(t, http.MethodOptions, url, "", "Origin", "https://wallet.example.org", "Access-Control-Request-Method", "POST")
	if asked.status != 204 || asked.header.Get("Access-Control-Allow-Headers") == "" {
		t.Errorf("a page that may asks first: %d %v", asked.status, asked.header)
	}
	if got := do(t, http.MethodGet, url, ""); got.status != 405 {
		t.Errorf("GET gave %d, want 405", got.status)
	}
}

// A script of another page opens no WebSocket. Threat row A-05.
func TestWebSocketsOfOtherPagesAreRefused(t *testing.T) {
	url := web(t, methods(), rpc.TCP{Open: true, Origins: []string{"https://wallet.example.org"}})
	for _, tt := range []struct {
		origin string
		ok     bool
	}{{"", true}, {"https://evil.example.org", false}, {"null", false}, {"https://wallet.example.org", true}, {url, true}} {
		header := http.Header{}
		if tt.origin != "" {
			header.Set("Origin", tt.origin)
		}
		conn, res, err := websocket.Dial(within(t), "ws"+strings.TrimPrefix(url, "http"), &websocket.DialOptions{HTTPHeader: header})
		if (err == nil) != tt.ok {
			t.Errorf("from %q: %v, want to be let in: %v", tt.origin, err, tt.ok)
		}
		if err == nil {
			conn.CloseNow()
		} else if res == nil || res.StatusCode != 403 {
			t.Errorf("from %q: %v, want 403", tt.origin, res)
		}
	}
}

// What changes something needs the whole token; one that may read does not
// become more. Threat rows.
func TestAuthorityTakesTheToken(t *testing.T) {
	const reader = "fedcba9876543210fedcba9876543210"
	url := web(t, changing(), rpc.TCP{Open: true, Token: token, ReadToken: reader})
	public := web(t, changing(), rpc.TCP{Token: token, ReadToken: reader})
	for _, tt := range []struct {
		name, url, call, auth string
		want                  int
		text                  string
	}{
		{"read on loopback", url, sum, "", 200, `"result":3`},
		{"change without", url, change, "", 401, "-32010"},
		{"change with", url, change, "Bearer " + token, 200, `"result":true`},
		{"another case", url, change, "bearer " + token, 200, `"result":true`},
		{"part of it", url, change, "Bearer " + token[:31], 401, "-32010"},
		{"more than it", url, change, "Bearer " + token + "0", 401, "-32010"},
		{"nothing", url, change, "Bearer ", 401, "-32010"},
		{"another scheme", url, change, "Basic " + token, 401, "-32010"},
		{"change with a reader's", url, change, "Bearer " + reader, 403, "-32010"},
		{"read in public", public, sum, "", 401, "-32010"},
		{"read in public with a reader's", public, sum, "Bearer " + reader, 200, `"result":3`},
		{"change in public with a reader's", public, change, "Bearer " + reader, 403, "-32010"},
		{"change in public with", public, change, "Bearer " + token, 200, `"result":true`},
		{"some of a batch", url, "[" + sum + "," + change + "]", "", 200, "-32010"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.auth != "" {
				header = []string{"Authorization", tt.auth}
			}
			got := post(t, tt.url, tt.call, header...)
			if got.status != tt.want || !strings.Contains(got.body, tt.text) {
				t.Errorf("%d %s, want %d and %s", got.status, got.body, tt.want, tt.text)
			}
			if got.status == 401 && got.header.Get("WWW-Authenticate") == "" {
				t.Error("nothing says how to show a token")
			}
		})
	}
	empty := web(t, changing(), rpc.TCP{Open: true})
	for _, auth := range []string{"Bearer ", "Bearer", "Bearer x"} {
		if got := post(t, empty, change, "Authorization", auth); got.status != 401 {
			t.Errorf("without a token on the server, %q gave %d", auth, got.status)
		}
	}
}

// A token file is made once, for the user alone, and one that others can read
// is refused with the remedy. Threat rows A-04 and S-08.
func TestTokenFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	made, err := rpc.LoadToken(path)
	if err != nil || len(made) != 64 {
		t.Fatalf("a new token is %q, %v", made, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file has %v, %v, want 0600", info.Mode(), err)
	}
	if again, err := rpc.LoadToken(path); err != nil || again != made {
		t.Errorf("read again it is %q, %v", again, err)
	}
	for name, spoil := range map[string]func(p string) error{
		"chmod 600":     func(p string) error { return os.WriteFile(p, []byte(made), 0o644) },
		"symbolic link": func(p string) error { return os.Symlink(path, p) },
		"regular file":  func(p string) error { return os.Mkdir(p, 0o700) },
		"32 to 1024":    func(p string) error { return os.WriteFile(p, []byte("short\n"), 0o600) },
		"printable":     func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("x", 40)+" \x00"), 0o600) },
	} {
		p := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := spoil(p); err != nil {
			t.Fatal(err)
		}
		if _, err := rpc.LoadToken(p); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v, want its name and the remedy", name, err)
		}
	}
}

// Requests are bounded before they are decoded: size, depth, calls. Threat rows
// B-07 and A-08.
func TestBombsAreRefusedAndTheServerLives(t *testing.T) {
	url := web(t, methods(), rpc.TCP{Open: true, Rate: 1 << 20})
	params := func(s string) string { return `{"jsonrpc":"2.0","id":1,"method":"echo","params":` + s + `}` }
	for _, tt := range []struct {
		name, body string
		status     int
		text       string
	}{
		{"a body over the bound", params(`["` + strings.Repeat("x", rpc.MaxRequestBytes) + `"]`), 413, "over 5242880 bytes"},
		{"10 000 deep", strings.Repeat("[", 10_000), 400, "64 deep"},
		{"10 000 deep inside a call", params(strings.Repeat(`{"a":`, 10_000)), 400, "64 deep"},
		{"a batch of 1001", "[" + strings.Repeat(sum+",", 1000) + sum + "]", 400, "1001 calls, want at most 100"},
		{"a million params", params("[" + strings.Repeat("1,", 1_000_000) + "1]"), 200, "1000001 params, want at most 1"},
		{"an answer over the bound", `{"jsonrpc":"2.0","id":1,"method":"huge"}`, 200, "answer is over 26214400 bytes"},
		{"a batch of huge answers", "[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"large"},`, 4) + sum + "]", 200, "answer is over 26214400 bytes"},
		{"a panic", `{"jsonrpc":"2.0","id":1,"method":"panic"}`, 200, "internal error"},
		{"no JSON", "hello", 200, "-32700"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := post(t, url, tt.body)
			if got.status != tt.status || !strings.Contains(got.body, tt.text) {
				t.Errorf("%d %.300s, want %d and %q", got.status, got.body, tt.status, tt.text)
			}
			if len(got.body) > rpc.MaxAnswerBytes+4096 {
				t.Errorf("the answer has %d bytes", len(got.body))
			}
			if got := post(t, url, sum); got.status != 200 || !strings.Contains(got.body, `"result":3`) {
				t.Errorf("afterwards: %d %s", got.status, got.body)
			}
		})
	}
}
