package serve_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/serve"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session is a peer that asks.
type session struct {
	wire.Session
	info peer.Info
}

func (s *session) Peer() peer.Info { return s.info }

func from(id, addr string) *session {
	return &session{info: peer.Info{ID: peer.ID(id), Proven: true, Endpoint: netip.AddrPortFrom(netip.MustParseAddr(addr), 4001)}}
}

// fakeChain serves blocks of one size, 0 to head.
type fakeChain struct {
	chain.Reader
	head  uint64
	size  int
	takes time.Duration
	fails error
}

func (c *fakeChain) block(n uint64) chain.Block {
	return chain.Block{Header: chain.Header{Ref: chain.Ref{Number: n, Hash: hash(n)}, Bytes: make([]byte, 16)}, Body: make([]byte, c.size)}
}

func hash(n uint64) chain.Hash { return chain.Hash{0: 1, 30: byte(n >> 8), 31: byte(n)} }

func (c *fakeChain) work(ctx context.Context) error {
	if c.takes > 0 {
		select {
		case <-time.After(c.takes):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return c.fails
}

func (c *fakeChain) Headers(ctx context.Context, r chain.Range) ([]chain.Header, error) {
	bs, err := c.Blocks(ctx, r)
	var hs []chain.Header
	for _, b := range bs {
		hs = append(hs, b.Header)
	}
	return hs, err
}

func (c *fakeChain) Blocks(ctx context.Context, r chain.Range) ([]chain.Block, error) {
	if err := c.work(ctx); err != nil {
		return nil, err
	}
	var out []chain.Block
	sum := 0
	for n := r.From.Number; len(out) < r.Count && n <= c.head; n += uint64(r.Skip) + 1 {
		b := c.block(n)
		if sum += b.Size(); r.MaxBytes > 0 && sum > r.MaxBytes && len(out) > 0 {
			break
		}
		out = append(out, b)
	}
	if len(out) == 0 {
		return nil, chain.ErrNotFound
	}
	return out, nil
}

func (c *fakeChain) Block(ctx context.Context, ref chain.Ref) (chain.Block, error) {
	if err := c.work(ctx); err != nil {
		return chain.Block{}, err
	}
	for n := uint64(0); n <= c.head; n++ {
		if hash(n) == ref.Hash {
			return c.block(n), nil
		}
	}
	return chain.Block{}, chain.ErrNotFound
}

// charges gathers what peers are charged with.
type charges struct {
	mu  sync.Mutex
	all map[peer.ID]map[peer.Offense]int
}

func (c *charges) charge(s wire.Session, o peer.Offense, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[peer.ID]map[peer.Offense]int{}
	}
	id := s.Peer().ID
	if c.all[id] == nil {
		c.all[id] = map[peer.Offense]int{}
	}
	c.all[id][o]++
}

func (c *charges) of(id peer.ID, o peer.Offense) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[id][o]
}

func (c *charges) none(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) > 0 {
		t.Errorf("charged: %v", c.all)
	}
}

func wantRefusal(t *testing.T, err error, code wire.RefusalCode, limit string) *wire.Refusal {
	t.Helper()
	var why *wire.Refusal
	if !errors.As(err, &why) || why.Code != code || why.Limit != limit {
		t.Fatalf("Serve = %v, want a refusal: %v %s", err, code, limit)
	}
	return why
}

func getBlocks(n, count int) wire.Request {
	return wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: uint64(n)}, Count: count}}
}

// budget is a small one: a peer has 100 KiB/s, its prefix twice, all four times that.
func budget() serve.Budget {
	const k = 100 << 10
	return serve.Budget{PeerRate: k, PeerBurst: k, PrefixRate: 2 * k, PrefixBurst: 2 * k, GlobalRate: 4 * k, GlobalBurst: 4 * k}
}
