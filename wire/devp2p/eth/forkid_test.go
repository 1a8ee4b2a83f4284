package eth

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/forkid"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/chain"
)

// backend is a chain whose head is anywhere, as core/forkid wants it.
type backend struct {
	config  *params.ChainConfig
	genesis *types.Block
	head    *types.Header
}

func (b *backend) Config() *params.ChainConfig  { return b.config }
func (b *backend) Genesis() *types.Block        { return b.genesis }
func (b *backend) CurrentHeader() *types.Header { return b.head }

// TestForkIDsAreThoseOfGeth compares identifiers, and the verdicts on them, with
// core/forkid: over main net's schedule and random ones, with heads and foreign
// identifiers around every fork.
func TestForkIDsAreThoseOfGeth(t *testing.T) {
	d := draw{rand.New(rand.NewPCG(3, 4))}
	main := core.DefaultGenesisBlock()
	mainBlocks := []uint64{1150000, 1920000, 2463000, 2675000, 4370000, 7280000, 9069000, 9200000, 12244000, 12965000, 13773000, 15050000}
	var mainTimes []uint64
	for _, at := range []*uint64{main.Config.ShanghaiTime, main.Config.CancunTime, main.Config.PragueTime, main.Config.OsakaTime, main.Config.BPO1Time, main.Config.BPO2Time, main.Config.BPO3Time, main.Config.BPO4Time, main.Config.BPO5Time, main.Config.AmsterdamTime} {
		if at != nil {
			mainTimes = append(mainTimes, *at)
		}
	}
	compareForks(t, d, main.Config, main.ToBlock(), mainBlocks, mainTimes)
	for range 60 {
		cfg := &params.ChainConfig{ChainID: big.NewInt(9)}
		var blocks, times []uint64
		for _, f := range []**big.Int{&cfg.HomesteadBlock, &cfg.EIP150Block, &cfg.ByzantiumBlock, &cfg.LondonBlock} {
			if d.IntN(3) > 0 {
				n := uint64(d.IntN(6))
				*f = new(big.Int).SetUint64(n)
				blocks = append(blocks, n)
			}
		}
		genesis := &core.Genesis{Config: cfg, Timestamp: 1500000000, Difficulty: big.NewInt(1)}
		for _, f := range []**uint64{&cfg.ShanghaiTime, &cfg.CancunTime} {
			if d.IntN(2) > 0 {
				at := genesis.Timestamp + uint64(d.IntN(4))
				*f = &at
				times = append(times, at)
			}
		}
		compareForks(t, d, cfg, genesis.ToBlock(), blocks, times)
	}
}

func compareForks(t *testing.T, d draw, cfg *params.ChainConfig, genesis *types.Block, blocks, times []uint64) {
	t.Helper()
	ours := NewForks(chain.Hash(genesis.Hash()), genesis.Time(), blocks, times)
	var heads [][2]uint64
	for _, b := range append([]uint64{0, 1, 5, 100}, blocks...) {
		for _, at := range append([]uint64{0, genesis.Time(), genesis.Time() + 9}, times...) {
			for _, k := range []int64{-1, 0, 1} {
				heads = append(heads, [2]uint64{max(uint64(max(int64(b)+k, 0)), 0), uint64(max(int64(at)+k, 0))})
			}
		}
	}
	for _, h := range heads {
		want := forkid.NewID(cfg, genesis, h[0], h[1])
		if got := ours.ID(h[0], h[1]); got.Sum != want.Hash || got.Next != want.Next {
			t.Fatalf("ID at block %d, time %d = %v, geth says %x/%d", h[0], h[1], got, want.Hash, want.Next)
		}
	}
	back := &backend{config: cfg, genesis: genesis}
	filter := forkid.NewFilter(back)
	for range 400 {
		h, o := heads[d.IntN(len(heads))], heads[d.IntN(len(heads))]
		theirs := ours.ID(o[0], o[1])
		switch d.IntN(4) {
		case 0:
			theirs.Next = d.uint()
		case 1:
			theirs.Next = o[1] + uint64(d.IntN(3))
		case 2:
			if d.IntN(4) == 0 {
				theirs.Sum[0]++
			}
		}
		back.head = &types.Header{Number: new(big.Int).SetUint64(h[0]), Time: h[1]}
		got, want := ours.Check(theirs, h[0], h[1]), filter(forkid.ID{Hash: theirs.Sum, Next: theirs.Next})
		if (got == nil) != (want == nil) {
			t.Fatalf("Check(%v) at block %d, time %d = %v, geth says %v", theirs, h[0], h[1], got, want)
		}
	}
}
