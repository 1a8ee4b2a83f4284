package main

import (
	"context"
	"encoding/hex"
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
	"github.com/ethereum/go-ethereum/event"
	"github.com/ethereum/go-ethereum/log"
	gethnode "github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/rlp"

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
	maker *maker
	stack *gethnode.Node
	eth   *eth.Ethereum
	subs  []event.Subscription
	emit  func(any)
	done  chan struct{}
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
	for _, text := range s.Bootnodes {
		b, err := enode.Parse(enode.ValidSchemes, text)
		if err != nil {
			return nil, fmt.Errorf("bootnode %q: %w", text, err)
		}
		cfg.P2P.BootstrapNodes = append(cfg.P2P.BootstrapNodes, b)
		cfg.P2P.BootstrapNodesV5 = append(cfg.P2P.BootstrapNodesV5, b)
	}
	n := &node{maker: m, emit: emit, done: make(chan struct{}), jwt: s.JWT}
	if n.stack, err = gethnode.New(&cfg); err != nil {
		return nil, err
	}
	ecfg := ethconfig.Defaults
	ecfg.Genesis, ecfg.SyncMode, ecfg.NetworkId = m.genesis, ethconfig.FullSync, s.ChainID
	ecfg.DatabaseCache, ecfg.TrieCleanCache, ecfg.TrieDirtyCache, ecfg.SnapshotCache = 64, 16, 16, 0
	ecfg.SlowBlockThreshold = -1
	ecfg.TxPool.Journal, ecfg.TxPool.PriceLimit = "", 1
	ecfg.TxPool.AccountSlots, ecfg.TxPool.GlobalSlots, ecfg.TxPool.AccountQueue = 4096, 8192, 4096
	if n.eth, err = eth.New(n.stack, &ecfg); err != nil {
		return nil, errors.Join(err, n.stack.Close())
	}
	if s.JWT != "" {
		if err := catalyst.Register(n.stack, n.eth); err != nil {
			return nil, errors.Join(err, n.stack.Close())
		}
	}
	if len(s.Versions) > 0 {
		srv := n.stack.Server()
		srv.Protocols = slices.DeleteFunc(srv.Protocols, func(p p2p.Protocol) bool {
			return p.Name != "eth" || !slices.Contains(s.Versions, p.Version)
		})
	}
	for _, e := range s.Echo {
		n.stack.Server().Protocols = append(n.stack.Server().Protocols, e.protocol())
	}
	if _, err := n.eth.BlockChain().InsertChain(m.blocks); err != nil {
		return nil, errors.Join(fmt.Errorf("import of the chain: %w", err), n.stack.Close())
	}
	if err := n.stack.Start(); err != nil {
		return nil, errors.Join(err, n.stack.Close())
	}
	n.watch()
	return n, nil
}

// watch tells of heads, transactions and peers.
func (n *node) watch() {
	heads := make(chan core.ChainHeadEvent, 256)
	txs := make(chan core.NewTxsEvent, 256)
	peers := make(chan *p2p.PeerEvent, 256)
	n.subs = []event.Subscription{
		n.eth.BlockChain().SubscribeChainHeadEvent(heads), n.eth.TxPool().SubscribeTransactions(txs, true),
		n.stack.Server().SubscribeEvents(peers),
	}
	go func() {
		for {
			select {
			case h := <-heads:
				n.emit(map[string]any{"event": "head", "number": h.Header.Number.Uint64(), "hash": h.Header.Hash().Hex()})
			case t := <-txs:
				n.emit(map[string]any{"event": "txs", "count": len(t.Txs)})
			case p := <-peers:
				n.emit(map[string]any{"event": "peer", "what": p.Type, "peer": p.Peer.String(), "error": p.Error})
			case <-n.done:
				return
			}
		}
	}()
}

func (n *node) Close() error {
	for _, s := range n.subs {
		s.Unsubscribe()
	}
	close(n.done)
	return n.stack.Close()
}

func (n *node) ready() ready {
	genesis, _ := json.Marshal(n.maker.genesis)
	self := n.stack.Server().Self()
	engine := ""
	if n.jwt != "" {
		engine = n.stack.HTTPAuthEndpoint()
	}
	return ready{
		Engine: engine, Enode: self.URLv4(), ENR: self.String(), Genesis: genesis,
		Hash: n.eth.BlockChain().Genesis().Hash().Hex(), Head: n.eth.BlockChain().CurrentBlock().Number.Uint64(),
	}
}

func (n *node) Do(ctx context.Context, c steer.Command) (any, error) {
	switch c.Do {
	case "connect", "trust":
		other, err := enode.Parse(enode.ValidSchemes, c.Addr)
		if err != nil {
			return nil, err
		}
		if c.Do == "trust" {
			n.stack.Server().AddTrustedPeer(other)
		}
		n.stack.Server().AddPeer(other)
		return true, nil
	case "peers":
		return n.stack.Server().PeersInfo(), nil
	case "head":
		h := n.eth.BlockChain().CurrentBlock()
		return map[string]any{"number": h.Number.Uint64(), "hash": h.Hash().Hex()}, nil
	case "block":
		return n.block(c.Number)
	case "target":
		n.maker.extend(c.Number)
		head := n.maker.blocks[c.Number-1].Header()
		return true, n.eth.Downloader().BeaconSync(head, head)
	case "extend":
		n.maker.extend(c.Number)
		// Those that it has are left out: to import them again rewinds it to them.
		have := n.eth.BlockChain().CurrentBlock().Number.Uint64()
		_, err := n.eth.BlockChain().InsertChain(n.maker.blocks[have:max(have, c.Number)])
		return true, err
	case "synced":
		n.eth.SetSynced()
		return true, nil
	case "send":
		return n.send(c.Count)
	case "call":
		return n.call(ctx, c.Params)
	case "drive":
		return n.drive(ctx, c)
	case "pool":
		hashes := []string{}
		pending, _ := n.eth.TxPool().Pending(txpool.PendingFilter{})
		for _, txs := range pending {
			for _, tx := range txs {
				hashes = append(hashes, tx.Hash.Hex())
			}
		}
		return hashes, nil
	}
	return nil, fmt.Errorf("no command %q", c.Do)
}

// block gives block number of the chain.
func (n *node) block(number uint64) (any, error) {
	n.maker.extend(number)
	b := n.eth.BlockChain().Genesis()
	if number > 0 {
		b = n.maker.blocks[number-1]
	}
	raw, err := rlp.EncodeToBytes(b)
	if err != nil {
		return nil, err
	}
	return map[string]any{"hash": b.Hash().Hex(), "rlp": hex.EncodeToString(raw), "txs": len(b.Transactions())}, nil
}

// send puts transfers of the faucet into the pool.
func (n *node) send(count int) (any, error) {
	nonce := n.eth.TxPool().PoolNonce(n.maker.from)
	txs := n.maker.transfers(nonce, count)
	var errs []error
	for i, err := range n.eth.TxPool().Add([]*types.Transaction(txs), true) {
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

// call asks geth's own RPC.
func (n *node) call(ctx context.Context, params json.RawMessage) (raw json.RawMessage, err error) {
	var q struct {
		Method string `json:"method"`
		Args   []any  `json:"args"`
	}
	if err := json.Unmarshal(params, &q); err != nil {
		return nil, err
	}
	client := n.stack.Attach()
	defer client.Close()
	err = client.CallContext(ctx, &raw, q.Method, q.Args...)
	return raw, err
}
