package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/devnet"
	"github.com/starlingp2p/starling/internal/doctor"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/internal/troubles"
)

// A node that may have 64 files open works, and says that it is short of them.
func TestTroubleFewOpenFiles(t *testing.T) {
	script := filepath.Join(t.TempDir(), "limited")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n 64 || exit 1\nexec '%s' \"$@\"\n", os.Args[0])
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	network, err := devnet.New(devnet.Options{Nodes: 1, Dir: t.TempDir(), Binary: script, Env: []string{asProgram + "=1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	node := network.Node(0)
	if err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	cfg, err := daemon.LoadConfig(node.ConfigPath())
	if err != nil {
		t.Fatal(err)
	}
	c, err := rpc.Dial(ctx, daemon.SocketPath(node.Dir()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first := daemon.Doctor(ctx, cfg, nil, c).Results[0]
	if first.Check != doctor.CheckFiles || first.Level != doctor.Fail {
		t.Fatalf("first comes %+v", first)
	}
	if err := troubles.Check("../..", troubles.Row{
		Trouble: "too few open files", Verb: "doctor", Code: first.Check, Says: first.Detail, Do: first.Remedy, Test: "cmd/starling.TestTroubleFewOpenFiles",
	}); err != nil {
		t.Error(err)
	}
}
