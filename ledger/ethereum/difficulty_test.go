package ethereum

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/chain"
)

// parentAt is a header as far as the next one's difficulty depends on it.
func parentAt(number uint64, difficulty *big.Int, uncles bool) *types.Header {
	h := &types.Header{Number: new(big.Int).SetUint64(number), Time: 1_400_000_000, Difficulty: difficulty, UncleHash: types.EmptyUncleHash}
	if uncles {
		h.UncleHash[0]++
	}
	return h
}

// anyParent draws one near an edge, or anywhere.
func anyParent(t *rapid.T, edges []uint64) *types.Header {
	at := rapid.Uint64Range(1, 30_000_000).Draw(t, "number")
	if rapid.Bool().Draw(t, "at an edge") {
		at = rapid.SampledFrom(edges).Draw(t, "edge") + rapid.Uint64Range(0, 3).Draw(t, "past it")
	}
	difficulty := new(big.Int).SetUint64(rapid.Uint64Range(params.MinimumDifficulty.Uint64(), 1<<60).Draw(t, "difficulty"))
	return parentAt(max(at, 2)-2, difficulty, rapid.Bool().Draw(t, "uncles"))
}

// The difficulty of Ethereum's schedule is go-ethereum's, over every fork, and
// no other one passes.
func TestDifficultyIsThatOfGeth(t *testing.T) {
	f := &Family{c: Config{Chain: params.MainnetChainConfig}}
	edges, _ := Forks(f.c.Chain)
	rapid.Check(t, func(t *rapid.T) {
		parent := anyParent(t, edges)
		h := &types.Header{Time: parent.Time + rapid.Uint64Range(1, 2000).Draw(t, "after")}
		h.Difficulty = ethash.CalcDifficulty(params.MainnetChainConfig, h.Time, parent)
		if err := f.checkDifficulty(parent, h); err != nil {
			t.Fatalf("of the block after %v: %v", parent.Number, err)
		}
		h.Difficulty = new(big.Int).Add(h.Difficulty, big.NewInt(rapid.SampledFrom([]int64{-1, 1, 1 << 20}).Draw(t, "off by")))
		if err := f.checkDifficulty(parent, h); err == nil || !strings.Contains(err.Error(), h.Difficulty.String()) {
			t.Fatalf("of the block after %v: %v of %v", parent.Number, err, h.Difficulty)
		}
	})
}

// A Bomb that is held up from the first block on, for as long as a fork of
// Ethereum's delays it, is that fork's.
func TestTheBombIsThatOfGeth(t *testing.T) {
	zero := new(big.Int)
	delays := map[uint64]*params.ChainConfig{
		0:          {HomesteadBlock: zero},
		3_000_000:  {HomesteadBlock: zero, ByzantiumBlock: zero},
		5_000_000:  {HomesteadBlock: zero, ByzantiumBlock: zero, ConstantinopleBlock: zero},
		9_000_000:  {HomesteadBlock: zero, ByzantiumBlock: zero, MuirGlacierBlock: zero},
		9_700_000:  {HomesteadBlock: zero, ByzantiumBlock: zero, LondonBlock: zero},
		10_700_000: {HomesteadBlock: zero, ByzantiumBlock: zero, ArrowGlacierBlock: zero},
		11_400_000: {HomesteadBlock: zero, ByzantiumBlock: zero, GrayGlacierBlock: zero},
		1:          {}, // Frontier, a block behind
	}
	for delay, cfg := range delays {
		edges := []uint64{delay, delay + bombPeriod, delay + 2*bombPeriod, delay + 3*bombPeriod}
		rapid.Check(t, func(t *rapid.T) {
			parent := anyParent(t, edges)
			time := parent.Time + rapid.Uint64Range(1, 2000).Draw(t, "after")
			want := ethash.CalcDifficulty(cfg, time, parent)
			f := &Family{c: Config{Chain: cfg, Bomb: &Bomb{Length: delay}}}
			if delay == 1 {
				f.c.Bomb = &Bomb{Pause: math.MaxUint64}
			}
			if got, err := f.difficulty(time, parent); err != nil || got.Cmp(want) != 0 {
				t.Fatalf("with a delay of %d the block after %v has %v, %v; geth says %v", delay, parent.Number, got, err, want)
			}
		})
	}
}

// Ethereum Classic's difficulty is that of core-geth around every change: the
// pause of the bomb, its end, and the formulas.
func TestDifficultyOfClassicIsCoreGeths(t *testing.T) {
	g, block := preset(t, "classic")
	if want := (Bomb{Pause: 3_000_000, Length: 2_000_000, End: 5_900_000}); g.Bomb == nil || *g.Bomb != want {
		t.Fatalf("bomb of the preset is %+v, want %+v", g.Bomb, want)
	}
	f, err := New(Config{Network: "classic", Chain: g.Config, ExtraForks: g.ExtraForks, Bomb: g.Bomb, Genesis: block})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/core-geth-1.12.20/difficulty.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		var number, after uint64
		var uncles bool
		have, want := new(big.Int), new(big.Int)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if _, err := fmt.Sscan(line, &number, &after, &uncles, have, want); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		parent := parentAt(number-1, have, uncles)
		if got, err := f.difficulty(parent.Time+after, parent); err != nil || got.Cmp(want) != 0 {
			t.Errorf("block %d, %d s after its parent of %v: %v, %v; core-geth says %v", number, after, have, got, err, want)
		}
		n++
	}
	if n < 200 {
		t.Errorf("only %d vectors", n)
	}
}

// Block 1 of Ethereum, which is Ethereum Classic's too, as it was published; and
// with a difficulty that another time of mining would have given.
func TestTheFirstBlockOfClassicVerifies(t *testing.T) {
	g, block := preset(t, "classic")
	f, err := New(Config{Network: "classic", Chain: g.Config, ExtraForks: g.ExtraForks, Bomb: g.Bomb, Genesis: block})
	if err != nil {
		t.Fatal(err)
	}
	h := &types.Header{
		ParentHash: params.MainnetGenesisHash, UncleHash: types.EmptyUncleHash, Coinbase: common.HexToAddress("0x05a56e2d52c817161883f50c441c3228cfe54d9f"),
		Root: common.HexToHash("0xd67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3"), TxHash: types.EmptyTxsHash, ReceiptHash: types.EmptyReceiptsHash,
		Difficulty: big.NewInt(17171480576), Number: big.NewInt(1), GasLimit: 5000, Time: 1438269988, Extra: common.FromHex("0x476574682f76312e302e302f6c696e75782f676f312e342e32"),
		MixDigest: common.HexToHash("0x969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f59"), Nonce: types.BlockNonce{0x53, 0x9b, 0xd4, 0x97, 0x9f, 0xef, 0x1e, 0xc4},
	}
	if want := common.HexToHash("0x88e96d4537bea4d9c05d12549907b32561d3bf31f45aae734cdc119f13406cb6"); h.Hash() != want {
		t.Fatalf("hash = %v, want %v", h.Hash(), want)
	}
	verify := func() error {
		ch, _, err := decodeHeader(encode(t, h))
		if err == nil {
			_, err = f.VerifyHeaders(block.Header, []chain.Header{ch})
		}
		return err
	}
	if err := verify(); err != nil {
		t.Error(err)
	}
	h.Difficulty = big.NewInt(17188257792)
	if err := verify(); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("VerifyHeaders of another difficulty = %v, want ErrInvalid", err)
	}
}

// A config that names no consensus is one of proof of work, as in geth; where it
// names one that is not geth's, difficulty is not checked.
func TestDifficultyIsCheckedWhereTheRuleIsKnown(t *testing.T) {
	for _, tt := range []struct {
		config, engine string
		want           error
	}{
		{`{"chainId":9}`, "", chain.ErrInvalid},
		{`{"chainId":9,"ethash":{},"requireBlockHashes":{}}`, "", chain.ErrInvalid},
		{`{"chainId":9,"parlia":{"period":3}}`, "parlia", nil},
		{`{"chainId":9,"ethash":null,"qbft":{}}`, "qbft", nil},
	} {
		g, err := ParseGenesis([]byte(`{"config":` + tt.config + `,"gasLimit":"0x1c9c380","difficulty":"0x20000","alloc":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		b, err := g.Block()
		if err != nil || g.Engine != tt.engine {
			t.Fatalf("%s: engine %q, %v; want %q", tt.config, g.Engine, err, tt.engine)
		}
		f, err := New(Config{Network: "test", Chain: g.Config, Engine: g.Engine, Genesis: b})
		if err != nil {
			t.Fatal(err)
		}
		if f.Proven() {
			t.Errorf("%s: its blocks are proven by nothing that is checked", tt.config)
		}
		h := next(t, b.Header)
		h.Extra, h.Difficulty = nil, big.NewInt(5)
		ch, _, err := decodeHeader(encode(t, h))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.VerifyHeaders(b.Header, []chain.Header{ch}); !errors.Is(err, tt.want) {
			t.Errorf("%s: VerifyHeaders of a wrong difficulty = %v, want %v", tt.config, err, tt.want)
		}
	}
	f := &Family{c: Config{Chain: core.DefaultGenesisBlock().Config}}
	if _, err := f.difficulty(1, parentAt(math.MaxUint64-1, big.NewInt(1), false)); err == nil {
		t.Error("the bomb of any number is computed")
	}
}
