package devp2p

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
)

// pooled is a node of ours with a pool.
type pooled struct {
	*node
	pool *ethereum.Pool
}

func startPooled(t *testing.T, genesis []byte) *pooled {
	t.Helper()
	p := &pooled{}
	p.node = startStarlingAs(t, genesis, func(c *starling.Config, f *ethereum.Family, l *ledger.Ledger) {
		var err error
		if p.pool, err = ethereum.NewPool(t.Context(), ethereum.PoolConfig{Family: f, Chain: l}); err != nil {
			t.Fatal(err)
		}
		c.Pool = p.pool
	})
	return p
}

// meet links two nodes, and waits for the session.
func (p *pooled) meet(t *testing.T, ctx context.Context, at string) {
	t.Helper()
	if err := p.Client().Connect(ctx, at); err != nil {
		t.Fatal(err)
	}
}

// follow syncs to a block, from when on transactions are relayed.
func (p *pooled) follow(t *testing.T, ctx context.Context, target chain.Ref) {
	t.Helper()
	if err := p.Client().SetTarget(ctx, target); err != nil {
		t.Fatal(err)
	}
	p.head(t, target)
	if err := p.pool.OnHead(ctx); err != nil {
		t.Fatal(err)
	}
}

// send publishes transfers of the faucet, from a nonce on.
func (p *pooled) send(t *testing.T, ctx context.Context, nonce uint64, count int) (sent []string) {
	t.Helper()
	key, err := crypto.HexToECDSA(faucet)
	if err != nil {
		t.Fatal(err)
	}
	for k := range uint64(count) {
		tx := types.MustSignNewTx(key, types.LatestSignerForChainID(big.NewInt(chainID)), &types.DynamicFeeTx{
			ChainID: big.NewInt(chainID), Nonce: nonce + k, To: &common.Address{0xcc}, Value: big.NewInt(1), Gas: params.TxGas,
			GasFeeCap: big.NewInt(2 * params.InitialBaseFee), GasTipCap: big.NewInt(params.GWei),
		})
		b, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		vs, err := p.Client().PublishTxs(ctx, []chain.Tx{{Hash: chain.Hash(tx.Hash()), Kind: tx.Type(), Bytes: b}})
		if err != nil || vs[0].Action != chain.Accept {
			t.Fatalf("our own transaction is %+v: %v", vs, err)
		}
		sent = append(sent, tx.Hash().Hex())
	}
	return sent
}

// has waits until transactions are in the pool.
func (p *pooled) has(t *testing.T, ctx context.Context, want []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	heard := p.pool.Subscribe(ctx)
	for _, text := range want {
		h, err := chain.ParseHash(text)
		if err != nil {
			t.Fatal(err)
		}
		for !p.pool.Has(h) {
			if _, open := <-heard; !open {
				t.Fatalf("we have no transaction %s; not taken: %v", text, p.pool.Dropped())
			}
		}
	}
}

// has waits until transactions are pending.
func (g *gethNode) has(t *testing.T, want []string) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		changed := g.Changed()
		var got []string
		g.Do(map[string]any{"do": "pool"}, &got)
		if !slices.ContainsFunc(want, func(h string) bool { return !slices.Contains(got, h) }) {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatalf("geth lacks some of %d transactions", len(want))
		}
	}
}

func (g *gethNode) send(count int) (sent []string) {
	g.Do(map[string]any{"do": "send", "count": count}, &sent)
	return sent
}

// drops are the ends of sessions that geth told of.
func (g *gethNode) drops() (of []event) {
	for _, e := range g.Events() {
		if e.Event == "peer" && e.What == "drop" {
			of = append(of, e)
		}
	}
	return of
}

// kept checks that a geth never dropped a peer, and that we charged none.
func kept(t *testing.T, geths []*gethNode, ours ...*pooled) {
	t.Helper()
	for _, g := range geths {
		if d := g.drops(); len(d) > 0 {
			t.Errorf("geth dropped us: %+v", d)
		}
	}
	for _, p := range ours {
		for _, q := range p.Client().Peers() {
			if q.Score < 0 {
				t.Errorf("%s has the score %v", q.Info.Agent, q.Score)
			}
		}
	}
}

// topology is nodes of geth and of ours, and the links between them: a pair of
// numbers each, of which at least one is ours; geths come first.
type topology struct {
	geths, ours int
	links       [][2]int
}

// TestEveryTransactionReachesAll: in stars around us and around a geth, and over a
// bridge of two of ours between others, what any node sends reaches all.
func TestEveryTransactionReachesAll(t *testing.T) {
	for name, top := range map[string]topology{
		"a star around us":     {2, 3, [][2]int{{2, 0}, {2, 1}, {2, 3}, {2, 4}}},
		"a star around a geth": {1, 3, [][2]int{{1, 0}, {2, 0}, {3, 0}}},
		"a bridge":             {2, 2, [][2]int{{2, 0}, {3, 1}, {2, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			const blocks, each = 4, 3
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			var geths []*gethNode
			var ours []*pooled
			for k := range top.geths {
				geths = append(geths, startGeth(t, uint(69+k%2), blocks))
				geths[k].Do(map[string]any{"do": "synced"}, nil)
			}
			for range top.ours {
				ours = append(ours, startPooled(t, geths[0].Genesis))
			}
			for _, l := range top.links {
				at := ""
				if l[1] < top.geths {
					at = geths[l[1]].Enode
				} else {
					at = ours[l[1]-top.geths].wire.Addrs()[0].Text
				}
				ours[l[0]-top.geths].meet(t, ctx, at)
			}
			target, _ := geths[0].block(t, blocks)
			for _, p := range ours {
				p.follow(t, ctx, target)
			}
			_, txs := size()
			nonce := uint64(blocks * txs)
			reach := func(from string, sent []string) {
				for _, g := range geths {
					g.has(t, sent)
				}
				for _, p := range ours {
					p.has(t, ctx, sent)
				}
				nonce += uint64(len(sent))
				t.Logf("%d transactions of %s reached %d nodes", len(sent), from, len(geths)+len(ours))
			}
			for k, g := range geths {
				reach(fmt.Sprintf("geth %d", k), g.send(each))
			}
			for k, p := range ours {
				reach(fmt.Sprintf("starling %d", k), p.send(t, ctx, nonce, each))
			}
			kept(t, geths, ours...)
		})
	}
}

// TestGethKeepsUsInTraffic: two geths that know only us, one of which makes blocks
// and sends transactions, as we do, while the other full-syncs from us what we
// download, block by block: for 2 min, and 10 where STARLING_FULL is set. Neither
// drops us, and we charge neither.
func TestGethKeepsUsInTraffic(t *testing.T) {
	lasts := 2 * time.Minute
	if os.Getenv("STARLING_FULL") != "" {
		lasts = 10 * time.Minute
	}
	const txs, each = 6, 2
	ctx, cancel := context.WithTimeout(t.Context(), lasts+2*patience)
	defer cancel()
	few := map[string]any{"txs": txs}
	maker, follower := startGethAt(t, 70, 1, ip(), few), startGethAt(t, 69, 0, ip(), maps.Clone(few))
	p := startPooled(t, maker.Genesis)
	for _, g := range []*gethNode{maker, follower} {
		g.Do(map[string]any{"do": "synced"}, nil)
		p.meet(t, ctx, g.Enode)
	}
	number, began := uint64(1), time.Now()
	for ; time.Since(began) < lasts; number++ {
		maker.Do(map[string]any{"do": "extend", "number": number}, nil)
		target, _ := maker.block(t, number)
		p.follow(t, ctx, target)
		follower.Do(map[string]any{"do": "target", "number": number}, nil)

		p.has(t, ctx, maker.send(each))
		maker.has(t, p.send(t, ctx, number*txs+each, each))
	}
	// A consensus client repeats itself; geth's sync gives up now and then
	// where its target moves.
	target, _ := maker.block(t, number-1)
	again, late := time.NewTicker(2*time.Second), time.NewTimer(patience)
	defer again.Stop()
	defer late.Stop()
	for !slices.ContainsFunc(follower.Events(), func(e event) bool { return e.Event == "head" && e.Hash == target.Hash.String() }) {
		select {
		case <-again.C:
			follower.Do(map[string]any{"do": "target", "number": number - 1}, nil)
		case <-late.C:
			t.Fatal("geth did not come to our head")
		}
	}
	kept(t, []*gethNode{maker, follower}, p)
	if n := len(p.Client().Peers()); n != 2 {
		t.Errorf("%d peers are left", n)
	}
	t.Logf("%v of traffic: %d blocks and %d transactions each way", time.Since(began).Round(time.Second), number, each*int(number))
	for k, c := range p.wire.Traffic() {
		t.Logf("%s %s, inbound %v: %d messages, %d bytes", k.Protocol, k.Type, k.Inbound, c.Messages, c.Bytes)
	}
}
