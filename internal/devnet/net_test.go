package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/internal/daemon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit ends a test that hangs; no result depends on it.
const limit = 2 * time.Minute

func newNet(t *testing.T, o Options) (context.Context, *Net) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	// Short names: a socket's path has room for 100 bytes.
	dir, err := os.MkdirTemp("", "dev")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o.Dir, o.InProcess, o.BlockInterval = dir, true, 50*time.Millisecond
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return ctx, n
}

func TestNodesStartStopAndComeBackWhereTheyWere(t *testing.T) {
	var (
		mu   sync.Mutex
		seen = map[int]int{}
	)
	ctx, n := newNet(t, Options{Nodes: 2, OnEvent: func(node int, ev daemon.Event) {
		mu.Lock()
		defer mu.Unlock()
		seen[node]++
	}})
	a, b := n.Node(0), n.Node(1)
	for _, node := range []*Node{a, b} {
		if err := node.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Start(ctx); err == nil || !strings.Contains(err.Error(), "node2 runs already") {
		t.Errorf("a second start gave %v", err)
	}
	follows := func(s daemon.StatusReply) bool { return s.Head.Number >= 5 && s.Peers == 1 }
	if err := b.Await(ctx, "five blocks of a peer", follows); err != nil {
		t.Fatal(err)
	}
	addrs := b.Addrs()
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	if b.Running() {
		t.Error("a node that was stopped counts as running")
	}
	acked := b.Acked()
	if err := b.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if b.Reopened() < acked {
		t.Errorf("came back at block %d, had acknowledged %d", b.Reopened(), acked)
	}
	if got := b.Addrs(); !slices.Equal(got, addrs) {
		t.Errorf("came back at %v, was at %v", got, addrs)
	}
	if err := b.Await(ctx, "following again", follows); err != nil {
		t.Fatal(err)
	}
	if ok, err := sameChain(ctx, a, b, 5); !ok {
		t.Errorf("the chains differ: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if seen[0] == 0 || seen[1] == 0 || n.Bans() != 0 {
		t.Errorf("events by node %v, %d bans; want some and none", seen, n.Bans())
	}
}

func TestBansOfEveryRunAreCounted(t *testing.T) {
	ctx, n := newNet(t, Options{Nodes: 1})
	node := n.Node(0)
	for range 2 {
		if err := node.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if err := node.Call(ctx, "starling_ban", nil, "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp", 60, "a test"); err != nil {
			t.Fatal(err)
		}
		if err := node.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.Bans(); got != 2 {
		t.Errorf("%d bans, want the one of each run", got)
	}
}

func TestLoadIsIncluded(t *testing.T) {
	ctx, n := newNet(t, Options{Nodes: 2})
	for i := range n.Len() {
		if err := n.Node(i).Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	l := newLoad(n, 200, 64)
	run, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.run(run) })
	if err := n.Node(1).Await(ctx, "a transaction", func(s daemon.StatusReply) bool { return l.sent() >= 40 }); err != nil {
		t.Error(err)
	}
	stop()
	wg.Wait()
	if err := l.err(); err != nil {
		t.Error(err)
	}
	if err := l.settled(ctx, n.Node(0)); err != nil {
		t.Error(err)
	}
}

func TestStartTellsWhyANodeDoesNotStart(t *testing.T) {
	ctx, n := newNet(t, Options{Nodes: 1})
	if err := os.Chmod(filepath.Join(n.Node(0).Dir(), "keys", "sequencer.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := n.Node(0).Start(ctx)
	if err == nil || !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "chmod 600") || n.Node(0).Running() {
		t.Errorf("Start gave %v, running %v", err, n.Node(0).Running())
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for _, o := range []Options{{Nodes: -1}, {Nodes: 65}, {Nodes: 2, Dir: filepath.Join(t.TempDir(), strings.Repeat("x", 100))}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// The order of the summary's keys is part of what programs read.
func TestASummaryIsWrittenInOrder(t *testing.T) {
	s := Summary{V: 1, Event: "summary", Nodes: 5, Head: 9, HeadsEqual: true, LateJoinerSynced: true, RestartedRecovered: true, TxsSent: 3, TxsIncluded: 3}
	raw, err := json.Marshal(s)
	const want = `{"v":1,"event":"summary","nodes":5,"head":9,"heads_equal":true,"late_joiner_synced":true,"restarted_recovered":true,"txs_included":3,"honest_bans":0}`
	if err != nil || string(raw) != want {
		t.Errorf("a good summary is %s, want %s: %v", raw, want, err)
	}
	if !s.OK() {
		t.Error("a good summary is not OK")
	}
	for name, spoil := range map[string]func(*Summary){
		"heads":   func(s *Summary) { s.HeadsEqual = false },
		"late":    func(s *Summary) { s.LateJoinerSynced = false },
		"restart": func(s *Summary) { s.RestartedRecovered = false },
		"txs":     func(s *Summary) { s.TxsIncluded = 2 },
		"bans":    func(s *Summary) { s.HonestBans = 1 },
		"trouble": func(s *Summary) { s.Troubles = []string{"x"} },
	} {
		if bad := s; func() bool { spoil(&bad); return bad.OK() }() {
			t.Errorf("a summary with bad %s is OK", name)
		}
	}
}
