package ethereum

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/forkid"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/networks"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// preset is a network that the program knows, and its genesis block.
func preset(t *testing.T, name string) (*Genesis, chain.Block) {
	t.Helper()
	p, err := networks.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := ParseGenesis(p.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	b, err := g.Block()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Network: name, Chain: g.Config, ExtraForks: g.ExtraForks, Bomb: g.Bomb, Engine: g.Engine, Genesis: b}); err != nil {
		t.Fatal(err)
	}
	return g, b
}

// The presets have the genesis blocks and schedules of go-ethereum, and
// identifiers of forks equal to those of core/forkid around every fork.
func TestPresetsAreGethsNetworks(t *testing.T) {
	for name, geth := range map[string]*core.Genesis{
		"ethereum": core.DefaultGenesisBlock(), "sepolia": core.DefaultSepoliaGenesisBlock(), "hoodi": core.DefaultHoodiGenesisBlock(),
	} {
		t.Run(name, func(t *testing.T) {
			ours, block := preset(t, name)
			theirs := geth.ToBlock()
			if block.Ref().Hash != chain.Hash(theirs.Hash()) {
				t.Errorf("genesis is %v, geth says %v", block.Ref().Hash, theirs.Hash())
			}
			if !reflect.DeepEqual(ours.Config, geth.Config) {
				t.Errorf("chain config is %v, geth says %v", ours.Config, geth.Config)
			}
			blocks, times := Forks(ours.Config, ours.ExtraForks...)
			forks := eth.NewForks(block.Ref().Hash, ours.Timestamp, blocks, times)
			for _, number := range append(blocks, 0, 1<<40) {
				for _, at := range append(times, 0, 1<<40) {
					for _, k := range []uint64{0, 1} {
						n, s := max(number, k)-k, max(at, k)-k
						want := forkid.NewID(geth.Config, theirs, n, s)
						if got := forks.ID(n, s); got.Sum != want.Hash || got.Next != want.Next {
							t.Fatalf("at block %d, time %d the fork id is %v, geth says %x/%d", n, s, got, want.Hash, want.Next)
						}
					}
				}
			}
		})
	}
}

// Ethereum Classic begins with Ethereum's genesis block and has identifiers of
// its own: those that core-geth v1.12.20 expects (core/forkid/forkid_test.go).
func TestThePresetOfClassicIsCoreGeths(t *testing.T) {
	g, block := preset(t, "classic")
	if block.Ref().Hash != chain.Hash(params.MainnetGenesisHash) || g.Config.ChainID.Uint64() != 61 {
		t.Errorf("genesis is %v, chain %v", block.Ref().Hash, g.Config.ChainID)
	}
	blocks, times := Forks(g.Config, g.ExtraForks...)
	forks := eth.NewForks(block.Ref().Hash, g.Timestamp, blocks, times)
	want := []struct {
		from uint64
		sum  uint32
	}{
		{0, 0xfc64ec04},
		{1150000, 0x97c2c34c},
		{2500000, 0xdb06803f},
		{3000000, 0xaff4bed4},
		{5000000, 0xf79a63c0},
		{5900000, 0x744899d6},
		{8772000, 0x518b59c6},
		{9573000, 0x7ba22882},
		{10500839, 0x9007bfcc},
		{11700000, 0xdb63a1ca},
		{13189133, 0x0f6bf187},
		{14525000, 0x7fd1bb25},
		{19250000, 0xbe46d57c},
	}
	for i, w := range want {
		next, last := uint64(0), w.from+1
		if i+1 < len(want) {
			next = want[i+1].from
			last = next - 1
		}
		for _, n := range []uint64{w.from, w.from + 1, last} {
			got := forks.ID(n, 0)
			if binary.BigEndian.Uint32(got.Sum[:]) != w.sum || got.Next != next {
				t.Errorf("at block %d the fork id is %v, core-geth says %x/%d", n, got, w.sum, next)
			}
		}
	}
}

// A genesis file may give the root of its allocations in their place.
func TestAStateHashStandsForTheAllocations(t *testing.T) {
	root := common.Hash{7}
	for _, c := range []struct {
		text string
		good bool
	}{
		{`{"config":{"chainId":9},"gasLimit":"0x1","difficulty":"0x1","stateHash":"` + root.Hex() + `"}`, true},
		{`{"config":{"chainId":9},"gasLimit":"0x1","difficulty":"0x1","alloc":{},"stateHash":"` + root.Hex() + `"}`, true},
		{`{"config":{"chainId":9},"gasLimit":"0x1","difficulty":"0x1"}`, false},
		{`{"config":{"chainId":9},"gasLimit":"0x1","difficulty":"0x1","alloc":{"0x01":{"balance":"1"}},"stateHash":"` + root.Hex() + `"}`, false},
	} {
		g, err := ParseGenesis([]byte(c.text))
		if (err == nil) != c.good {
			t.Errorf("%s: %v, want good %v", c.text, err, c.good)
		}
		if err != nil {
			continue
		}
		h, err := g.Header()
		if err != nil || h.Root != root || h.TxHash != types.EmptyTxsHash {
			t.Errorf("%s: header %v, %v", c.text, h, err)
		}
	}
}
