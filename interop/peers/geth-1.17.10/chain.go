package main

import (
	"crypto/ecdsa"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

// chainParams say what the chain is. Equal ones give equal blocks.
type chainParams struct {
	ChainID uint64 `json:"chain_id"`
	Txs     int    `json:"txs"` // transfers in each block
	// Faucet is the key, 32 bytes in hex, that sends all of them.
	Faucet string `json:"faucet"`

	GenesisTime uint64 `json:"genesis_time"` // Unix seconds; 0: in 2023
	BlockTime   uint64 `json:"block_time"`   // seconds; 0: 10
	// Forks after Paris by their time; none: not at all.
	Shanghai *uint64 `json:"shanghai"`
	Cancun   *uint64 `json:"cancun"`
	Prague   *uint64 `json:"prague"`
	Osaka    *uint64 `json:"osaka"`
}

// maker makes the chain's blocks.
type maker struct {
	params  chainParams
	genesis *core.Genesis
	key     *ecdsa.PrivateKey
	from    common.Address
	blocks  []*types.Block // 1, 2, …
}

func newMaker(p chainParams) (*maker, error) {
	key, err := crypto.HexToECDSA(p.Faucet)
	if err != nil {
		return nil, fmt.Errorf("faucet: %w", err)
	}
	zero := big.NewInt(0)
	from := crypto.PubkeyToAddress(key.PublicKey)
	if p.GenesisTime == 0 {
		p.GenesisTime = 1_700_000_000
	}
	m := &maker{params: p, key: key, from: from, genesis: &core.Genesis{
		Config: &params.ChainConfig{
			ChainID: new(big.Int).SetUint64(p.ChainID), HomesteadBlock: zero, EIP150Block: zero, EIP155Block: zero, EIP158Block: zero,
			ByzantiumBlock: zero, ConstantinopleBlock: zero, PetersburgBlock: zero, IstanbulBlock: zero, MuirGlacierBlock: zero,
			BerlinBlock: zero, LondonBlock: zero, ArrowGlacierBlock: zero, GrayGlacierBlock: zero, MergeNetsplitBlock: zero,
			TerminalTotalDifficulty: zero, ShanghaiTime: p.Shanghai, CancunTime: p.Cancun, PragueTime: p.Prague, OsakaTime: p.Osaka,
		},
		GasLimit: 30_000_000, Difficulty: zero, BaseFee: big.NewInt(params.InitialBaseFee), Timestamp: p.GenesisTime,
		Alloc: types.GenesisAlloc{from: {Balance: new(big.Int).Lsh(big.NewInt(1), 100)}},
	}}
	if p.Cancun != nil {
		m.genesis.Config.BlobScheduleConfig = &params.BlobScheduleConfig{Cancun: params.DefaultCancunBlobConfig, Prague: params.DefaultPragueBlobConfig}
		m.deploy(params.BeaconRootsAddress, params.BeaconRootsCode)
	}
	if p.Prague != nil { // no block is valid without them
		m.deploy(params.HistoryStorageAddress, params.HistoryStorageCode)
		m.deploy(params.WithdrawalQueueAddress, params.WithdrawalQueueCode)
		m.deploy(params.ConsolidationQueueAddress, params.ConsolidationQueueCode)
	}
	return m, nil
}

// deploy puts a system contract into the genesis.
func (m *maker) deploy(at common.Address, code []byte) {
	m.genesis.Alloc[at] = types.Account{Nonce: 1, Code: code, Balance: new(big.Int)}
}

// extend makes blocks up to number n.
func (m *maker) extend(n uint64) {
	if uint64(len(m.blocks)) >= n {
		return
	}
	signer := types.LatestSigner(m.genesis.Config)
	_, blocks, _ := core.GenerateChainWithGenesis(m.genesis, beacon.New(ethash.NewFaker()), int(n), func(i int, b *core.BlockGen) {
		if t := m.params.BlockTime; t != 0 {
			b.OffsetTime(int64(t) - 10)
		}
		if at := b.Timestamp(); m.genesis.Config.IsCancun(b.Number(), at) {
			b.SetParentBeaconRoot(common.Hash{0xbe, byte(i)})
		}
		for k := range m.params.Txs {
			tx := types.MustSignNewTx(m.key, signer, &types.DynamicFeeTx{
				ChainID: m.genesis.Config.ChainID, Nonce: uint64(i*m.params.Txs + k), To: &common.Address{0xaa, byte(k)},
				Value: big.NewInt(1), Gas: params.TxGas, GasFeeCap: big.NewInt(2 * params.InitialBaseFee), GasTipCap: big.NewInt(1),
			})
			b.AddTx(tx)
		}
	})
	m.blocks = blocks
}

// transfers signs count transfers that follow those of the chain's first n blocks.
func (m *maker) transfers(nonce uint64, count int) types.Transactions {
	signer := types.LatestSigner(m.genesis.Config)
	var txs types.Transactions
	for k := range count {
		txs = append(txs, types.MustSignNewTx(m.key, signer, &types.DynamicFeeTx{
			ChainID: m.genesis.Config.ChainID, Nonce: nonce + uint64(k), To: &common.Address{0xbb},
			Value: big.NewInt(1), Gas: params.TxGas, GasFeeCap: big.NewInt(2 * params.InitialBaseFee), GasTipCap: big.NewInt(params.GWei),
		}))
	}
	return txs
}
