package chaintest_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
)

func poolTxs(n int) []chain.Tx {
	txs := make([]chain.Tx, n)
	for i := range txs {
		txs[i] = chaintest.NewTx(fmt.Appendf(nil, "alice: transfer %d", i))
	}
	return txs
}

// Pools that break one sentence each.
type (
	shortPool    struct{ *chaintest.Pool }
	gulliblePool struct {
		*chaintest.Pool
		under map[chain.Hash]chain.Tx
	}
	proudPool  struct{ *chaintest.Pool }
	freePool   struct{ *chaintest.Pool }
	mutePool   struct{ *chaintest.Pool }
	oldestPool struct{ *chaintest.Pool }
)

func (p shortPool) Add(txs []chain.Tx) []chain.Verdict {
	v := p.Pool.Add(txs)
	if len(v) > 4 {
		v = v[:4]
	}
	return v
}

func (p gulliblePool) Add(txs []chain.Tx) []chain.Verdict {
	for _, tx := range txs {
		if tx.Hash != chaintest.NewTx(tx.Bytes).Hash {
			p.under[tx.Hash] = tx
		}
	}
	return p.Pool.Add(txs)
}

func (p gulliblePool) Get(h chain.Hash) (chain.Tx, bool) {
	if tx, ok := p.under[h]; ok {
		return tx, true
	}
	return p.Pool.Get(h)
}

func (p proudPool) Add(txs []chain.Tx) []chain.Verdict {
	v := p.Pool.Add(txs)
	for i := range v {
		if v[i].Action == chain.Ignore {
			v[i] = chain.Rejected("twice")
		}
	}
	return v
}

func (p freePool) Pending(limit, _ int) []chain.Tx { return p.Pool.Pending(limit, 0) }

// Subscribe goes on telling after the context has ended.
func (p mutePool) Subscribe(ctx context.Context) <-chan []chain.Tx {
	out := make(chan []chain.Tx, 2048)
	in := p.Pool.Subscribe(ctx)
	go func() {
		defer close(out)
		for txs := range in {
			out <- txs
		}
		out <- poolTxs(1)
	}()
	return out
}

// Subscribe keeps the oldest.
func (p oldestPool) Subscribe(ctx context.Context) <-chan []chain.Tx {
	all := p.Pool.Subscribe(ctx)
	out := make(chan []chain.Tx, 16)
	go func() {
		defer close(out)
		for txs := range all {
			if hit := slices.ContainsFunc(txs, func(tx chain.Tx) bool { return tx.Hash == poolTxs(1200)[1199].Hash }); !hit {
				select {
				case out <- txs:
				default:
				}
			}
		}
	}()
	return out
}

func poolMutants() []breaks {
	return []breaks{
		{rule: "pool-takes-valid", does: "only four get a verdict", pool: func(p *chaintest.Pool) chain.TxPool { return shortPool{p} }},
		{rule: "pool-computes-hashes", does: "the caller's hash is believed", pool: func(p *chaintest.Pool) chain.TxPool {
			return gulliblePool{p, map[chain.Hash]chain.Tx{}}
		}},
		{rule: "pool-once", does: "coming again is a fault", pool: func(p *chaintest.Pool) chain.TxPool { return proudPool{p} }},
		{rule: "pool-pending-is-bounded", does: "bytes are not counted", pool: func(p *chaintest.Pool) chain.TxPool { return freePool{p} }},
		{rule: "pool-tells", does: "it goes on after the end", pool: func(p *chaintest.Pool) chain.TxPool { return mutePool{p} }},
		{rule: "pool-laggard-loses-oldest", does: "the newest are lost", pool: func(p *chaintest.Pool) chain.TxPool { return oldestPool{p} }},
	}
}
