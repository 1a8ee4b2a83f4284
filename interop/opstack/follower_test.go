package opstack

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	fam "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// follower is a whole node: ledger, wire, sync.
type follower struct {
	ledger *ledger.Ledger
	client *starling.Client
	stop   func()
}

func (n *network) follower(t *testing.T, dir string, servers []*opNode, change ...func(*starling.Config)) *follower {
	t.Helper()
	f, err := fam.New(n.config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(dir, ledger.Options{Family: f})
	if err != nil {
		t.Fatal(err)
	}
	w, err := opstack.New(opstack.Config{
		Rules: f.Rules(), Status: l.Status, Listen: []string{"/ip4/" + ip() + "/tcp/0"}, AllowPrivate: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := starling.Config{BackwardOnly: true, BlockInterval: blockTime * time.Second, AllowPrivate: true}
	for _, s := range servers {
		cfg.Static = append(cfg.Static, s.Addrs[0])
	}
	for _, c := range change {
		c(&cfg)
	}
	node, err := starling.New(cfg, l, w)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	ended := false
	out := &follower{ledger: l, client: node.Client()}
	out.stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(out.stop)
	return out
}

// TestFollowerFillsItsGapFromOpNodes lets a node that has nothing but the
// anchor reach the head of a chain that only op-nodes serve: 200 blocks, and
// 1,000 where STARLING_FULL is set. It learns of the head by gossip.
func TestFollowerFillsItsGapFromOpNodes(t *testing.T) {
	gap := 200
	if os.Getenv("STARLING_FULL") != "" {
		gap = 1000
	}
	n := newNetwork(t, codec.V4, gap+2, 2, 300)
	head := n.blocks[gap+1]
	var servers []*opNode
	for range 4 {
		servers = append(servers, runOpNode(t, newest, n.start(map[string]any{"head": gap + 1})))
	}
	f := n.follower(t, t.TempDir(), servers)
	ctx, cancel := context.WithTimeout(t.Context(), patience+time.Duration(gap/8)*time.Second)
	defer cancel()
	if err := f.client.WaitForPeers(ctx, len(servers)); err != nil {
		t.Fatal(err)
	}
	start := n.follow(ctx, t, f, servers[0], head)
	took, allowed := time.Since(start), time.Duration(float64(gap-60)/16*float64(time.Second))
	t.Logf("%d blocks in %v, %.0f %% of what the servers' limits allow (%v)", gap, took.Round(time.Millisecond), 100*took.Seconds()/allowed.Seconds(), allowed)
	for _, want := range n.blocks[1:] {
		got, err := f.ledger.Block(t.Context(), chain.Ref{Number: want.Ref().Number})
		if err != nil || got.Ref() != want.Ref() || !bytes.Equal(got.Body, want.Body) {
			t.Fatalf("block %v: %v, %v", want.Ref(), got.Ref(), err)
		}
	}
}

// follow has a server gossip the head, waits until the follower has it, and
// tells when it began.
func (n *network) follow(ctx context.Context, t *testing.T, f *follower, from *opNode, head chain.Block) time.Time {
	t.Helper()
	for { // until it can reach us
		var topics []int
		from.Do(map[string]any{"do": "topics"}, &topics)
		if topics[n.version-1] > 0 {
			break
		}
		pause(t, 100*time.Millisecond)
	}
	pause(t, 1200*time.Millisecond)
	start := time.Now()
	from.Do(map[string]any{"do": "publish", "number": head.Ref().Number}, nil)
	for f.ledger.Status().Head != head.Ref() {
		if ctx.Err() != nil {
			t.Fatalf("the head is %v, want %v", f.ledger.Status().Head, head.Ref())
		}
		pause(t, 20*time.Millisecond)
	}
	return start
}

// Threats L-01 and Z-03: with one op-node that serves a wrong block, one that
// never answers and one that lacks the upper half, the follower arrives; the
// liar pays if it is asked for that block, and nobody pays for being slow or for what it does not have.
func TestFollowerSurvivesBadServers(t *testing.T) {
	const gap = 100
	n := newNetwork(t, codec.V4, gap+2, 2, 300)
	head := n.blocks[gap+1]
	serve := func(more map[string]any) *opNode { return runOpNode(t, newest, n.start(more)) }
	honest := serve(map[string]any{"head": gap + 1})
	liar := serve(map[string]any{"head": gap + 1, "wrong": gap / 2})
	silent := serve(map[string]any{"head": gap + 1, "stall": true})
	short := serve(map[string]any{"head": gap / 2})
	servers := []*opNode{honest, liar, silent, short}
	f := n.follower(t, t.TempDir(), servers, func(c *starling.Config) { c.Seeds, c.Static = c.Static, nil })
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	if err := f.client.WaitForPeers(ctx, len(servers)); err != nil {
		t.Fatal(err)
	}
	events := f.client.Subscribe(ctx, 1024)
	start := n.follow(ctx, t, f, honest, head)
	t.Logf("%d blocks in %v", gap, time.Since(start).Round(time.Millisecond))
	if b, err := f.ledger.Block(ctx, chain.Ref{Number: gap / 2}); err != nil || b.Ref() != n.blocks[gap/2].Ref() {
		t.Errorf("block %d is %v, %v", gap/2, b.Ref(), err)
	}
	lied := false
	for len(events.C()) > 0 {
		c, ok := (<-events.C()).(starling.PeerCharged)
		if !ok {
			continue
		}
		lied = lied || string(c.ID) == liar.Peer
		if string(c.ID) == honest.Peer || string(c.ID) == short.Peer {
			t.Errorf("an honest op-node was charged with %s: %s", c.Offense, c.Detail)
		}
		t.Logf("%s is charged with %s: %s", c.ID.Short(), c.Offense, c.Detail)
	}
	if !lied { // which of the peers is asked for a block is drawn
		t.Log("the liar was not asked for the block that it lies about")
	}
}
