package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/internal/why"
)

// A node whose disk is full, a real one of 64 MiB, says so first, goes on
// answering, and takes blocks again by itself when there is room. Threat row
// S-03; internal/scenario.TestTroubleDiskIsFull stages the words without a disk.
func TestAFullDiskIsNamedFirst(t *testing.T) {
	mnt := t.TempDir()
	if err := unix.Mount("tmpfs", mnt, "tmpfs", 0, "size=64m"); err != nil {
		t.Logf("unproven here, since no tmpfs can be mounted (%v); internal/scenario.TestTroubleDiskIsFull shows what is said of a chain that fails so", err)
		return
	}
	defer unix.Unmount(mnt, unix.MNT_DETACH)
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(mnt, "two")
	said(t, "init", "--datadir", one, "--name", "harbour", "--block-time", "200ms")
	a := launch(t, nil, "run", "--config", configOf(one), "--json")
	a.expect(`"event":"ready"`)
	var id identity
	document(t, &id, "id", "--datadir", one)
	said(t, "init", "--datadir", two, "--join", configOf(one), "--seed", id.Addrs[0])
	b := launch(t, nil, "run", "--config", configOf(two), "--json")
	b.expect(`"event":"ready"`)
	b.head(3)

	ballast := filepath.Join(mnt, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 64<<20), 0o600); err == nil {
		t.Fatal("the disk is larger than it should be")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, err := rpc.Dial(ctx, daemon.SocketPath(two))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var r why.Report
	for !diskFull(r) {
		if ctx.Err() != nil {
			t.Fatalf("why says %+v\n%s", r.Findings, b.errors())
		}
		pause.For(ctx, 200*time.Millisecond)
		r = why.Report{}
		if err := c.Call(ctx, "starling_why", &r); err != nil {
			t.Fatal(err)
		}
	}
	text, _, code := starling(t, "doctor", "--datadir", two)
	if first, _, _ := strings.Cut(text, "\n"); code != exitFailed || !strings.Contains(first, "disk") {
		t.Errorf("doctor ends with %d and says first %q", code, first)
	}
	if text := said(t, "why", "--datadir", two); !strings.Contains(text, "the disk is full") {
		t.Errorf("why says %s", text)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	var st daemon.StatusReply
	document(t, &st, "status", "--datadir", one)
	b.head(st.Head.Number)
	a.stop()
	b.stop()
}

func diskFull(r why.Report) bool {
	return len(r.Findings) > 0 && r.Findings[0].Code == "not-syncing:disk-full"
}
