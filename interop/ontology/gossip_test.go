package ontology

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// pool takes every transaction that decodes.
type pool struct {
	mu      sync.Mutex
	txs     map[chain.Hash]chain.Tx
	readers []chan []chain.Tx
}

func newPool() *pool { return &pool{txs: map[chain.Hash]chain.Tx{}} }

func (p *pool) Has(h chain.Hash) bool {
	_, ok := p.Get(h)
	return ok
}

func (p *pool) Get(h chain.Hash) (chain.Tx, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tx, ok := p.txs[h]
	return tx, ok
}

func (p *pool) Add(txs []chain.Tx) (out []chain.Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var fresh []chain.Tx
	for _, in := range txs {
		t, err := codec.DecodeTx(in.Bytes, codec.Strict)
		if err != nil {
			out = append(out, chain.Rejected("bad-transaction"))
			continue
		}
		tx := t.Chain()
		if _, known := p.txs[tx.Hash]; known {
			out = append(out, chain.Ignored("known"))
			continue
		}
		p.txs[tx.Hash] = tx
		fresh = append(fresh, tx)
		out = append(out, chain.Accepted())
	}
	for _, r := range p.readers {
		if len(fresh) > 0 {
			select {
			case r <- fresh:
			default:
			}
		}
	}
	return out
}

func (p *pool) Pending(int, int) []chain.Tx { return nil }

func (p *pool) Subscribe(ctx context.Context) <-chan []chain.Tx {
	c := make(chan []chain.Tx, 1024)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readers = append(p.readers, c)
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, r := range p.readers {
			if r == c {
				p.readers = append(p.readers[:i:i], p.readers[i+1:]...)
				close(c)
				return
			}
		}
	})
	return c
}

// Transactions of one real node reach another that knows only us.
func TestTransactionsTravelBothWays(t *testing.T) {
	mempool := newPool()
	o := start(t, solo(t), options{pool: mempool, masked: true})
	a := runV1(t, map[string]any{"keys": []string{key}})
	b := runV1(t, map[string]any{"keys": []string{key}})
	connect(t, o, a)
	connect(t, o, b)
	for _, p := range []*v1{a, b} {
		polls(t, "a session", func() bool { return p.established() == 1 })
	}
	for _, way := range []struct{ from, to *v1 }{{a, b}, {b, a}} {
		var hashes []string
		way.from.do(map[string]any{"do": "send", "count": 5}, &hashes)
		for _, h := range hashes {
			hash, err := chain.ParseHash(h)
			if err != nil {
				t.Fatal(err)
			}
			polls(t, "a transaction in our pool", func() bool { return mempool.Has(hash) })
			polls(t, "a transaction at the other node", func() bool {
				var has bool
				way.to.do(map[string]any{"do": "has", "mode": h}, &has)
				return has
			})
		}
	}
	unharmed(t, o)
}

// Real nodes learn of each other through us, and we of others through them.
func TestAddressesTravelBothWays(t *testing.T) {
	o := start(t, solo(t), options{})
	a := runV1(t, map[string]any{"keys": []string{key}})
	connect(t, o, a)
	polls(t, "a session", func() bool { return a.established() == 1 })
	b := runV1(t, map[string]any{"keys": []string{key}, "seeds": []string{o.addr}})
	polls(t, "that both know each other", func() bool { return strings.Contains(b.neighbours(), fmt.Sprint(a.Port)) })
	c := runV1(t, map[string]any{"keys": []string{key}, "seeds": []string{a.addr()}})
	polls(t, "the third with the first", func() bool { return strings.Contains(c.neighbours(), fmt.Sprint(a.Port)) })
	polls(t, "that we have learnt of the third", func() bool {
		return len(o.Client().Peers()) == 3 || o.knows(c.addr())
	})
	unharmed(t, o)
}

func (o *ours) knows(addr string) bool {
	for _, k := range o.Client().KnownPeers(100) {
		if strings.Contains(fmt.Sprint(k), addr) {
			return true
		}
	}
	return false
}

// established is how many peers it has a session with.
func (p *v1) established() int {
	var ps struct{ Established int }
	p.do(map[string]any{"do": "peers"}, &ps)
	return ps.Established
}

// neighbours are the addresses of those.
func (p *v1) neighbours() string {
	var ps struct{ Addrs []string }
	p.do(map[string]any{"do": "peers"}, &ps)
	return strings.Join(ps.Addrs, " ")
}

// unharmed checks that no real node was charged.
func unharmed(t *testing.T, o *ours) {
	t.Helper()
	for _, p := range o.Client().Peers() {
		if p.Score < 0 {
			t.Errorf("a real node has a score of %v", p.Score)
		}
	}
}
