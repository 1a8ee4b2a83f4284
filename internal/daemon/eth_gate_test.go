package daemon

import (
	"context"
	"encoding/hex"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// ownTransfer is ownTx, decoded.
func ownTransfer(t *testing.T) chain.Tx {
	t.Helper()
	raw, err := hex.DecodeString(ownTx)
	if err != nil {
		t.Fatal(err)
	}
	h, ok := ethereum.HashOf(raw)
	if !ok {
		t.Fatal("ownTx does not decode")
	}
	return chain.Tx{Hash: h, Kind: raw[0], Bytes: raw}
}

// What peers push and announce before the node is in sync is dropped, and costs
// nobody anything; afterwards the same is taken. So it is under eth/68, where the
// number of a peer's head must be asked for first; under eth/69, where Status
// tells it; and where only targets count, so that no claim tells anything.
func TestTransactionsWaitForTheSyncOverSessionsAsTheyAre(t *testing.T) {
	for _, c := range []struct {
		name       string
		version    eth.Version
		targetOnly bool
	}{
		{"eth/68", eth.V68, false}, {"eth/69", eth.V69, false}, {"eth/68 with targets", eth.V68, true}, {"eth/69 with targets", eth.V69, true},
	} {
		for _, pushed := range []bool{true, false} {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { transactionsWait(t, c.version, c.targetOnly, pushed) })
			})
		}
	}
}

func transactionsWait(t *testing.T, v eth.Version, targetOnly, pushed bool) {
	release := make(chan struct{})
	p := newParish(t, 2, func(p *parish, l *ledger.Ledger, f *ethereum.Family) {
		pool, err := ethereum.NewPool(t.Context(), ethereum.PoolConfig{Family: f, Chain: l})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pool.Close() })
		p.version, p.targetOnly, p.ahead, p.syncPeers, p.pool = v, targetOnly, true, 1, pool
		p.hold = func(ctx context.Context, r wire.Request) {
			switch r.(type) {
			case wire.GetHeaders, wire.GetBodies: // as slow as a peer may be
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
		}
	})
	tx := ownTransfer(t)
	var m wire.Message = wire.Txs{Txs: []chain.Tx{tx}}
	if !pushed {
		m = wire.TxAnnounce{Txs: []wire.TxID{{Hash: tx.Hash, Kind: tx.Kind, Size: uint32(len(tx.Bytes))}}}
	}
	tell := func() (asked int64) {
		for _, a := range p.peers {
			if err := a.Sessions()[0].Send(t.Context(), wire.LaneTx, m); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(1200 * time.Millisecond)
		for _, a := range p.peers {
			asked += a.txs.Load()
		}
		return asked
	}
	if asked := tell(); p.pool.Has(tx.Hash) || asked != 0 {
		t.Errorf("before the sync: taken %v, asked for %d times", p.pool.Has(tx.Hash), asked)
	}
	close(release)
	head := p.made.Status().Head
	if targetOnly {
		time.Sleep(time.Minute)
		if asked := tell(); p.pool.Has(tx.Hash) || asked != 0 {
			t.Errorf("before there is a target: taken %v, asked for %d times", p.pool.Has(tx.Hash), asked)
		}
		if err := p.node.Client().SetTarget(t.Context(), head); err != nil {
			t.Fatal(err)
		}
	}
	p.takes(head, time.Minute)
	time.Sleep(time.Second)
	if err := p.pool.OnHead(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := int64(1)
	if pushed {
		want = 0
	}
	if asked := tell(); !p.pool.Has(tx.Hash) || asked != want {
		t.Errorf("after the sync: taken %v, asked for %d times, want %d", p.pool.Has(tx.Hash), asked, want)
	}
	if paid := p.charges(); len(paid) > 0 {
		t.Errorf("charged %+v", paid)
	}
}
