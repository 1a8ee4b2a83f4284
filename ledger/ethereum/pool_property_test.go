package ethereum

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/chain"
)

// sound checks that the pool's sums, queues and heaps say the same, within the
// bounds.
func sound(t *rapid.T, p *Pool) {
	p.held.Lock()
	defer p.held.Unlock()
	var txs, bytes, heaped [numPiles]int
	queued := 0
	for from, q := range p.senders {
		queued += len(q.txs)
		for i, e := range q.txs {
			if p.held.ByHash[e.tx.Hash] != e || e.from != from || i > 0 && q.txs[i-1].nonce >= e.nonce {
				t.Fatalf("the queue of %v is not that of the pool", from)
			}
			txs[e.pile()]++
			bytes[e.pile()] += e.Cost()
			if !e.local && p.piles[e.pile()].cheap[e.index] != e {
				t.Fatal("a transaction is not where it should be in its heap")
			}
		}
		if len(q.txs) == 0 {
			t.Fatal("a sender without transactions takes up room")
		}
	}
	for i, pl := range p.piles {
		heaped[i] = len(pl.cheap)
		if txs[i] != pl.txs || bytes[i] != pl.bytes || pl.txs > pl.maxTxs || pl.bytes > pl.maxBytes || i != pileLocal && heaped[i] != txs[i] {
			t.Fatalf("pile %d holds %d transactions and %d bytes, says %d and %d", i, txs[i], bytes[i], pl.txs, pl.bytes)
		}
	}
	if queued != len(p.held.ByHash) {
		t.Fatalf("%d are queued, %d are there", queued, len(p.held.ByHash))
	}
}

// Whatever comes in whatever order, the pool stays within its bounds and agrees
// with itself.
func TestPoolStaysSound(t *testing.T) {
	f := testFamily(t, mergedConfig())
	rapid.Check(t, func(r *rapid.T) {
		p, _ := poolOf(t, f, func(c *PoolConfig) { c.MaxTxs, c.PerSender = 12, 4 })
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			tx := transfer(t, rapid.IntRange(1, 5).Draw(r, "sender"), rapid.Uint64Range(0, 5).Draw(r, "nonce"), rapid.Int64Range(1, 8).Draw(r, "tip")*gwei)
			switch rapid.IntRange(0, 5).Draw(r, "step") {
			case 0:
				p.AddLocal(t.Context(), []chain.Tx{tx})
			case 1:
				p.held.Lock()
				p.include(address(t, 1), rapid.Uint64Range(0, 2).Draw(r, "included"))
				p.held.Unlock()
			default:
				p.Add([]chain.Tx{tx})
			}
			sound(r, p)
		}
	})
}
