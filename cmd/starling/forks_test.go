package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
)

// A fork schedule that changed under blocks that are there rewinds the chain
// to the last block that both schedules agree on, and says which rule it was.
func TestAChangedForkScheduleRewindsWithAWarning(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	net := newNet(t, 1, nil)
	node := net.Node(0)
	if err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := node.Await(ctx, "block 6", func(s daemon.StatusReply) bool { return s.Head.Number >= 6 }); err != nil {
		t.Fatal(err)
	}
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	cfg, err := daemon.LoadConfig(node.ConfigPath())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datadir = ""
	cfg.Networks[0].Sequenced.Forks = map[string]uint64{"harbour": 4}
	cfg.Networks[0].Sequenced.ProduceKey = "" // so that the head stays where it is put
	raw, err := cfg.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(node.ConfigPath(), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if got := node.Reopened(); got != 3 {
		t.Errorf("reopened at %d, want 3, the last block before the fork", got)
	}
	if err := node.Call(ctx, "starling_checkInvariants", nil); err != nil {
		t.Error(err)
	}
	if text := node.Stderr(); !strings.Contains(text, "harbour") || !strings.Contains(text, "WARN") {
		t.Errorf("no warning names the rule: %s", text)
	}
}
