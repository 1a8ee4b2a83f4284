package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/clique"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/downloader"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/log"
	gethnode "github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/interop/peers/geth"
	"github.com/starlingp2p/starling/interop/peers/steer"
)

// startParams say what node to run, on which chain.
type startParams struct {
	ChainID   uint64   `json:"chain_id"`
	Signer    string   `json:"signer"` // key of the only signer, 32 bytes in hex
	Faucet    string   `json:"faucet"` // key of an account with funds, 32 bytes in hex
	Period    uint64   `json:"period"` // seconds between blocks
	Key       string   `json:"key"`    // of the node, 32 bytes in hex
	Listen    string   `json:"listen"` // host:port
	Discovery bool     `json:"discovery"`
	Bootnodes []string `json:"bootnodes"`
}

// ready is the answer to start.
type ready struct {
	Enode   string          `json:"enode"`
	Genesis json.RawMessage `json:"genesis"` // as geth init takes it
	Hash    string          `json:"genesis_hash"`
}

// node is a geth that runs.
type node struct {
	geth.Node
	genesis *core.Genesis
	faucet  *ecdsa.PrivateKey
	sealer  sealer
}

func genesis(s startParams, signer, faucet common.Address) *core.Genesis {
	zero := big.NewInt(0)
	return &core.Genesis{
		Config: &params.ChainConfig{
			ChainID: new(big.Int).SetUint64(s.ChainID), HomesteadBlock: zero, EIP150Block: zero, EIP155Block: zero, EIP158Block: zero,
			ByzantiumBlock: zero, ConstantinopleBlock: zero, PetersburgBlock: zero, IstanbulBlock: zero, BerlinBlock: zero, LondonBlock: zero,
			Clique: &params.CliqueConfig{Period: s.Period, Epoch: 30000},
		},
		ExtraData: bytes.Join([][]byte{make([]byte, 32), signer[:], make([]byte, crypto.SignatureLength)}, nil),
		GasLimit:  30_000_000, Difficulty: big.NewInt(1), BaseFee: big.NewInt(params.InitialBaseFee), Timestamp: 1_700_000_000,
		Alloc: types.GenesisAlloc{faucet: {Balance: new(big.Int).Lsh(big.NewInt(1), 100)}},
	}
}

func start(_ context.Context, raw json.RawMessage, emit func(any)) (steer.Peer, any, error) {
	var s startParams
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, nil, err
	}
	n, err := open(s, emit)
	if err != nil {
		return nil, nil, err
	}
	return n, n.ready(), nil
}

func open(s startParams, emit func(any)) (*node, error) {
	log.SetDefault(log.NewLogger(log.NewTerminalHandlerWithLevel(os.Stderr, log.LevelInfo, false)))
	var keys [3]*ecdsa.PrivateKey
	for i, text := range []string{s.Signer, s.Faucet, s.Key} {
		var err error
		if keys[i], err = crypto.HexToECDSA(text); err != nil {
			return nil, fmt.Errorf("key %d: %w", i, err)
		}
	}
	signer := crypto.PubkeyToAddress(keys[0].PublicKey)
	n := &node{
		genesis: genesis(s, signer, crypto.PubkeyToAddress(keys[1].PublicKey)), faucet: keys[1],
	}
	cfg := gethnode.Config{Name: "geth", Version: "1.13.15", UseLightweightKDF: true, P2P: p2p.Config{
		PrivateKey: keys[2], MaxPeers: 50, ListenAddr: s.Listen, NoDiscovery: !s.Discovery,
	}}
	var err error
	if cfg.P2P.BootstrapNodes, err = geth.Enodes(s.Bootnodes); err != nil {
		return nil, err
	}
	if n.Stack, err = gethnode.New(&cfg); err != nil {
		return nil, err
	}
	ecfg := ethconfig.Defaults
	ecfg.Genesis, ecfg.SyncMode, ecfg.NetworkId = n.genesis, downloader.FullSync, s.ChainID
	ecfg.DatabaseCache, ecfg.TrieCleanCache, ecfg.TrieDirtyCache, ecfg.SnapshotCache = 64, 16, 16, 0
	ecfg.TxPool.Journal, ecfg.Miner.Etherbase = "", signer
	if n.Eth, err = eth.New(n.Stack, &ecfg); err != nil {
		return nil, errors.Join(err, n.Stack.Close())
	}
	engine := n.Eth.Engine()
	if b, ok := engine.(*beacon.Beacon); ok {
		engine = b.InnerEngine()
	}
	engine.(*clique.Clique).Authorize(signer, func(_ accounts.Account, _ string, message []byte) ([]byte, error) {
		if err := n.sealer.sign(message); err != nil {
			return nil, err
		}
		return crypto.Sign(crypto.Keccak256(message), keys[0])
	})
	if err := n.Stack.Start(); err != nil {
		return nil, errors.Join(err, n.Stack.Close())
	}
	n.Watch(emit, func(h core.ChainHeadEvent) *types.Header { return h.Block.Header() })
	return n, nil
}

func (n *node) Close() error {
	n.Eth.StopMining()
	return n.Node.Close()
}

func (n *node) ready() ready {
	genesis, _ := json.Marshal(n.genesis)
	return ready{Enode: n.Stack.Server().Self().URLv4(), Genesis: genesis, Hash: n.Eth.BlockChain().Genesis().Hash().Hex()}
}

func (n *node) Do(ctx context.Context, c steer.Command) (any, error) {
	switch c.Do {
	case "head":
		h := n.Eth.BlockChain().CurrentBlock()
		td := n.Eth.BlockChain().GetTd(h.Hash(), h.Number.Uint64())
		return map[string]any{"number": h.Number.Uint64(), "hash": h.Hash().Hex(), "td": td.String()}, nil
	case "block":
		b := n.Eth.BlockChain().GetBlockByNumber(c.Number)
		if b == nil {
			return nil, fmt.Errorf("no block %d", c.Number)
		}
		return geth.Block(b)
	case "seal":
		if err := n.sealer.wake(ctx); err != nil {
			return nil, err
		}
		n.Eth.SetSynced()
		n.Eth.Miner().Start()
		return true, nil
	case "rest":
		n.Eth.StopMining()
		return true, n.sealer.rest(ctx, n.Eth.BlockChain())
	case "send":
		return n.send(c.Count)
	case "pool":
		hashes := []string{}
		for _, txs := range n.Eth.TxPool().Pending(txpool.PendingFilter{}) {
			for _, tx := range txs {
				hashes = append(hashes, tx.Hash.Hex())
			}
		}
		return hashes, nil
	}
	return n.Node.Do(ctx, c)
}

// send puts transfers of the faucet into the pool.
func (n *node) send(count int) (any, error) {
	from := crypto.PubkeyToAddress(n.faucet.PublicKey)
	nonce, signer := n.Eth.TxPool().Nonce(from), types.LatestSigner(n.genesis.Config)
	hashes := []string{}
	for k := range count {
		tx, err := types.SignNewTx(n.faucet, signer, &types.LegacyTx{
			Nonce: nonce + uint64(k), To: &common.Address{0xbb}, Value: big.NewInt(1), Gas: params.TxGas, GasPrice: big.NewInt(2 * params.GWei),
		})
		if err != nil {
			return nil, err
		}
		if errs := n.Eth.TxPool().Add([]*types.Transaction{tx}, true, true); errs[0] != nil {
			return nil, fmt.Errorf("transaction %d: %w", k, errs[0])
		}
		hashes = append(hashes, tx.Hash().Hex())
	}
	return hashes, nil
}
