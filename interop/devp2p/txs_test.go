package devp2p

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
)

// pool takes every transaction that is signed: what a relay needs of one.
type pool struct {
	mu   sync.Mutex
	txs  map[chain.Hash]chain.Tx
	subs []chan []chain.Tx
}

func (p *pool) Has(h chain.Hash) bool { _, ok := p.Get(h); return ok }

func (p *pool) Get(h chain.Hash) (chain.Tx, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tx, ok := p.txs[h]
	return tx, ok
}

func (p *pool) Add(txs []chain.Tx) []chain.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]chain.Verdict, len(txs))
	var fresh []chain.Tx
	for i, raw := range txs {
		var tx types.Transaction
		if err := tx.UnmarshalBinary(raw.Bytes); err != nil {
			out[i] = chain.Rejected("malformed")
			continue
		}
		from, err := types.Sender(types.LatestSignerForChainID(tx.ChainId()), &tx)
		if err != nil {
			out[i] = chain.Rejected("unsigned")
			continue
		}
		h := chain.Hash(tx.Hash())
		if _, ok := p.txs[h]; ok {
			out[i] = chain.Ignored("known")
			continue
		}
		p.txs[h] = chain.Tx{Hash: h, Sender: string(from[:]), Kind: tx.Type(), Bytes: raw.Bytes}
		fresh = append(fresh, p.txs[h])
		out[i] = chain.Accepted()
	}
	for _, s := range p.subs {
		select {
		case s <- fresh:
		default:
		}
	}
	return out
}

func (p *pool) Pending(int, int) []chain.Tx { return nil }

func (p *pool) Subscribe(ctx context.Context) <-chan []chain.Tx {
	c := make(chan []chain.Tx, 256)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs = append(p.subs, c)
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.subs = slices.DeleteFunc(p.subs, func(s chan []chain.Tx) bool { return s == c })
		close(c)
	})
	return c
}

// TestTransactionsCrossABridge: two geths that know only us hear each other's
// transactions.
func TestTransactionsCrossABridge(t *testing.T) {
	a, b := startGeth(t, 69, 10), startGeth(t, 70, 10)
	p := &pool{txs: map[chain.Hash]chain.Tx{}}
	n := startStarlingAs(t, a.Genesis, func(c *starling.Config) { c.Pool = p })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, g := range []*gethNode{a, b} {
		g.do(map[string]any{"do": "synced"}, nil)
		if err := n.Client().Connect(ctx, g.Enode); err != nil {
			t.Fatal(err)
		}
	}
	target, _ := a.block(10)
	if err := n.Client().SetTarget(ctx, target); err != nil {
		t.Fatal(err)
	}
	n.head(t, target)
	heard := p.Subscribe(ctx)
	for k, way := range [][2]*gethNode{{a, b}, {b, a}} {
		var sent []string
		way[0].do(map[string]any{"do": "send", "count": 8}, &sent)
		has := func() bool {
			var got []string
			way[1].do(map[string]any{"do": "pool"}, &got)
			return !slices.ContainsFunc(sent, func(h string) bool { return !slices.Contains(got, h) })
		}
		late := time.NewTimer(patience)
		defer late.Stop()
		for {
			way[1].mu.Lock()
			changed := way[1].changed
			way[1].mu.Unlock()
			if has() {
				break
			}
			select {
			case <-changed:
			case <-heard:
			case <-late.C:
				t.Fatalf("not all of %d transactions crossed", len(sent))
			}
		}
		p.mu.Lock()
		if want := 8 * (k + 1); len(sent) != 8 || len(p.txs) != want {
			t.Errorf("%d were sent, our pool has %d, want %d", len(sent), len(p.txs), want)
		}
		p.mu.Unlock()
	}
	for _, q := range n.Client().Peers() {
		if q.Score < 0 {
			t.Errorf("geth has the score %v", q.Score)
		}
	}
}
