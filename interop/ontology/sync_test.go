package ontology

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
	"github.com/starlingp2p/starling/ledger"
	family "github.com/starlingp2p/starling/ledger/ontology"
	"github.com/starlingp2p/starling/wire/ontology"
)

const (
	magic = 299
	// key is the lone bookkeeper's.
	key = "00000000000000000000000000000000000000000000000000000000000a11ce"
)

// length is how many blocks are synced.
func length() int {
	if testing.Short() || os.Getenv("STARLING_FULL") == "" {
		return 2000
	}
	return 20000
}

// counted is a ledger that notes when which blocks are read, by hash.
type counted struct {
	*ledger.Ledger
	mu     sync.Mutex
	read   map[chain.Hash]time.Time // first
	races  int                      // read again at once
	waited int                      // read again after a while
}

// retryAfter tells v1.0.0's retries from what it asks for twice by itself: its
// ticker looks for what to ask for while a block that has come is in neither of
// its lists. It gives a block 15 s before it retries.
const retryAfter = 10 * time.Second

func (c *counted) Block(ctx context.Context, ref chain.Ref) (chain.Block, error) {
	c.mu.Lock()
	if first, again := c.read[ref.Hash]; !again {
		c.read[ref.Hash] = time.Now()
	} else if time.Since(first) < retryAfter {
		c.races++
	} else {
		c.waited++
	}
	c.mu.Unlock()
	return c.Ledger.Block(ctx, ref)
}

// ours is a node of ours with a ledger on disk.
type ours struct {
	*starling.Node
	chain *counted
	addr  string
	wire  *ontology.Wire
	pool  *family.Pool // nil: none
}

// public is the public key of a private one, both in hex.
func public(t *testing.T, private string) string {
	t.Helper()
	raw, _ := hex.DecodeString(private)
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(elliptic.MarshalCompressed(elliptic.P256(), k.X, k.Y))
}

func solo(t *testing.T) family.Network {
	t.Helper()
	return family.Network{Name: "interop", Magic: magic, ConsensusType: family.Solo, SOLO: family.Bookkeepers{Bookkeepers: []string{public(t, key)}}}
}

// options of a node of ours.
type options struct {
	// consensus makes one for the chain; with it there is a second port.
	consensus func(*family.Family, chain.Reader) chain.Consensus
	pool      bool // with the ledger's own
	masked    bool // it tells nobody of its peers
}

// start runs a node of a network.
func start(t *testing.T, n family.Network, with options) *ours {
	t.Helper()
	f, err := family.New(n)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.TempDir(), ledger.Options{Family: f})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Attach(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	o := &ours{chain: &counted{Ledger: l, read: map[chain.Hash]time.Time{}}, addr: fmt.Sprintf("127.0.0.1:%d", steertest.Port(t))}
	wcfg := ontology.Config{Magic: n.Magic, Status: l.Status, Header: l.Header, Listen: o.addr}
	if with.masked {
		wcfg.Mask = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}
	if with.consensus != nil {
		wcfg.ConsensusListen = fmt.Sprintf("127.0.0.1:%d", steertest.Port(t))
	}
	o.wire, err = ontology.New(wcfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg := starling.DevConfig()
	if with.consensus != nil {
		cfg.Consensus = with.consensus(f, l)
	}
	if with.pool {
		if o.pool, err = family.NewPool(t.Context(), family.PoolConfig{State: l}); err != nil {
			t.Fatal(err)
		}
		cfg.Pool = o.pool
	}
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	if o.Node, err = starling.New(cfg, o.chain, o.wire); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Errorf("Run = %v", err)
		}
		l.Close()
	})
	select {
	case <-o.Ready():
	case err := <-done:
		t.Fatalf("Run = %v", err)
	}
	return o
}

// reaches waits until the head is a block.
func (o *ours) reaches(t *testing.T, height uint64, hash string) {
	t.Helper()
	polls(t, fmt.Sprintf("our head at %d", height), func() bool { return o.chain.Status().Head.Number >= height })
	if got := o.chain.Status().Head; strings.TrimPrefix(got.Hash.String(), "0x") != hash {
		t.Fatalf("our head is %v, want %s", got.Hash, hash)
	}
}

// connect meets v1.0.0. It dials whom it hears of at once, and of two links that
// cross it ends one; who is told so tries again, and finds the other link open.
func connect(t *testing.T, o *ours, p *v1) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		err := o.Client().Connect(ctx, p.addr())
		if err == nil || o.met(p.addr()) {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// We sync from the real v1.0.0, and the real v1.0.0 syncs the same blocks from
// us, retrying none.
func TestSyncBothWays(t *testing.T) {
	count := length()
	first := runV1(t, map[string]any{"keys": []string{key}, "height": count})
	n := solo(t)
	g, err := family.Genesis(n)
	if err != nil {
		t.Fatal(err)
	}
	if g.Header.Hash.String() != first.Genesis {
		t.Fatalf("our genesis is %s, theirs %s", g.Header.Hash, first.Genesis)
	}
	o := start(t, n, options{})
	connect(t, o, first)
	began := time.Now()
	o.reaches(t, uint64(count), first.Head)
	t.Logf("%d blocks from v1.0.0 in %v", count, time.Since(began).Round(time.Millisecond))
	for _, number := range []uint64{1, uint64(count / 2), uint64(count)} {
		var theirs struct{ Hash, Bytes string }
		first.Do(map[string]any{"do": "block", "number": number}, &theirs)
		b, err := o.chain.Ledger.Block(t.Context(), chain.Ref{Number: number})
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(append(append([]byte(nil), b.Header.Bytes...), b.Body...)); got != theirs.Bytes {
			t.Errorf("block %d is\n%s, theirs\n%s", number, got, theirs.Bytes)
		}
	}
	unharmed(t, o)

	first.Stop() // else the second learns of it, and asks both
	o.chain.mu.Lock()
	clear(o.chain.read)
	o.chain.races, o.chain.waited = 0, 0
	o.chain.mu.Unlock()
	second := runV1(t, map[string]any{"keys": []string{key}, "seeds": []string{o.addr}})
	began = time.Now()
	polls(t, "their head", func() bool { h, _ := second.blocks(); return h >= uint64(count) })
	t.Logf("%d blocks to v1.0.0 in %v", count, time.Since(began).Round(time.Millisecond))
	if _, head := second.blocks(); head != first.Head {
		t.Errorf("its head is %s, want %s", head, first.Head)
	}
	o.chain.mu.Lock()
	defer o.chain.mu.Unlock()
	t.Logf("it asked for %d blocks, %d times again at once, and %d times after a while", len(o.chain.read), o.chain.races, o.chain.waited)
	if len(o.chain.read) < count || o.chain.waited > 0 || o.chain.races > count/1000 {
		t.Error("it had to ask again")
	}
	unharmed(t, o)
}
