package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/internal/metrics"
)

// engineConfig has an execution client follow that is not there.
func engineConfig(t *testing.T, secret string, mode os.FileMode) Config {
	t.Helper()
	cfg, err := ParseConfig([]byte(strings.Replace(opConfig, "chain_id", "engine = \"http://127.0.0.1:1\"\nengine_jwt = \"jwt.hex\"\nchain_id", 1)))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datadir = t.TempDir()
	path := filepath.Join(cfg.Datadir, "keys", "jwt.hex")
	cfg.Networks[0].OPStack.EngineJWT = path
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(secret), mode); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A secret that is none, or that others can read, is found before anything
// starts. Threat A-04.
func TestABadEngineSecretIsAStartError(t *testing.T) {
	for _, tt := range []struct {
		secret string
		mode   os.FileMode
		want   string
	}{
		{strings.Repeat("ab", 31), 0o600, "64 hex digits"},
		{strings.Repeat("ab", 32), 0o644, "chmod 600"},
	} {
		n, err := Open(engineConfig(t, tt.secret, tt.mode), slog.New(slog.DiscardHandler))
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "network.opstack.engine_jwt") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "abab") {
			t.Errorf("mode %04o: %v, want %q in it", tt.mode, err, tt.want)
		}
	}
}

// The service ends with the node, whatever the client does, and its state is
// what "why" and the metrics show.
func TestAnEngineIsFedAndExplained(t *testing.T) {
	n, err := Open(engineConfig(t, "0x"+strings.Repeat("ab", 32), 0o600), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if e := n.stack.engine.counters(); e == nil || e.Head != 0 {
		t.Errorf("counters %+v", e)
	}
	if f := n.stack.engine.findings(); len(f) != 0 {
		t.Errorf("before it was asked anything: %+v", f)
	}
	var none *engineFeed
	if none.findings() != nil || none.counters() != (*metrics.Engine)(nil) {
		t.Error("a node without a client says something of one")
	}
	ctx, cancel := context.WithCancel(t.Context())
	n.onReady = func() error { cancel(); return nil }
	if err := n.node.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
}
