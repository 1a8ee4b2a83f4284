package rpc_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/rpc"
)

const token = "0123456789abcdef0123456789abcdef"

type rawJSON = json.RawMessage

// web serves methods on a loopback port until the test ends, and gives its URL.
func web(t *testing.T, ms []starling.Method, opts rpc.TCP, mounts ...func(*rpc.Server)) string {
	t.Helper()
	server, err := rpc.New(ms, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		m(server)
	}
	l, err := rpc.ListenTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.ServeTCP(ctx, l, opts) }()
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("ServeTCP: %v", err)
			}
		case <-time.After(limit):
			t.Error("ServeTCP does not end")
		}
	}))
	return "http://" + l.Addr().String()
}

// reply is what came back over HTTP.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends one request on a connection of its own.
func do(t *testing.T, method, url, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Add(header[i], header[i+1])
		}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return reply{res.StatusCode, res.Header, strings.TrimSpace(string(text))}
}

// post calls as a client of JSON-RPC does.
func post(t *testing.T, url, body string, header ...string) reply {
	t.Helper()
	return do(t, http.MethodPost, url, body, append([]string{"Content-Type", "application/json"}, header...)...)
}

func TestHTTPCarriesCallsBatchesAndNotifications(t *testing.T) {
	url := web(t, methods(), rpc.TCP{Open: true})
	for _, tt := range []struct {
		name, in string
		status   int
		want     string
	}{
		{"a call", `{"jsonrpc":"2.0","id":7,"method":"add","params":[1,2]}`, 200, `{"jsonrpc":"2.0","id":7,"result":3}`},
		{"a text as id", `{"jsonrpc":"2.0","id":"x","method":"add","params":[1,2]}`, 200, `{"jsonrpc":"2.0","id":"x","result":3}`},
		{"a notification", `{"jsonrpc":"2.0","method":"add","params":[1,2]}`, 204, ``},
		{
			"a batch", ` [{"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]},{"jsonrpc":"2.0","method":"add"},{"jsonrpc":"2.0","id":2,"method":"nope"}]`,
			200, `[{"jsonrpc":"2.0","id":1,"result":3},{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"rpc: no method \"nope\""}}]`,
		},
		{"a batch of notifications", `[{"jsonrpc":"2.0","method":"add"}]`, 204, ``},
		{"an empty batch", `[]`, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"rpc: an empty batch"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := post(t, url, tt.in); got.status != tt.status || got.body != tt.want {
				t.Errorf("%d %s, want %d %s", got.status, got.body, tt.status, tt.want)
			}
		})
	}
}

// The unix socket speaks HTTP too, and its user needs no token.
func TestTheUnixSocketSpeaksHTTP(t *testing.T) {
	ms := append(methods(), starling.Method{Name: "change", Write: true, Call: func(context.Context, rawJSON) (any, error) { return true, nil }})
	path, _ := serve(t, ms)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	res, err := client.Post("http://starling/", "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"change"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || strings.TrimSpace(string(text)) != `{"jsonrpc":"2.0","id":1,"result":true}` {
		t.Errorf("it gave %s, %v", text, err)
	}
}

// A part that is mounted is met by its class. Threat rows.
func TestWhatIsMountedNeedsItsClass(t *testing.T) {
	const reader = "fedcba9876543210fedcba9876543210"
	mount := func(s *rpc.Server) {
		for path, class := range map[string]rpc.Class{"/healthz": rpc.Public, "/metrics": rpc.Read, "/debug/pprof/": rpc.Admin} {
			s.Mount(path, class, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }))
		}
	}
	loopback := web(t, nil, rpc.TCP{Open: true, Token: token}, mount)
	public := web(t, nil, rpc.TCP{Token: token, ReadToken: reader}, mount)
	for _, tt := range []struct {
		name, url, path, token string
		want                   int
	}{
		{"health on loopback", loopback, "/healthz", "", 200},
		{"metrics on loopback", loopback, "/metrics", "", 200},
		{"profiles on loopback", loopback, "/debug/pprof/heap", "", 401},
		{"profiles with the token", loopback, "/debug/pprof/heap", token, 200},
		{"health in public", public, "/healthz", "", 200},
		{"metrics in public", public, "/metrics", "", 401},
		{"metrics for a reader", public, "/metrics", reader, 200},
		{"profiles for a reader", public, "/debug/pprof/heap", reader, 403},
		{"profiles in public with the token", public, "/debug/pprof/heap", token, 200},
		{"nothing", loopback, "/nothing", "", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.token != "" {
				header = []string{"Authorization", "Bearer " + tt.token}
			}
			if got := do(t, http.MethodGet, tt.url+tt.path, "", header...); got.status != tt.want {
				t.Errorf("status %d (%s), want %d", got.status, got.body, tt.want)
			}
		})
	}
}
