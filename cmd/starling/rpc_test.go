package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/internal/daemon"
)

// initDatadir makes a datadir as an operator does.
func initDatadir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "n")
	if _, stderr, code := starling(t, "init", "--datadir", dir); code != exitOK {
		t.Fatalf("init: exit code %d, %s", code, stderr)
	}
	return dir
}

// What a new node listens on for calls is loopback, and written down; an
// address that others can reach is refused without a token. Threat row A-01.
func TestTheRPCIsForThisMachineUnlessAsked(t *testing.T) {
	dir := initDatadir(t)
	cfg, err := daemon.LoadConfig(configOf(dir))
	if err != nil {
		t.Fatal(err)
	}
	if host, port, err := net.SplitHostPort(cfg.RPC.Listen); err != nil || host != "127.0.0.1" || port == "" {
		t.Errorf("a new config has rpc.listen = %q", cfg.RPC.Listen)
	}
	rewrite(t, configOf(dir), func(s string) string {
		return strings.Replace(s, cfg.RPC.Listen, "0.0.0.0:0", 1)
	})
	refused(t, configOf(dir), "rpc.listen", "0.0.0.0:0", "rpc.token_file", "127.0.0.1")
	if _, err := os.Lstat(filepath.Join(dir, "keys", "rpc.token")); !os.IsNotExist(err) {
		t.Errorf("a token was made for a node that did not start: %v", err)
	}
}

// A node says where its RPC is, makes the token for its user alone, and keeps it.
func TestANodeSaysWhereItsRPCIs(t *testing.T) {
	dir := initDatadir(t)
	var before string
	for range 2 {
		p := launch(t, nil, "run", "--config", configOf(dir), "--json")
		var ready daemon.Event
		if err := json.Unmarshal([]byte(p.expect(`"event":"ready"`)), &ready); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(ready.RPC, "http://127.0.0.1:") {
			t.Errorf("it is ready with rpc %q", ready.RPC)
		}
		path := filepath.Join(dir, "keys", "rpc.token")
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the token's file: %v, %v, want mode 0600", info, err)
		}
		raw, err := os.ReadFile(path)
		if err != nil || before != "" && string(raw) != before {
			t.Errorf("the token has changed, or: %v", err)
		}
		before = string(raw)
		p.stop()
	}
}
