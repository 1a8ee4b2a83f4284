package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/pause"
)

// What a peer did wrong outlives kill -9: a stranger who was charged, and comes
// back after the node was killed ten seconds later, has the score that it had,
// but for what fades. Threat row S-01.
func TestScoresSurviveAKill(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	net := newNet(t, 2, nil)
	for i := range net.Len() {
		if err := net.Node(i).Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	victim := net.Node(1)
	st, err := victim.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var addr string
	for _, a := range st.Addrs {
		if strings.Contains(a, "/tcp/") {
			addr = a
		}
	}
	g := newGlutton(t, st, addr)
	defer g.host.Close()
	meet := func() {
		t.Helper()
		if err := g.host.Connect(ctx, g.to); err != nil {
			t.Fatal(err)
		}
		s, err := g.host.NewStream(ctx, g.to.ID, statusProtocol)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.shake(s); err != nil {
			t.Fatal(err)
		}
	}
	// score waits until the stranger's score fits, and gives it.
	score := func(what string, fits func(float64) bool) float64 {
		t.Helper()
		for {
			var peers []daemon.PeerReply
			if err := victim.Call(ctx, "starling_peers", &peers); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for _, p := range peers {
				if p.ID == g.host.ID().String() && fits(p.Score) {
					return p.Score
				}
			}
			pause.For(ctx, 50*time.Millisecond)
		}
	}
	meet()
	score("a session", func(float64) bool { return true })
	for range 8 { // each ends in the middle of a frame: low
		s, err := g.host.NewStream(ctx, g.to.ID, protocol.ID(requestProtocol))
		if err != nil {
			t.Fatal(err)
		}
		s.Write([]byte{100, 0, 1, 2})
		s.CloseWrite()
	}
	before := score("eight charges", func(s float64) bool { return s < -6 })
	pause.For(ctx, 10*time.Second) // the most that a crash may lose
	victim.Kill()
	g.host.Network().ClosePeer(g.to.ID)
	if err := victim.Start(ctx); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	meet()
	after := score("a session after the kill", func(float64) bool { return true })
	t.Logf("score %.2f before, %.2f after", before, after)
	// A half fades in ten minutes; no test takes that long.
	if after > before/2 || after < before-2 {
		t.Errorf("score %.2f %v after the start, was %.2f before the kill", after, time.Since(began), before)
	}
}
