package devp2p

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
	wiredevp2p "github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

const (
	chainID = 90117
	// genesisTime is that of a geth's chain, from when on its forks may be.
	genesisTime = 1_700_000_000
	faucet      = "00000000000000000000000000000000000000000000000000000000000a11ce"
)

var lastIP atomic.Uint32

// ip is a loopback address of its own for each node.
func ip() string { return fmt.Sprintf("127.0.17.%d", lastIP.Add(1)+1) }

// size is the chain that is downloaded: blocks and transfers in each.
func size() (blocks uint64, txs int) {
	if testing.Short() {
		return 200, 20
	}
	return 2000, 20
}

var lastKey atomic.Uint32

// startGeth runs a geth that has the first blocks of the chain and offers one
// version of eth.
func startGeth(t *testing.T, version uint, blocks uint64) *gethNode {
	t.Helper()
	return startGethAt(t, version, blocks, ip(), nil)
}

func startGethAt(t *testing.T, version uint, blocks uint64, at string, more map[string]any) *gethNode {
	t.Helper()
	_, txs := size()
	params := map[string]any{
		"chain_id": chainID, "txs": txs, "faucet": faucet, "blocks": blocks, "versions": []uint{version},
		"key": fmt.Sprintf("%064x", 0xbeef00+lastKey.Add(1)), "listen": at + ":0",
	}
	maps.Copy(params, more)
	g := runGeth(t, newest, params)
	g.Enode = strings.Replace(g.Enode, "@127.0.0.1:", "@"+at+":", 1) // geth guesses its address
	return g
}

// node is a Starling on the chain.
type node struct {
	*starling.Node
	ledger  *ledger.Ledger
	wire    *wiredevp2p.Wire
	genesis []byte
}

func startStarling(t *testing.T, genesis []byte, change ...func(*wiredevp2p.Config)) *node {
	t.Helper()
	return startStarlingAs(t, genesis, func(*starling.Config, *ethereum.Family, *ledger.Ledger) {}, change...)
}

func startStarlingAs(t *testing.T, genesis []byte, as func(*starling.Config, *ethereum.Family, *ledger.Ledger), change ...func(*wiredevp2p.Config)) *node {
	t.Helper()
	g, err := ethereum.ParseGenesis(genesis)
	if err != nil {
		t.Fatal(err)
	}
	block, err := g.Block()
	if err != nil {
		t.Fatal(err)
	}
	family, err := ethereum.New(ethereum.Config{Network: "interop", Chain: g.Config, Genesis: block})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.TempDir(), ledger.Options{Family: family})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	family.Attach(l)
	blocks, times := ethereum.Forks(g.Config)
	wcfg := wiredevp2p.Config{
		NetworkID: chainID, Network: "interop", Status: l.Status, Listen: ip() + ":0", WithReceipts: true, Agent: "Starling/interop", TargetOnly: family.NeedsTarget(),
		Forks: eth.NewForks(block.Ref().Hash, uint64(block.Header.Time.Unix()), blocks, times),
	}
	for _, c := range change {
		c(&wcfg)
	}
	w, err := wiredevp2p.New(wcfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg := starling.DevConfig()
	as(&cfg, family, l)
	n, err := starling.New(cfg, l, w)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-n.Ready():
	case err := <-done:
		t.Fatalf("Run = %v", err)
	}
	return &node{n, l, w, genesis}
}

// head waits until the ledger has a block as its head.
func (n *node) head(t *testing.T, want chain.Ref) {
	t.Helper()
	late := time.NewTimer(10 * time.Minute)
	defer late.Stop()
	events := n.Client().Subscribe(t.Context(), 4096)
	for n.ledger.Status().Head != want {
		select {
		case <-events.C():
		case <-late.C:
			t.Fatalf("our head is %v, want %v", n.ledger.Status().Head, want)
		}
	}
}

// block asks geth for a block of the chain.
func (g *gethNode) block(t *testing.T, number uint64) (ref chain.Ref, body string) {
	t.Helper()
	var b struct{ Hash, RLP string }
	g.Do(map[string]any{"do": "block", "number": number}, &b)
	h, err := chain.ParseHash(b.Hash)
	if err != nil {
		t.Fatal(err)
	}
	return chain.Ref{Number: number, Hash: h}, b.RLP
}

// TestGethAndWeDownloadFromEachOther: handshake both ways, we download geth's
// chain with bodies and receipts, every root checked, and another geth full-syncs
// the same chain from us; under eth/69 and under eth/70.
func TestGethAndWeDownloadFromEachOther(t *testing.T) {
	blocks, txs := size()
	for _, version := range []uint{69, 70} {
		t.Run(fmt.Sprintf("eth %d", version), func(t *testing.T) {
			full := startGeth(t, version, blocks)
			n := startStarling(t, full.Genesis)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := n.Client().Connect(ctx, full.Enode); err != nil {
				t.Fatal(err)
			}
			peers := n.Client().Peers()
			if len(peers) != 1 || !strings.HasPrefix(peers[0].Info.Agent, "Geth/v1.17.10") {
				t.Fatalf("peers = %+v", peers)
			}
			target, _ := full.block(t, blocks)
			if head := n.ledger.Status().Head; head.Number != 0 {
				t.Errorf("our head is %v before there is a target: a peer's word was enough", head)
			}
			start := time.Now()
			if err := n.Client().SetTarget(ctx, target); err != nil {
				t.Fatal(err)
			}
			n.head(t, target)
			took := time.Since(start)
			t.Logf("%d blocks with %d transfers downloaded in %v, %.0f blocks/s", blocks, blocks*uint64(txs), took, float64(blocks)/took.Seconds())
			b, err := n.ledger.Block(ctx, target)
			if err != nil || len(b.Extra) == 0 {
				t.Errorf("the head has no receipts: %v", err)
			}

			// geth dials us, and syncs from us alone.
			empty := startGeth(t, version, 0)
			empty.Do(map[string]any{"do": "connect", "addr": n.wire.Addrs()[0].Text}, nil)
			empty.Until("a peer", func(e event) bool { return e.Event == "peer" && e.What == "add" })
			empty.Do(map[string]any{"do": "target", "number": blocks}, nil)
			empty.Until("the same head", func(e event) bool { return e.Event == "head" && e.Hash == target.Hash.String() })
			for _, g := range []*gethNode{full, empty} {
				if d := g.drops(); len(d) > 0 {
					t.Errorf("geth dropped us: %+v", d)
				}
			}
			receiptsFromUs(t, n, target)
			peers = n.Client().Peers()
			for _, p := range peers {
				if p.Score < 0 {
					t.Errorf("geth has the score %v", p.Score)
				}
			}
		})
	}
}

// receiptsFromUs lets another of our nodes, which shares nothing with n, download
// the chain with its receipts from n alone: the bytes that geth served once.
func receiptsFromUs(t *testing.T, n *node, target chain.Ref) {
	t.Helper()
	next := startStarling(t, n.genesis)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := next.Client().Connect(ctx, n.wire.Addrs()[0].Text); err != nil {
		t.Fatal(err)
	}
	if err := next.Client().SetTarget(ctx, target); err != nil {
		t.Fatal(err)
	}
	next.head(t, target)
	for number := target.Number; number > 0; number -= min(number, 50) {
		want, err := n.ledger.Block(ctx, chain.Ref{Number: number})
		if err != nil {
			t.Fatal(err)
		}
		got, err := next.ledger.Block(ctx, chain.Ref{Number: number})
		if err != nil || len(got.Extra) == 0 || string(got.Extra) != string(want.Extra) {
			t.Errorf("block %d came from us with %d bytes of receipts, %v; want %d", number, len(got.Extra), err, len(want.Extra))
		}
	}
}

// Test traffic stays on this machine.
func TestNodesListenOnLoopbackOnly(t *testing.T) {
	g := startGeth(t, 69, 0)
	n := startStarling(t, g.Genesis)
	for _, a := range n.wire.Addrs() {
		if ep, _, ok := n.wire.Locate(a); !ok || !ep.Addr().IsLoopback() || ep == (netip.AddrPort{}) {
			t.Errorf("we listen on %v", a)
		}
	}
}
