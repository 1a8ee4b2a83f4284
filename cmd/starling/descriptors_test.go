package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/devnet"
	"github.com/starlingp2p/starling/internal/pause"
)

// TestNodeServesWithFewDescriptors runs nodes that may have 64 files open and
// has strangers hold far more connections to one of them. It goes on to follow
// its chain, answers its operator when they are gone, and lost nothing.
// Threat row C-02.
func TestNodeServesWithFewDescriptors(t *testing.T) {
	script := filepath.Join(t.TempDir(), "limited")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n 64 || exit 1\nexec '%s' \"$@\"\n", os.Args[0])
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	network, err := devnet.New(devnet.Options{
		Nodes: 3, Dir: t.TempDir(), BlockInterval: 200 * time.Millisecond,
		Binary: script, Env: []string{asProgram + "=1"},
	})
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
	for i := range network.Len() {
		if err := network.Node(i).Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	victim := network.Node(1)
	if err := victim.Await(ctx, "three blocks", func(s daemon.StatusReply) bool { return s.Head.Number >= 3 }); err != nil {
		t.Fatal(err)
	}
	target := tcpOf(victim.Addrs())
	if target == "" {
		t.Fatalf("no TCP address among %v", victim.Addrs())
	}

	flood, end := context.WithCancel(ctx)
	defer end()
	var strangers sync.WaitGroup
	defer strangers.Wait()
	for range 100 { // each comes back as soon as it is let go
		strangers.Go(func() {
			for flood.Err() == nil {
				c, err := (&net.Dialer{Timeout: time.Second}).DialContext(flood, "tcp", target)
				if err != nil {
					pause.For(flood, 50*time.Millisecond)
					continue
				}
				stop := context.AfterFunc(flood, func() { c.Close() })
				c.Read(make([]byte, 1<<10))
				c.Read(make([]byte, 1<<10))
				stop()
				c.Close()
			}
		})
	}
	from := victim.Acked()
	for victim.Acked() < from+15 {
		select {
		case <-ctx.Done():
			t.Fatalf("the head stands at %d, %d before the flood: %v\n%s", victim.Acked(), from, context.Cause(ctx), victim.Stderr())
		case <-victim.Gone():
			t.Fatalf("the node has ended:\n%s", victim.Stderr())
		case <-time.After(50 * time.Millisecond):
		}
	}
	// Await asks until it is answered.
	if err := victim.Await(ctx, "an answer in the flood", func(s daemon.StatusReply) bool { return s.Head.Number >= from+15 }); err != nil {
		t.Error(err)
	}
	end()
	strangers.Wait()
	if err := victim.Await(ctx, "the head", func(s daemon.StatusReply) bool { return s.Head.Number >= from+15 }); err != nil {
		t.Fatal(err)
	}
	if err := victim.Call(ctx, "starling_checkInvariants", nil); err != nil {
		t.Error(err)
	}
	if err := equalHeads(ctx, network); err != nil {
		t.Error(err)
	}
}

// tcpOf is the host and port of the first TCP address.
func tcpOf(addrs []string) string {
	for _, a := range addrs {
		if p := strings.Split(a, "/"); len(p) > 4 && p[1] == "ip4" && p[3] == "tcp" {
			return net.JoinHostPort(p[2], p[4])
		}
	}
	return ""
}
