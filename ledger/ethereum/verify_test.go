package ethereum

import (
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/chain"
)

// TestChainsOfGethVerify takes chains that geth made, of several eras: headers,
// bodies, receipts and total difficulty.
func TestChainsOfGethVerify(t *testing.T) {
	for name, cfg := range configs() {
		t.Run(name, func(t *testing.T) {
			w := generate(t, cfg, 30)
			if n, err := w.family.VerifyHeaders(w.blocks[0].Header, w.headers(1)); err != nil || n != 30 {
				t.Fatalf("VerifyHeaders = %d, %v", n, err)
			}
			txs := 0
			for _, b := range w.blocks[1:] {
				if err := w.family.VerifyBody(b.Header, b.Body, b.Extra); err != nil {
					t.Fatal(err)
				}
				if err := w.family.VerifyBody(b.Header, b.Body, nil); err != nil {
					t.Fatal(err)
				}
				got, err := w.family.Txs(b)
				if err != nil {
					t.Fatal(err)
				}
				for _, tx := range got {
					var theirs types.Transaction
					if err := theirs.UnmarshalBinary(tx.Bytes); err != nil || chain.Hash(theirs.Hash()) != tx.Hash || theirs.Type() != tx.Kind {
						t.Fatalf("transaction %v: %v", tx.Hash, err)
					}
					txs++
				}
			}
			if txs < 30 {
				t.Errorf("only %d transactions", txs)
			}
		})
	}
}

// Threat L-01: whatever is changed in a block is found.
func TestChangedBlocksAreInvalid(t *testing.T) {
	for name, cfg := range configs() {
		t.Run(name, func(t *testing.T) {
			w := generate(t, cfg, 12)
			for i, b := range w.blocks[1:] {
				parent := w.blocks[i].Header
				for at := 0; at < 8*len(b.Header.Bytes); at += 37 {
					raw := mutate(b.Header.Bytes, at)
					h, err := w.family.DecodeHeader(raw)
					if err != nil {
						continue
					}
					// A root is no more than a claim: only bodies and states tell.
					if n, err := w.family.VerifyHeaders(parent, []chain.Header{h}); err == nil && n == 1 && w.family.VerifyBody(h, b.Body, b.Extra) == nil && h.Ref == b.Header.Ref {
						t.Fatalf("block %d with bit %d of its header changed passes as itself", i+1, at)
					}
					h.Ref = b.Header.Ref
					if _, err := w.family.VerifyHeaders(parent, []chain.Header{h}); !errors.Is(err, chain.ErrInvalid) {
						t.Fatalf("block %d: changed bytes under the true hash: %v", i+1, err)
					}
				}
				for at := range b.Body {
					if err := w.family.VerifyBody(b.Header, mutate(b.Body, at), nil); !errors.Is(err, chain.ErrInvalid) {
						t.Fatalf("block %d with byte %d of its body changed: %v", i+1, at, err)
					}
				}
				for at := range b.Extra {
					if err := w.family.VerifyBody(b.Header, b.Body, mutate(b.Extra, at)); !errors.Is(err, chain.ErrInvalid) {
						t.Fatalf("block %d with byte %d of its receipts changed: %v", i+1, at, err)
					}
				}
			}
		})
	}
}

func TestHeadersMustLinkAndFit(t *testing.T) {
	w := generate(t, configs()["after the merge"], 6)
	for name, change := range map[string]func(h *types.Header){
		"number":      func(h *types.Header) { h.Number.Add(h.Number, big.NewInt(1)) },
		"parent":      func(h *types.Header) { h.ParentHash[0]++ },
		"time":        func(h *types.Header) { h.Time -= 10 },
		"gas used":    func(h *types.Header) { h.GasUsed = h.GasLimit + 1 },
		"gas limit":   func(h *types.Header) { h.GasLimit *= 2 },
		"base fee":    func(h *types.Header) { h.BaseFee.Add(h.BaseFee, big.NewInt(1)) },
		"no base fee": func(h *types.Header) { h.BaseFee = nil },
		"extra":       func(h *types.Header) { h.Extra = make([]byte, 33) },
		"nonce":       func(h *types.Header) { h.Nonce[0] = 1 },
		"uncles":      func(h *types.Header) { h.UncleHash[0]++ },
		"difficulty":  func(h *types.Header) { h.Difficulty = big.NewInt(1) },
		"blob gas":    func(h *types.Header) { *h.ExcessBlobGas++ },
	} {
		_, h, err := decodeHeader(w.blocks[4].Header.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		change(h)
		ch, _, err := decodeHeader(encode(t, h))
		if err != nil {
			continue // it cannot even be written
		}
		if n, err := w.family.VerifyHeaders(w.blocks[3].Header, []chain.Header{ch}); n != 0 || !errors.Is(err, chain.ErrInvalid) {
			t.Errorf("%s: VerifyHeaders = %d, %v", name, n, err)
		}
	}
}

// Sepolia's preset has Amsterdam: its headers have two more fields from there on
// (EIP-7928, EIP-7843), and none before.
func TestAmsterdamHeadersHaveTheirFields(t *testing.T) {
	g, block := preset(t, "sepolia")
	f, err := New(Config{Network: "sepolia", Chain: g.Config, Genesis: block})
	if err != nil {
		t.Fatal(err)
	}
	fork := *g.Config.AmsterdamTime
	for _, tt := range []struct {
		at         uint64
		list, slot bool
		good       bool
	}{{fork - 1, false, false, true}, {fork - 1, true, true, false}, {fork, false, false, false}, {fork, true, false, false}, {fork, true, true, true}} {
		h := &types.Header{
			Number: big.NewInt(9_000_000), Time: tt.at, Difficulty: new(big.Int), GasLimit: 30_000_000, BaseFee: big.NewInt(7), UncleHash: types.EmptyUncleHash,
			WithdrawalsHash: new(common.Hash), ExcessBlobGas: new(uint64), BlobGasUsed: new(uint64), ParentBeaconRoot: new(common.Hash), RequestsHash: new(common.Hash),
		}
		if tt.list {
			h.BlockAccessListHash = new(common.Hash)
		}
		if tt.slot {
			h.SlotNumber = new(uint64)
		}
		if err := f.form(h); (err == nil) != tt.good {
			t.Errorf("at %d with access list %v and slot %v: %v, want good %v", tt.at, tt.list, tt.slot, err, tt.good)
		}
		_, back, err := decodeHeader(encode(t, h))
		if err == nil && ((back.SlotNumber != nil) != tt.slot || (back.BlockAccessListHash != nil) != tt.list) {
			t.Errorf("header comes back as %+v", back)
		}
	}
}

func TestWeightIsTotalDifficulty(t *testing.T) {
	w := generate(t, configs()["all forks by block"], 10)
	sum := new(big.Int)
	var weight chain.Weight
	for _, b := range w.blocks {
		_, h, _ := decodeHeader(b.Header.Bytes)
		sum.Add(sum, h.Difficulty)
		weight = w.family.Weight(weight, b.Header)
		if weight.Big().Cmp(sum) != 0 {
			t.Fatalf("weight of block %v is %v, want %v", b.Ref(), weight.Big(), sum)
		}
	}
	m := generate(t, configs()["after the merge"], 3)
	weight = chain.Weight{}
	for _, b := range m.blocks {
		weight = m.family.Weight(weight, b.Header)
	}
	if weight != chain.WeightOf(3) || !m.family.NeedsTarget() || w.family.NeedsTarget() {
		t.Errorf("weight after three blocks of the merge is %v, NeedsTarget %v", weight.Big(), m.family.NeedsTarget())
	}
}

// TestGenesisBlocksAreThoseOfGeth computes those of the public networks, and of
// one that begins with every fork.
func TestGenesisBlocksAreThoseOfGeth(t *testing.T) {
	slot := uint64(7)
	newest := &core.Genesis{Config: params.MergedTestChainConfig, GasLimit: 30_000_000, Difficulty: new(big.Int), Alloc: types.GenesisAlloc{}, SlotNumber: &slot}
	for name, g := range map[string]*core.Genesis{"main": core.DefaultGenesisBlock(), "sepolia": core.DefaultSepoliaGenesisBlock(), "hoodi": core.DefaultHoodiGenesisBlock(), "newest": newest} {
		b, err := g.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		ours, err := ParseGenesis(b)
		if err != nil {
			t.Fatal(err)
		}
		block, err := ours.Block()
		if err != nil || block.Ref().Hash != chain.Hash(g.ToBlock().Hash()) {
			t.Errorf("%s: genesis is %v, %v; geth says %v", name, block.Ref().Hash, err, g.ToBlock().Hash())
		}
		f, err := New(Config{Network: name, Chain: ours.Config, Genesis: block})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(f.Spec().Rules) < 5 {
			t.Errorf("%s: rules = %v", name, f.Spec().Rules)
		}
	}
}

func TestConfigsAreChecked(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("New of nothing succeeds")
	}
	bad := *params.MainnetChainConfig
	bad.BerlinBlock = big.NewInt(99_999_999)
	if err := (Config{Network: "x", Chain: &bad}).Validate(); err == nil {
		t.Error("forks out of order are not noticed")
	}
	for _, in := range []string{"", "{}", `{"config":{}}`, "[]"} {
		if _, err := ParseGenesis([]byte(in)); err == nil {
			t.Errorf("ParseGenesis(%q) = nil", in)
		}
	}
}

// FuzzBlock gives headers, bodies and receipts of the fuzzer's to the family:
// nothing panics, and a header that decodes comes back the same.
func FuzzBlock(f *testing.F) {
	w := generate(f, configs()["after the merge"], 4)
	b := w.blocks[3]
	f.Add(b.Header.Bytes, b.Body, b.Extra)
	f.Fuzz(func(t *testing.T, header, body, extra []byte) {
		if h, err := w.family.DecodeHeader(header); err == nil {
			_, full, _ := decodeHeader(header)
			if string(encode(t, full)) != string(header) {
				t.Fatalf("header %x comes back as %x", header, encode(t, full))
			}
			w.family.VerifyHeaders(b.Header, []chain.Header{h})
			w.family.VerifyBody(h, body, extra)
			w.family.Check(chain.Block{Header: h, Body: body, Extra: extra})
		}
		w.family.VerifyBody(b.Header, body, extra)
		w.family.VerifyBody(b.Header, b.Body, extra)
		w.family.Txs(chain.Block{Header: b.Header, Body: body})
	})
}
