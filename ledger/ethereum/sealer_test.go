package ethereum

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// signerNode is a ledger with a sealer of its own.
type signerNode struct {
	family *Family
	ledger *ledger.Ledger
	who    common.Address
	heads  chan struct{}
	fails  atomic.Int64 // imports of own blocks that fail
	tried  map[chain.Hash]bool

	stop func()
}

// guild is signers of one network, whose links take some time.
type guild struct {
	t     *testing.T
	delay time.Duration
	nodes []*signerNode
	wg    sync.WaitGroup
}

func newGuild(t *testing.T, n int, epoch uint64, delay time.Duration) *guild {
	time.Sleep(time.Until(authority(t, n, epoch, "test").c.Genesis.Header.Time)) // a bubble's clock begins in 2000
	g := &guild{t: t, delay: delay}
	for i, who := range sortedSigners(t, n) {
		f := authority(t, n, epoch, "test")
		l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		f.Attach(l)
		g.nodes = append(g.nodes, &signerNode{family: f, ledger: l, who: who, heads: make(chan struct{}, 1), tried: map[chain.Hash]bool{}})
		g.run(i)
	}
	return g
}

// run starts a node's sealer.
func (g *guild) run(i int) {
	n := g.nodes[i]
	s, err := NewSealer(SealerConfig{
		Family: n.family, Chain: n.ledger, Key: SealKey{keyOf(g.t, n.who, len(g.nodes)+3)}, Heads: n.heads,
		Rand: rand.New(rand.NewPCG(uint64(i), 1)),
		Submit: func(ctx context.Context, b chain.Block) error {
			n.tried[b.Ref().Hash] = true
			if n.fails.Add(-1) >= 0 {
				return chain.ErrFull
			}
			if _, err := n.ledger.Import(ctx, []chain.Block{b}); err != nil {
				return err
			}
			g.publish(n, b)
			return nil
		},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
			g.t.Errorf("Run = %v", err)
		}
	}()
	n.stop = func() { cancel(); <-done }
}

// publish brings a block to the others, who check it as if it came from a peer.
func (g *guild) publish(from *signerNode, b chain.Block) {
	g.wg.Go(func() {
		time.Sleep(g.delay)
		for _, n := range g.nodes {
			if n == from {
				continue
			}
			if v := n.family.Check(b); v.Action != chain.Accept {
				g.t.Errorf("block %v is not to be gossiped: %v", b.Ref(), v)
			}
			parent, err := n.ledger.Header(context.Background(), chain.Ref{Hash: b.Header.Parent})
			if err == nil {
				_, err = n.ledger.VerifyHeaders(parent, []chain.Header{b.Header})
			}
			if err == nil {
				err = n.ledger.VerifyBody(b.Header, b.Body, nil)
			}
			if err == nil {
				_, err = n.ledger.Import(context.Background(), []chain.Block{b})
			}
			if err != nil {
				g.t.Errorf("block %v: %v", b.Ref(), err)
			}
			select {
			case n.heads <- struct{}{}:
			default:
			}
		}
	})
}

func (g *guild) end() {
	for _, n := range g.nodes {
		n.stop()
	}
	g.wg.Wait()
	for _, n := range g.nodes {
		if err := n.ledger.Close(); err != nil {
			g.t.Error(err)
		}
	}
}

// signedBy counts the canonical blocks above a number by signer, and those that were
// sealed out of turn.
func (n *signerNode) signedBy(t *testing.T, above uint64) (by map[common.Address]int, late int) {
	t.Helper()
	by = map[common.Address]int{}
	for number := above + 1; number <= n.ledger.Status().Head.Number; number++ {
		b, err := n.ledger.Block(t.Context(), chain.Ref{Number: number})
		if err != nil {
			t.Fatal(err)
		}
		_, h, err := decodeHeader(b.Header.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		who, err := n.family.clique.signer(b.Ref(), h)
		if err != nil {
			t.Fatal(err)
		}
		by[who]++
		if h.Difficulty.Cmp(otherDifficulty) == 0 {
			late++
		}
	}
	return by, late
}

// Two signers take turns at the network's pace, over a checkpoint too. When one
// stops, so does the chain, and it goes on when that one is back.
func TestTwoSealersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuild(t, 2, 16, 20*time.Millisecond)
		defer g.end()
		time.Sleep(40 * time.Second)
		by, late := g.nodes[0].signedBy(t, 0)
		if n := by[g.nodes[0].who] + by[g.nodes[1].who]; n < 38 || n > 41 || by[g.nodes[0].who] < 18 || by[g.nodes[1].who] < 18 || late > 1 {
			t.Errorf("in 40 s the signers made %v blocks, %d out of turn", by, late)
		}
		g.nodes[1].stop()
		time.Sleep(3 * time.Second)
		stood := g.nodes[0].ledger.Status().Head
		time.Sleep(30 * time.Second)
		if head := g.nodes[0].ledger.Status().Head; head != stood {
			t.Errorf("one of two signers went on alone, from %v to %v", stood, head)
		}
		g.run(1)
		time.Sleep(20500 * time.Millisecond)
		head := g.nodes[0].ledger.Status().Head
		if by, _ := g.nodes[1].signedBy(t, stood.Number); by[g.nodes[0].who] < 9 || by[g.nodes[1].who] < 9 {
			t.Errorf("20 s after the restart %v blocks were made above %v", by, stood)
		}
		if other := g.nodes[1].ledger.Status().Head; other != head {
			t.Errorf("the heads are %v and %v", head, other)
		}
	})
}

// Without one of three, the others seal in its turn a little late.
func TestSealersSealOutOfTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuild(t, 3, 30000, 20*time.Millisecond)
		defer g.end()
		time.Sleep(30 * time.Second)
		g.nodes[2].stop()
		time.Sleep(2 * time.Second)
		from := g.nodes[0].ledger.Status().Head.Number
		time.Sleep(60 * time.Second)
		by, late := g.nodes[1].signedBy(t, from)
		made := by[g.nodes[0].who] + by[g.nodes[1].who]
		if made < 35 || made > 61 || by[g.nodes[2].who] != 0 || late < made/4 {
			t.Errorf("in 60 s two of three signers made %v blocks, %d out of turn", by, late)
		}
		if a, b := g.nodes[0].ledger.Status().Head, g.nodes[1].ledger.Status().Head; a != b {
			t.Errorf("the heads are %v and %v", a, b)
		}
	})
}

// A block that the disk had no room for is tried again as it is.
func TestASealersHeightIsSignedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuild(t, 1, 30000, 0)
		defer g.end()
		g.nodes[0].fails.Store(3)
		time.Sleep(10500 * time.Millisecond)
		if head := g.nodes[0].ledger.Status().Head.Number; len(g.nodes[0].tried) != int(head) || head < 6 {
			t.Errorf("%d blocks were signed for %d heights", len(g.nodes[0].tried), head)
		}
	})
}

// Nothing is sealed while the chain is being fetched, or by who is no signer.
func TestWhoMayNotSealDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := authority(t, 2, 30000, "test")
		time.Sleep(time.Until(f.c.Genesis.Header.Time))
		l, err := ledger.Open("chain", ledger.Options{Family: f, FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f.Attach(l)
		planned := false
		for name, c := range map[string]SealerConfig{
			"a stranger": {Key: SealKey{key(t, 5)}},
			"who finds out before its time comes": {Key: SealKey{keyOf(t, sortedSigners(t, 2)[0], 2)}, Behind: func() bool {
				was := planned
				planned = true
				return was
			}},
			"while it syncs": {Key: SealKey{keyOf(t, sortedSigners(t, 2)[0], 2)}, Behind: func() bool { return true }},
		} {
			c.Family, c.Chain = f, l
			c.Submit = func(context.Context, chain.Block) error {
				t.Errorf("%s sealed a block", name)
				return nil
			}
			s, err := NewSealer(c)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: Run = %v", name, err)
			}
			cancel()
		}
	})
}

func TestSealersThatCannotWorkAreRefused(t *testing.T) {
	clique, work := authority(t, 1, 30000, "test"), generate(t, configs()["frontier"], 1)
	still := authority(t, 1, 30000, "test")
	still.clique.period = 0
	submit := func(context.Context, chain.Block) error { return nil }
	reader := fakeReader{}
	for want, c := range map[string]SealerConfig{
		"needs":                    {Family: clique, Chain: reader, Submit: submit},
		"not sealed by clique":     {Family: work.family, Chain: reader, Submit: submit, Key: SealKey{key(t, 1)}},
		"the network's clique per": {Family: still, Chain: reader, Submit: submit, Key: SealKey{key(t, 1)}},
	} {
		if _, err := NewSealer(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewSealer = %v, want %q in it", err, want)
		}
	}
	if _, err := ParseSealKey("0x12secret"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a broken key: %v", err)
	}
	k, err := ParseSealKey(strings.Repeat("01", 32) + "\n")
	if err != nil || k.Address() == (common.Address{}) {
		t.Errorf("a key: %v, %v", k.Address(), err)
	}
}

type fakeReader struct{ chain.Reader }
