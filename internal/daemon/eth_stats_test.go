package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const statsSecretText = "s3cr3t-of-the-page"

// watchers is a page that watches networks.
type watchers struct {
	url  string
	come chan *websocket.Conn
}

func newWatchers(t *testing.T) *watchers {
	t.Helper()
	w := &watchers{come: make(chan *websocket.Conn)}
	ctx, stop := context.WithCancel(context.Background())
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api" {
			t.Errorf("it came to %s", r.URL.Path)
		}
		c, err := websocket.Accept(rw, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		select {
		case w.come <- c:
		case <-ctx.Done():
			c.CloseNow()
		}
	}))
	t.Cleanup(func() { stop(); srv.Close() })
	w.url = strings.TrimPrefix(srv.URL, "http://")
	return w
}

// heard is a message of a node's.
type heard struct {
	Emit []json.RawMessage `json:"emit"`
	text string
}

func (h heard) kind() (kind string) {
	if len(h.Emit) > 0 {
		json.Unmarshal(h.Emit[0], &kind)
	}
	return kind
}

func next(t *testing.T, c *websocket.Conn) (h heard) {
	t.Helper()
	_, raw, err := c.Read(inTime(t))
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(raw, &h.text) != nil && json.Unmarshal(raw, &h) != nil {
		t.Fatalf("it said %s", raw)
	}
	return h
}

func say(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(inTime(t), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (w *watchers) next(t *testing.T) *websocket.Conn {
	t.Helper()
	select {
	case c := <-w.come:
		return c
	case <-inTime(t).Done():
		t.Fatal("nobody came")
		return nil
	}
}

// reporting runs a sealing node that tells the page, and gives its log.
func reporting(t *testing.T, w *watchers) *bytes.Buffer {
	t.Helper()
	cfg := newEthereum(t, withSigner(t), func(c *Config) {
		path := filepath.Join(c.Datadir, "keys", "ethstats.secret")
		if err := os.WriteFile(path, []byte(statsSecretText+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Networks[0].Ethereum.Ethstats, c.Networks[0].Ethereum.EthstatsSecret = "tester@ws://"+w.url, "keys/ethstats.secret"
	})
	var log bytes.Buffer
	n, err := Open(cfg, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range n.stack.services {
		if s, ok := s.(*statsReporter); ok {
			s.retry = 10 * time.Millisecond
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.run(ctx, Output{Out: io.Discard}, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, n.Close()); err != nil {
			t.Error(err)
		}
		if strings.Contains(log.String(), statsSecretText) {
			t.Error("the secret is in the log")
		}
	})
	return &log
}

// The page is told what geth tells it: hello, latency, the head, what is pending
// and the node's state, then each new head; it is asked for the past. A page that
// refuses, or goes, is tried again.
func TestAPageOfEthstatsIsTold(t *testing.T) {
	w := newWatchers(t)
	reporting(t, w)
	c := w.next(t)
	if h := next(t, c); h.kind() != "hello" {
		t.Errorf("the first word is %q", h.kind())
	}
	c.Close(websocket.StatusPolicyViolation, "no")

	c = w.next(t)
	defer c.CloseNow()
	var hello statsHello
	if h := next(t, c); h.kind() != "hello" || json.Unmarshal(h.Emit[1], &hello) != nil {
		t.Fatalf("the first word is %q", h.kind())
	}
	if hello.ID != "tester" || hello.Secret != statsSecretText || hello.Info.Network != "1338" || hello.Info.Port == 0 || !hello.Info.History || !strings.Contains(hello.Info.Protocol, "eth/68") || !strings.HasPrefix(hello.Info.Node, "starling/") {
		t.Errorf("hello is %+v", hello)
	}
	say(t, c, `{"emit":["ready"]}`)
	var seen []string
	for len(seen) < 5 {
		h := next(t, c)
		if seen = append(seen, h.kind()); h.kind() == "node-ping" {
			say(t, c, `{"emit":["node-pong",{"clientTime":"x"}]}`)
		}
	}
	if got := strings.Join(seen, " "); got != "node-ping latency block pending stats" {
		t.Errorf("the first report is %q", got)
	}

	say(t, c, `"primus::ping::1700000000"`)
	say(t, c, `{"emit":["history",{"list":[1,0,9999999]}]}`)
	say(t, c, `{"emit":["a word that nobody knows"]}`)
	pong, history, last := false, []statsBlock(nil), uint64(0)
	for !pong || history == nil || last < 2 {
		switch h := next(t, c); h.kind() {
		case "":
			if pong = h.text == "primus::pong::1700000000"; !pong {
				t.Errorf("the page's ping was answered with %q", h.text)
			}
		case "history":
			var of struct{ History []statsBlock }
			if err := json.Unmarshal(h.Emit[1], &of); err != nil || of.History == nil {
				t.Fatalf("history is %s, %v", h.Emit[1], err)
			}
			history = of.History
		case "block":
			var of struct {
				ID    string
				Block statsBlock
			}
			if err := json.Unmarshal(h.Emit[1], &of); err != nil || of.ID != "tester" || of.Block.Hash == "" || of.Block.Txs == nil || of.Block.Uncles == nil {
				t.Fatalf("a block is %s, %v", h.Emit[1], err)
			}
			if last = of.Block.Number; last > 0 && (!strings.EqualFold(of.Block.Miner, "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a") || of.Block.Difficulty != "2") {
				t.Errorf("block %d is %+v", last, of.Block)
			}
		}
	}
	for _, b := range history {
		if b.Number > 1 {
			t.Errorf("the past has block %d", b.Number)
		}
	}

	// It goes away in the middle of a message, and says what is none.
	c.CloseNow()
	c = w.next(t)
	next(t, c)
	say(t, c, `{"emit":["ready"]}`)
	say(t, c, `[[[`)
	c = w.next(t)
	c.CloseNow()
}

func TestThePageOfEthstatsIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"me@stats.example.org:3000":      "wss://stats.example.org:3000/api ws://stats.example.org:3000/api",
		"me@ws://127.0.0.1:1":            "ws://127.0.0.1:1/api",
		"a b@wss://stats.example.org/x/": "wss://stats.example.org/x/api",
	} {
		p, err := parseStats(text)
		if err != nil || strings.Join(p.urls, " ") != want {
			t.Errorf("%q is %v, %v", text, p.urls, err)
		}
	}
	for text, want := range map[string]string{
		"": "NAME@HOST:PORT", "me": "NAME@HOST:PORT", "@h": "NAME@HOST:PORT", "me@": "NAME@HOST:PORT", "me@http://h": "want ws or wss",
		"me:" + statsSecretText + "@h:1": "ethstats_secret",
	} {
		if _, err := parseStats(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), statsSecretText) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A secret goes unencrypted only where the config says so, or to this machine.
func TestTheSecretOfEthstatsIsNotSentInClear(t *testing.T) {
	for text, want := range map[string]string{
		"me@stats.example.org:3000":      "wss://stats.example.org:3000/api",
		"me@stats.example.org":           "wss://stats.example.org/api",
		"me@localhost:3000":              "wss://localhost:3000/api ws://localhost:3000/api",
		"me@127.0.0.1":                   "wss://127.0.0.1/api ws://127.0.0.1/api",
		"me@127.0.0.1.example.org:1":     "wss://127.0.0.1.example.org:1/api",
		"me@ws://stats.example.org:3000": "ws://stats.example.org:3000/api",
	} {
		p, err := parseStats(text)
		if err != nil {
			t.Fatal(err)
		}
		if p.keep(statsSecretText); strings.Join(p.urls, " ") != want || p.secret != statsSecretText {
			t.Errorf("%q is told at %v, want %v", text, p.urls, want)
		}
	}
}
