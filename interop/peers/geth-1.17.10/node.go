package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/log"
	gethnode "github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"

	"github.com/starlingp2p/starling/interop/peers/geth"
	"github.com/starlingp2p/starling/interop/peers/steer"
)

// startParams say what node to run.
type startParams struct {
	chainParams
	Key         string   `json:"key"`      // of the node, 32 bytes in hex
	Listen      string   `json:"listen"`   // host:port
	Blocks      uint64   `json:"blocks"`   // of the chain that it has at start
	Versions    []uint   `json:"versions"` // of eth that it offers; empty: all
	DiscoveryV4 bool     `json:"discovery_v4"`
	DiscoveryV5 bool     `json:"discovery_v5"`
	Bootnodes   []string `json:"bootnodes"`
	MaxPeers    int      `json:"max_peers"` // 0: 50
	Echo        []echo   `json:"echo"`      // protocols beside eth
	// JWT is a file with the secret of the Engine API, which is then on.
	JWT        string `json:"jwt"`
	EnginePort int    `json:"engine_port"` // 0: any free one
}

// ready is the answer to start.
type ready struct {
	Enode   string          `json:"enode"`
	ENR     string          `json:"enr"`
	Genesis json.RawMessage `json:"genesis"` // as geth init takes it
	Hash    string          `json:"genesis_hash"`
	Head    uint64          `json:"head"`
	Engine  string          `json:"engine"` // URL of the Engine API, where it is on
}

// node is a geth that runs.
type node struct {
	geth.Node
	maker *maker
	jwt   string // the Engine API's file; empty: it is off
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
	log.SetDefault(log.NewLogger(log.NewTerminalHandlerWithLevel(os.Stderr, slog.LevelInfo, false)))
	m, err := newMaker(s.chainParams)
	if err != nil {
		return nil, err
	}
	m.extend(s.Blocks)
	key, err := crypto.HexToECDSA(s.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	cfg := gethnode.Config{Name: "geth", Version: "1.17.10", UseLightweightKDF: true, P2P: p2p.Config{
		PrivateKey: key, MaxPeers: s.MaxPeers, ListenAddr: s.Listen, NoDiscovery: !s.DiscoveryV4 && !s.DiscoveryV5,
		DiscoveryV4: s.DiscoveryV4, DiscoveryV5: s.DiscoveryV5,
	}}
	if s.MaxPeers == 0 {
		cfg.P2P.MaxPeers = 50
	}
	if s.JWT != "" {
		cfg.AuthAddr, cfg.AuthPort, cfg.JWTSecret = "127.0.0.1", s.EnginePort, s.JWT
	}
	if cfg.P2P.BootstrapNodes, err = geth.Enodes(s.Bootnodes); err != nil {
		return nil, err
	}
	cfg.P2P.BootstrapNodesV5 = cfg.P2P.BootstrapNodes
	n := &node{maker: m, jwt: s.JWT}
	if n.Stack, err = gethnode.New(&cfg); err != nil {
		return nil, err
	}
	ecfg := ethconfig.Defaults
	ecfg.Genesis, ecfg.SyncMode, ecfg.NetworkId = m.genesis, ethconfig.FullSync, s.ChainID
	ecfg.DatabaseCache, ecfg.TrieCleanCache, ecfg.TrieDirtyCache, ecfg.SnapshotCache = 64, 16, 16, 0
	ecfg.SlowBlockThreshold = -1
	ecfg.TxPool.Journal, ecfg.TxPool.PriceLimit = "", 1
	ecfg.TxPool.AccountSlots, ecfg.TxPool.GlobalSlots, ecfg.TxPool.AccountQueue = 4096, 8192, 4096
	if n.Eth, err = eth.New(n.Stack, &ecfg); err != nil {
		return nil, errors.Join(err, n.Stack.Close())
	}
	if s.JWT != "" {
		if err := catalyst.Register(n.Stack, n.Eth); err != nil {
			return nil, errors.Join(err, n.Stack.Close())
		}
	}
	if len(s.Versions) > 0 {
		srv := n.Stack.Server()
		srv.Protocols = slices.DeleteFunc(srv.Protocols, func(p p2p.Protocol) bool {
			return p.Name != "eth" || !slices.Contains(s.Versions, p.Version)
		})
	}
	for _, e := range s.Echo {
		n.Stack.Server().Protocols = append(n.Stack.Server().Protocols, e.protocol())
	}
	if _, err := n.Eth.BlockChain().InsertChain(m.blocks); err != nil {
		return nil, errors.Join(fmt.Errorf("import of the chain: %w", err), n.Stack.Close())
	}
	if err := n.Stack.Start(); err != nil {
		return nil, errors.Join(err, n.Stack.Close())
	}
	n.Watch(emit, func(h core.ChainHeadEvent) *types.Header { return h.Header })
	return n, nil
}

func (n *node) ready() ready {
	genesis, _ := json.Marshal(n.maker.genesis)
	self := n.Stack.Server().Self()
	engine := ""
	if n.jwt != "" {
		engine = n.Stack.HTTPAuthEndpoint()
	}
	return ready{
		Engine: engine, Enode: self.URLv4(), ENR: self.String(), Genesis: genesis,
		Hash: n.Eth.BlockChain().Genesis().Hash().Hex(), Head: n.Eth.BlockChain().CurrentBlock().Number.Uint64(),
	}
}

func (n *node) Do(ctx context.Context, c steer.Command) (any, error) {
	switch c.Do {
	case "head":
		h := n.Eth.BlockChain().CurrentBlock()
		return map[string]any{"number": h.Number.Uint64(), "hash": h.Hash().Hex()}, nil
	case "block":
		return n.block(c.Number)
	case "target":
		n.maker.extend(c.Number)
		head := n.maker.blocks[c.Number-1].Header()
		return true, n.Eth.Downloader().BeaconSync(head, head)
	case "extend":
		n.maker.extend(c.Number)
		// Those that it has are left out: to import them again rewinds it to them.
		have := n.Eth.BlockChain().CurrentBlock().Number.Uint64()
		_, err := n.Eth.BlockChain().InsertChain(n.maker.blocks[have:max(have, c.Number)])
		return true, err
	case "synced":
		n.Eth.SetSynced()
		return true, nil
	case "send":
		return n.send(c.Count)
	case "blobs":
		return n.blobs(c)
	case "drive":
		return n.drive(ctx, c)
	case "pool":
		hashes := []string{}
		for _, blobs := range []bool{false, true} {
			pending, _ := n.Eth.TxPool().Pending(txpool.PendingFilter{BlobTxs: blobs, BlobVersion: types.BlobSidecarVersion1})
			for _, txs := range pending {
				for _, tx := range txs {
					hashes = append(hashes, tx.Hash.Hex())
				}
			}
		}
		return hashes, nil
	}
	return n.Node.Do(ctx, c)
}

// block gives block number of the chain.
func (n *node) block(number uint64) (any, error) {
	n.maker.extend(number)
	b := n.Eth.BlockChain().Genesis()
	if number > 0 {
		b = n.maker.blocks[number-1]
	}
	return geth.Block(b)
}

// send puts transfers of the faucet into the pool.
func (n *node) send(count int) (any, error) {
	nonce := n.Eth.TxPool().PoolNonce(n.maker.from)
	txs := n.maker.transfers(nonce, count)
	var errs []error
	for i, err := range n.Eth.TxPool().Add([]*types.Transaction(txs), true) {
		if err != nil {
			errs = append(errs, fmt.Errorf("transaction %d: %w", i, err))
		}
	}
	hashes := []string{}
	for _, tx := range txs {
		hashes = append(hashes, tx.Hash().Hex())
	}
	return hashes, errors.Join(errs...)
}
