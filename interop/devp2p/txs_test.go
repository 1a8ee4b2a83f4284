package devp2p

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
)

// TestTransactionsCrossABridge: two geths that know only us hear each other's
// transactions.
func TestTransactionsCrossABridge(t *testing.T) {
	a, b := startGeth(t, 69, 10), startGeth(t, 70, 10)
	var p *ethereum.Pool
	n := startStarlingAs(t, a.Genesis, func(c *starling.Config, f *ethereum.Family, l *ledger.Ledger) {
		var err error
		if p, err = ethereum.NewPool(t.Context(), ethereum.PoolConfig{Family: f, Chain: l}); err != nil {
			t.Fatal(err)
		}
		c.Pool = p
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, g := range []*gethNode{a, b} {
		g.Do(map[string]any{"do": "synced"}, nil)
		if err := n.Client().Connect(ctx, g.Enode); err != nil {
			t.Fatal(err)
		}
	}
	target, _ := a.block(t, 10)
	if err := n.Client().SetTarget(ctx, target); err != nil {
		t.Fatal(err)
	}
	n.head(t, target)
	if err := p.OnHead(ctx); err != nil {
		t.Fatal(err)
	}
	heard := p.Subscribe(ctx)
	for k, way := range [][2]*gethNode{{a, b}, {b, a}} {
		var sent []string
		way[0].Do(map[string]any{"do": "send", "count": 8}, &sent)
		has := func() bool {
			var got []string
			way[1].Do(map[string]any{"do": "pool"}, &got)
			return !slices.ContainsFunc(sent, func(h string) bool { return !slices.Contains(got, h) })
		}
		late := time.NewTimer(patience)
		defer late.Stop()
		for {
			changed := way[1].Changed()
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
		if got, want := len(p.Pending(0, 0)), 8*(k+1); len(sent) != 8 || got != want {
			t.Errorf("%d were sent, our pool has %d, want %d; not taken: %v", len(sent), got, want, p.Dropped())
		}
	}
	for _, q := range n.Client().Peers() {
		if q.Score < 0 {
			t.Errorf("geth has the score %v", q.Score)
		}
	}
}
