package ethereum

import (
	"math/big"
	"testing"

	"github.com/starlingp2p/starling/chain"
)

// offering is a transaction of the sender 1 with those caps.
func offering(t *testing.T, cap, tip int64) chain.Tx {
	t.Helper()
	d := dynamic(0, 0)
	d.GasFeeCap, d.GasTipCap = big.NewInt(cap), big.NewInt(tip)
	return signed(t, key(t, 1), d)
}

// Who offers less than the least tip is not taken from others, and is nobody's
// fault; our own are taken.
func TestPoolWantsALeastTip(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, mergedConfig()), func(c *PoolConfig) { c.MinTip = 1000 })
	low := offering(t, 10*gwei, 999)
	add(t, p, "ignore: underpriced", low, low)
	if !p.Has(low.Hash) {
		t.Error("what offers too little would be fetched again at once")
	}
	add(t, p, "accept", transfer(t, 2, 0, 1000))
	if v := p.AddLocal(t.Context(), []chain.Tx{low})[0]; v.Action != chain.Accept {
		t.Errorf("our own is refused: %v", v)
	}
}

// What a replacement must add can be set, for both caps; a transaction with blobs
// is doubled at least.
func TestPoolReplacesForWhatIsSet(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, mergedConfig()), func(c *PoolConfig) { c.PriceBump = 25 })
	first, second := offering(t, 10*gwei, 1000), offering(t, 125*gwei/10, 1250)
	add(t, p, "accept", first)
	for _, less := range []chain.Tx{offering(t, 125*gwei/10, 1249), offering(t, 125*gwei/10-1, 1250), offering(t, 11*gwei, 1100)} {
		add(t, p, "ignore: underpriced-replacement", less)
	}
	add(t, p, "accept", second)
	wantPending(t, p, second)
	n := func(v int64) *big.Int { return big.NewInt(v) }
	blobs := &pooled{feeCap: n(100), tipCap: n(10), blobCap: n(10)}
	for _, tt := range []struct {
		bump int
		cap  int64
		want bool
	}{{25, 199, false}, {25, 200, true}, {150, 200, false}, {150, 250, true}} {
		by := &pooled{feeCap: n(tt.cap), tipCap: n(tt.cap / 10), blobCap: n(tt.cap / 10)}
		if got := blobs.replacedBy(by, tt.bump); got != tt.want {
			t.Errorf("with blobs, %d for 100 at %d percent: %v, want %v", tt.cap, tt.bump, got, tt.want)
		}
	}
}
