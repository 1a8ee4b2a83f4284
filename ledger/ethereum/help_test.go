package ethereum

import (
	"bytes"
	"crypto/ecdsa"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	gethproto "github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

func key(t testing.TB, i int) *ecdsa.PrivateKey {
	t.Helper()
	k, err := crypto.ToECDSA(crypto.Keccak256([]byte("ledger/ethereum test"), []byte{byte(i)}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func address(t testing.TB, i int) common.Address { return crypto.PubkeyToAddress(key(t, i).PublicKey) }

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// blockOf is a block of geth's with its receipts.
func blockOf(t testing.TB, b *types.Block, receipts types.Receipts) chain.Block {
	t.Helper()
	h, _, err := decodeHeader(encode(t, b.Header()))
	if err != nil {
		t.Fatal(err)
	}
	if h.Ref.Hash != chain.Hash(b.Hash()) {
		t.Fatalf("hash is %v, geth says %v", h.Ref.Hash, b.Hash())
	}
	return chain.Block{Header: h, Body: encode(t, b.Body()), Extra: encode(t, gethproto.NewReceiptList(receipts))}
}

// world is a chain that geth has made, and our family of it.
type world struct {
	family *Family
	blocks []chain.Block // from genesis on
}

// generate lets geth make a chain of n blocks with transfers and logs.
func generate(t testing.TB, cfg *params.ChainConfig, n int) world {
	t.Helper()
	alloc := types.GenesisAlloc{
		address(t, 1): {Balance: new(big.Int).Lsh(big.NewInt(1), 80)},
		// A contract that logs twice: PUSH1 7, PUSH1 0, PUSH1 0, LOG1; PUSH1 0, PUSH1 0, LOG0.
		common.HexToAddress("0xc0de"): {Balance: new(big.Int), Code: common.FromHex("600760006000a160006000a000"), Storage: map[common.Hash]common.Hash{{1}: {2}, {3}: {}}},
	}
	g := &core.Genesis{Config: cfg, Alloc: alloc, GasLimit: 30_000_000, Difficulty: big.NewInt(131072), Timestamp: 1_700_000_000}
	if cfg.TerminalTotalDifficulty != nil {
		g.Difficulty = new(big.Int)
	}
	engine := beacon.New(ethash.NewFaker())
	_, blocks, receipts := core.GenerateChainWithGenesis(g, engine, n, func(i int, b *core.BlockGen) {
		price := big.NewInt(params.GWei)
		signer := types.MakeSigner(cfg, b.Number(), b.Timestamp())
		for k := range i % 4 {
			to, gas := common.Address{byte(k)}, uint64(21000)
			if k == 1 {
				to, gas = common.HexToAddress("0xc0de"), 60000
			}
			var data types.TxData = &types.LegacyTx{Nonce: b.TxNonce(address(t, 1)), GasPrice: price, Gas: gas, To: &to, Value: big.NewInt(int64(k))}
			if cfg.IsLondon(b.Number()) && k%2 == 1 {
				data = &types.DynamicFeeTx{ChainID: cfg.ChainID, Nonce: b.TxNonce(address(t, 1)), GasFeeCap: price, GasTipCap: big.NewInt(1), Gas: gas, To: &to, Value: big.NewInt(1)}
			}
			tx, err := types.SignNewTx(key(t, 1), signer, data)
			if err != nil {
				t.Fatal(err)
			}
			b.AddTx(tx)
		}
		if cfg.TerminalTotalDifficulty == nil && i > 3 && i%5 == 0 {
			b.AddUncle(&types.Header{ParentHash: b.PrevBlock(i - 2).Hash(), Number: big.NewInt(int64(i)), GasLimit: 30_000_000})
		}
	})
	ours := &Genesis{Config: cfg, Alloc: alloc, GasLimit: g.GasLimit, Difficulty: g.Difficulty, Timestamp: g.Timestamp}
	first, err := ours.Block()
	if err != nil {
		t.Fatal(err)
	}
	if want := g.ToBlock().Hash(); first.Ref().Hash != chain.Hash(want) {
		t.Fatalf("genesis is %v, geth says %v", first.Ref().Hash, want)
	}
	f, err := New(Config{Network: "test", Chain: cfg, Genesis: first})
	if err != nil {
		t.Fatal(err)
	}
	w := world{family: f, blocks: []chain.Block{first}}
	for i, b := range blocks {
		w.blocks = append(w.blocks, blockOf(t, b, receipts[i]))
	}
	return w
}

func (w world) headers(from int) (hs []chain.Header) {
	for _, b := range w.blocks[from:] {
		hs = append(hs, b.Header)
	}
	return hs
}

// configs are chains of several eras.
func configs() map[string]*params.ChainConfig {
	frontier := &params.ChainConfig{ChainID: big.NewInt(1337), Ethash: new(params.EthashConfig)}
	byzantium := &params.ChainConfig{
		ChainID: big.NewInt(1337), HomesteadBlock: big.NewInt(2), EIP150Block: big.NewInt(3), EIP155Block: big.NewInt(4),
		EIP158Block: big.NewInt(4), ByzantiumBlock: big.NewInt(6), ConstantinopleBlock: big.NewInt(8), PetersburgBlock: big.NewInt(8),
		IstanbulBlock: big.NewInt(10), MuirGlacierBlock: big.NewInt(12), BerlinBlock: big.NewInt(14), LondonBlock: big.NewInt(16), Ethash: new(params.EthashConfig),
	}
	merged := *params.MergedTestChainConfig
	merged.PragueTime, merged.OsakaTime, merged.BPO1Time, merged.BPO2Time, merged.AmsterdamTime = nil, nil, nil, nil, nil // which want system contracts
	return map[string]*params.ChainConfig{"frontier": frontier, "all forks by block": byzantium, "after the merge": &merged}
}

func mutate(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at%len(b)] ^= 1 << (at % 8)
	return b
}
