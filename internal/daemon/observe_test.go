package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/rpc"
)

// observed runs a node until the test ends, and gives its ready event.
func observed(t *testing.T, cfg Config, out io.Writer) Event {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan Event, 1), make(chan error, 1)
	tell := sync.OnceFunc(stop)
	go func() {
		done <- Run(ctx, cfg, Output{Err: out, OnEvent: func(ev Event) {
			if ev.Event == EventReady {
				ready <- ev
			}
		}})
	}()
	t.Cleanup(func() {
		tell()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case ev := <-ready:
		return ev
	case err := <-done:
		done <- err
		t.Fatalf("Run ended: %v", err)
	}
	return Event{}
}

// get asks a URL and gives the status and the body.
func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func newClient(t *testing.T, transport *http.Transport) *http.Client {
	t.Helper()
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// eventually asks after each sign of life that the node gives its service
// manager, which follows a look at itself, until the answer fits.
func eventually(t *testing.T, signs *net.UnixConn, client *http.Client, url string, fits func(int, string) bool) {
	t.Helper()
	for late := time.Now().Add(limit); ; hear(t, signs) {
		code, body := get(t, client, url)
		if fits(code, body) {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%s says %d %s", url, code, body)
		}
	}
}

func TestMetricsHealthAndProfilesAreWhereTheConfigSays(t *testing.T) {
	cfg := newConfig(t)
	cfg.RPC.Listen = "127.0.0.1:0"
	cfg.Metrics = Metrics{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0"}
	cfg.Health.Alone = true
	signs := manager(t, time.Second)
	ev := observed(t, cfg, nil)
	client := newClient(t, &http.Transport{})
	for _, base := range []string{ev.RPC, ev.Metrics} {
		// On a busy machine the loop may not answer within a second at once.
		eventually(t, signs, client, base+"/healthz", func(code int, body string) bool {
			return code == http.StatusOK && body == "{\"v\":1,\"ok\":true}\n"
		})
		eventually(t, signs, client, base+"/readyz", func(code int, body string) bool { return code == http.StatusOK && strings.Contains(body, `"ok":true`) })
		code, body := get(t, client, base+"/metrics")
		for _, want := range []string{
			"\nstarling_chain_head_number ", "\nstarling_build_info{", "\nstarling_loop_busy_ratio{loop=\"swarm\"} ", "\ngo_goroutines ",
			"\nstarling_pool_transactions 0\n", "\nstarling_chain_head_timestamp_seconds ",
		} {
			if code != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%d: no %q in the metrics", code, want)
			}
		}
	}
	// Threat A-09: profiles are on the admin listener and on the unix socket only.
	if code, body := get(t, client, ev.Admin+"/debug/pprof/goroutine?debug=1"); code != http.StatusOK || !strings.Contains(body, "goroutine profile:") {
		t.Errorf("profiles on the admin listener: %d %.100s", code, body)
	}
	for _, url := range []string{ev.RPC + "/debug/pprof/", ev.Metrics + "/debug/pprof/", ev.Admin + "/metrics"} {
		if code, _ := get(t, client, url); code == http.StatusOK {
			t.Errorf("%s is answered", url)
		}
	}
	token, err := os.ReadFile(filepath.Join(cfg.Datadir, defaultTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	if code := ask(t, client, ev.RPC+"/debug/pprof/", strings.TrimSpace(string(token)), ""); code != http.StatusNotFound {
		t.Errorf("with the token, profiles over the RPC's TCP: %d, want %d", code, http.StatusNotFound)
	}
	unix := newClient(t, &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", SocketPath(cfg.Datadir))
	}})
	if code, _ := get(t, unix, "http://localhost/debug/pprof/"); code != http.StatusOK {
		t.Errorf("profiles on the unix socket: %d", code)
	}
	// A web page that has its own name point here reads nothing.
	for _, base := range []string{ev.Metrics, ev.Admin} {
		if code := ask(t, client, base+"/metrics", "", "evil.example"); code != http.StatusForbidden {
			t.Errorf("%s for another host: %d, want %d", base, code, http.StatusForbidden)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, ev.Metrics+"/metrics", strings.NewReader("x"))
	if res, err := client.Do(req); err != nil || res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST of metrics: %v, %v", res, err)
	} else {
		res.Body.Close()
	}
}

// ask asks with a token and for a host, and gives the status.
func ask(t *testing.T, client *http.Client, url, token, host string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Host = host
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// A node without peers is healthy and not ready, and says what is missing.
func TestANodeThatIsAloneIsNotReady(t *testing.T) {
	cfg := newConfig(t)
	cfg.RPC.Listen = "127.0.0.1:0"
	cfg.Health.MinPeers = 3
	signs := manager(t, time.Second)
	ev := observed(t, cfg, nil)
	client := newClient(t, &http.Transport{})
	eventually(t, signs, client, ev.RPC+"/readyz", func(code int, body string) bool {
		var r ReadyReply
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		return code == http.StatusServiceUnavailable && !r.OK && r.MinPeers == 3 && len(r.Why) == 1 && strings.Contains(r.Why[0], "0 peers, want 3 at least (health.min_peers)")
	})
}

// The causes of not being healthy, and of an old head.
func TestHealthSaysWhatIsWrong(t *testing.T) {
	o := &observer{}
	says := func(want string) {
		t.Helper()
		ok, why := o.healthy()
		if ok != (want == "") || !strings.Contains(why, want) {
			t.Errorf("healthy = %v, %q; want %q", ok, why, want)
		}
	}
	says("was not asked yet")
	o.probed.Store(&probe{time.Now(), nil})
	says("")
	o.probed.Store(&probe{time.Now(), fmt.Errorf("the loop of swarm: %w", context.DeadlineExceeded)})
	says("did not answer within 1s")
	o.probed.Store(&probe{time.Now(), errors.New("not running")})
	says("not running")
	o.probed.Store(&probe{time.Now().Add(-time.Minute), nil})
	says("not since")

	for _, tt := range []struct {
		h     Health
		every time.Duration
		want  time.Duration
		peers int
	}{
		{Health{}, time.Second, 30 * time.Second, 1},
		{Health{}, 12 * time.Second, 2 * time.Minute, 1},
		{Health{MaxHeadAge: Duration(time.Hour), Alone: true}, time.Second, time.Hour, 0},
		{Health{MinPeers: 7}, 0, 30 * time.Second, 7},
	} {
		if age, peers := tt.h.headAge(tt.every), tt.h.peers(); age != tt.want || peers != tt.peers {
			t.Errorf("%+v: %v and %d peers, want %v and %d", tt.h, age, peers, tt.want, tt.peers)
		}
	}
}

func TestLevelsOfTheLogChangeOverTheRPC(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	lines := make(chan string, 4096)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(read); s.Scan(); {
			select {
			case lines <- s.Text():
			default:
			}
		}
	}()
	cfg := newConfig(t)
	cfg.LogLevel = "error"
	observed(t, cfg, write)
	c, err := rpc.Dial(t.Context(), SocketPath(cfg.Datadir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var levels map[string]string
	if err := c.Call(ctx, "starling_logLevel", &levels, "swarm", "debug"); err != nil || levels["swarm"] != "debug" || levels[""] != "error" {
		t.Fatalf("starling_logLevel gave %v, %v", levels, err)
	}
	if err := c.Call(ctx, "starling_connect", nil, "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"); err == nil {
		t.Error("nobody was reached")
	}
	for {
		select {
		case line := <-lines:
			if strings.Contains(line, `"level":"DEBUG"`) && strings.Contains(line, `"part":"swarm"`) {
				return
			}
		case <-ctx.Done():
			t.Fatal("the part swarm did not write at its new level")
		}
	}
}

func TestLevelsThatAreNoneAreRefused(t *testing.T) {
	c := running(t, newConfig(t))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var failed *rpc.Error
	if err := c.Call(ctx, "starling_logLevel", nil, "nobody", "debug"); !errors.As(err, &failed) || failed.Code != rpc.CodeBadParams || !strings.Contains(err.Error(), "swarm") {
		t.Errorf("a part that is none: %v, want the parts that there are", err)
	}
	if err := c.Call(ctx, "starling_logLevel", nil, "", "loud"); !errors.As(err, &failed) || !strings.Contains(err.Error(), "debug, info") {
		t.Errorf("a level that is none: %v, want the levels", err)
	}
	var levels map[string]string
	if err := c.Call(ctx, "starling_logLevels", &levels); err != nil || levels["libp2p"] != "off" {
		t.Errorf("levels = %v, %v", levels, err)
	}
}

func TestTheTablesOfMetricsAndHealthAreCheckedReadAndWritten(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		want string // in the error; empty: it is fine
	}{
		{"left out", Config{}, ""},
		{"metrics for everybody", Config{Metrics: Metrics{Listen: "0.0.0.0:9000", Hosts: []string{"node"}}}, ""},
		{"profiles for everybody", Config{Metrics: Metrics{Admin: "0.0.0.0:6060"}}, "metrics.admin is \"0.0.0.0:6060\""},
		{"no port", Config{Metrics: Metrics{Listen: "127.0.0.1"}}, "metrics.listen is \"127.0.0.1\""},
		{"a name", Config{Metrics: Metrics{Admin: "example.org:1"}}, "metrics.admin"},
		{"the same for both", Config{Metrics: Metrics{Listen: "127.0.0.1:9", Admin: "127.0.0.1:9"}}, "different ports"},
		{"a host with a port", Config{Metrics: Metrics{Hosts: []string{"a:1"}}}, "metrics.hosts"},
		{"fewer than no peers", Config{Health: Health{MinPeers: -1}}, "health.min_peers is -1"},
		{"alone and not", Config{Health: Health{MinPeers: 2, Alone: true}}, "health.alone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p problems
			tt.cfg.Metrics.check(&p)
			tt.cfg.Health.check(&p)
			if err := errors.Join(p.errs...); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the check gave %v, want %q", err, tt.want)
			}
		})
	}
	cfg := newConfig(t)
	cfg.Metrics = Metrics{Listen: "127.0.0.1:0", Hosts: []string{"node"}, Admin: "127.0.0.1:6060"}
	cfg.Health = Health{MinPeers: 4, MaxHeadAge: Duration(time.Minute)}
	cfg.LogLevels = map[string]string{"swarm": "debug", "libp2p": "warn"}
	raw, err := cfg.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseConfig(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if fmt.Sprint(again.Metrics, again.Health, again.LogLevels) != fmt.Sprint(cfg.Metrics, cfg.Health, cfg.LogLevels) {
		t.Errorf("came back as %+v %+v %v\n%s", again.Metrics, again.Health, again.LogLevels, raw)
	}
	for _, want := range []string{"# levels of parts", "# where profiles are served"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no comment %q in\n%s", want, raw)
		}
	}
	for _, bad := range []string{"\n[log_levels]\nnobody = \"info\"\n", "\n[log_levels]\nswarm = \"loud\"\n", "\n[health]\nmin_peers = 0\n"} {
		if _, err := ParseConfig(append([]byte("config_version = 1\n[[network]]\nname = \"x\"\n"), bad...)); err == nil || !strings.Contains(err.Error(), strings.Fields(bad)[1]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A port that is taken is told with its key, and nothing is left half-started.
func TestAPortOfMetricsThatIsTakenIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for key, set := range map[string]func(*Metrics, string){
		"metrics.listen": func(m *Metrics, a string) { m.Listen = a },
		"metrics.admin":  func(m *Metrics, a string) { m.Admin = a },
	} {
		cfg := newConfig(t)
		set(&cfg.Metrics, taken.Addr().String())
		var start *StartError
		if err := Run(t.Context(), cfg, Output{}); !errors.As(err, &start) || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "another port") {
			t.Errorf("Run = %v, want that the port of %s is taken", err, key)
		}
		runShortly(t, newConfig(t))
	}
}
