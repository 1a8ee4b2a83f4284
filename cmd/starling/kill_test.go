package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/devnet"
	"github.com/starlingp2p/starling/internal/pause"
)

// newNet makes a network whose nodes are processes of this test's binary.
func newNet(t *testing.T, nodes int, edit func(int, *daemon.Config)) *devnet.Net {
	t.Helper()
	n, err := devnet.New(devnet.Options{
		Nodes: nodes, Dir: t.TempDir(), BlockInterval: 200 * time.Millisecond,
		Binary: os.Args[0], Env: []string{asProgram + "=1"}, Edit: edit,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestKilledNodesLoseNothingAcknowledged kills a random one of four nodes, the
// sequencer among them, at random moments under load, 20 times (200 in full).
// Each time it reopens, its ledger's invariants hold, its head is at least the
// last one that it acknowledged, and it knows whom it had banned: a ban is on
// disk within 10 s, and scores are kept in the same file. Threat row S-01.
func TestKilledNodesLoseNothingAcknowledged(t *testing.T) {
	rounds := 20
	if full() {
		rounds = 200
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds)*time.Minute)
	defer cancel()
	net := newNet(t, 4, nil)
	for i := range net.Len() {
		if err := net.Node(i).Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	stop := net.Load(ctx, 100, 4<<10)
	defer stop()
	for i := range net.Len() {
		if err := net.Node(i).Call(ctx, "starling_ban", nil, somebody, 3600, "a test"); err != nil {
			t.Fatal(err)
		}
	}
	pause.For(ctx, 10*time.Second)
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	var slowest time.Duration
	killed := make([]int, net.Len())
	for round := range rounds {
		at := random.IntN(net.Len())
		killed[at]++
		victim := net.Node(at)
		from := victim.Acked()
		// Let it make some progress, then kill it at a random moment.
		if err := victim.Await(ctx, "progress", func(s daemon.StatusReply) bool { return s.Head.Number > from }); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		pause.For(ctx, time.Duration(random.Int64N(int64(400*time.Millisecond))))
		victim.Kill()
		acked := victim.Acked()
		began := time.Now()
		if err := victim.Start(ctx); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		took := time.Since(began)
		slowest = max(slowest, took)
		if full() && took > 3*time.Second {
			t.Errorf("round %d: reopened in %v, want at most 3s", round, took)
		}
		if got := victim.Reopened(); got < acked {
			t.Fatalf("round %d: %s reopened at head %d, had acknowledged %d", round, victim.Name(), got, acked)
		}
		if err := victim.Call(ctx, "starling_checkInvariants", nil); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		var bans []daemon.BanReply
		if err := victim.Call(ctx, "starling_bans", &bans); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if len(bans) != 1 || bans[0].Who != somebody || bans[0].Reason != "a test" || bans[0].ByScore {
			t.Fatalf("round %d: %s knows of the bans %+v, want that of %s", round, victim.Name(), bans, somebody)
		}
	}
	stop()
	t.Logf("%d rounds, killed %v, slowest start %v", rounds, killed, slowest.Round(time.Millisecond))
	if err := equalHeads(ctx, net); err != nil {
		t.Fatal(err)
	}
	if got := net.Bans(); got != net.Len() {
		t.Errorf("%d bans were made, want the %d that were asked for", got, net.Len())
	}
	if err := net.Node(1).Call(ctx, "starling_unban", nil, somebody); err != nil {
		t.Error(err)
	}
	var bans []daemon.BanReply
	if err := net.Node(1).Call(ctx, "starling_bans", &bans); err != nil || len(bans) != 0 {
		t.Errorf("bans after the ban was lifted: %+v, %v", bans, err)
	}
}

// equalHeads pauses the sequencer and waits until every node has its head.
func equalHeads(ctx context.Context, net *devnet.Net) error {
	if err := net.Node(0).Call(ctx, "sequencer_pause", nil); err != nil {
		return err
	}
	top, err := net.Node(0).Status(ctx)
	if err != nil {
		return err
	}
	for i := range net.Len() {
		err := net.Node(i).Await(ctx, fmt.Sprintf("head %d", top.Head.Number), func(s daemon.StatusReply) bool { return s.Head == top.Head })
		if err != nil {
			return err
		}
	}
	return nil
}
