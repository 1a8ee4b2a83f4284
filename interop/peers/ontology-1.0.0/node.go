package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ontio/ontology-crypto/keypair"
	alog "github.com/ontio/ontology-eventbus/log"
	"github.com/ontio/ontology/account"
	"github.com/ontio/ontology/common"
	"github.com/ontio/ontology/common/config"
	"github.com/ontio/ontology/common/log"
	"github.com/ontio/ontology/consensus"
	"github.com/ontio/ontology/core/ledger"
	"github.com/ontio/ontology/events"
	hserver "github.com/ontio/ontology/http/base/actor"
	"github.com/ontio/ontology/p2pserver"
	netreqactor "github.com/ontio/ontology/p2pserver/actor/req"
	p2pactor "github.com/ontio/ontology/p2pserver/actor/server"
	"github.com/ontio/ontology/txnpool"
	tc "github.com/ontio/ontology/txnpool/common"
	"github.com/ontio/ontology/txnpool/proc"
	"github.com/ontio/ontology/validator/stateful"
	"github.com/ontio/ontology/validator/stateless"

	"github.com/starlingp2p/starling/interop/peers/steer"
)

// startParams say what node to run.
type startParams struct {
	Dir       string   `json:"dir"`        // of its own; it becomes the working folder
	Magic     uint32   `json:"magic"`      // of the network
	Port      uint     `json:"port"`       // to listen on
	Cons      uint     `json:"cons"`       // port of the consensus link; 0: none
	Seeds     []string `json:"seeds"`      // host:port
	Keys      []string `json:"keys"`       // of the bookkeepers, 32 bytes in hex each; one: solo, four or more: dbft
	Own       int      `json:"own"`        // which of the keys is ours
	Consensus bool     `json:"consensus"`  // takes part in it
	Height    uint32   `json:"height"`     // up to which blocks are made at start (solo)
	Txs       int      `json:"txs"`        // in each of those
	BlockTime uint     `json:"block_time"` // seconds, of dbft; at least 6
}

// ready is the answer to start.
type ready struct {
	ID      uint64 `json:"id"`
	Genesis string `json:"genesis"` // hash, as Ontology prints it
	Head    string `json:"head"`
}

// node is an Ontology that runs.
type node struct {
	params startParams
	signer *account.Account
	pool   *proc.TXPoolServer
	p2p    *p2pserver.P2PServer

	mu    sync.Mutex
	nonce uint32
}

func start(_ context.Context, raw json.RawMessage, emit func(any)) (steer.Peer, any, error) {
	n := &node{nonce: 1 << 30}
	if err := json.Unmarshal(raw, &n.params); err != nil {
		return nil, nil, err
	}
	s := n.params
	if err := os.Chdir(s.Dir); err != nil { // it writes peers.recent where it stands
		return nil, nil, err
	}
	alog.InitLog("./log/")
	log.InitLog(log.InfoLog, os.Stderr)
	if err := n.configure(); err != nil {
		return nil, nil, err
	}
	events.Init()
	if err := openLedger("."); err != nil {
		return nil, nil, err
	}
	if err := extend(n.signer, s.Height, s.Txs); err != nil {
		return nil, nil, err
	}
	if err := n.serve(); err != nil {
		return nil, nil, err
	}
	genesis := ledger.DefLedger.GetBlockHash(0)
	head := ledger.DefLedger.GetCurrentBlockHash()
	return n, ready{n.p2p.GetID(), genesis.ToHexString(), head.ToHexString()}, nil
}

// configure fills in the globals.
func (n *node) configure() error {
	s, cfg := n.params, config.DefConfig
	var keys []string
	for i, text := range s.Keys {
		acc, err := accountOf(text)
		if err != nil {
			return err
		}
		if i == s.Own {
			n.signer = acc
		}
		keys = append(keys, hex.EncodeToString(keypair.SerializePublicKey(acc.PublicKey)))
	}
	if n.signer == nil {
		return fmt.Errorf("own is %d, there are %d keys", s.Own, len(s.Keys))
	}
	g := &config.GenesisConfig{
		SeedList: s.Seeds, ConsensusType: config.CONSENSUS_TYPE_DBFT,
		VBFT: &config.VBFTConfig{}, DBFT: &config.DBFTConfig{GenBlockTime: s.BlockTime, Bookkeepers: keys},
		SOLO: &config.SOLOConfig{GenBlockTime: config.DEFAULT_GEN_BLOCK_TIME, Bookkeepers: keys},
	}
	if len(keys) == 1 {
		g.ConsensusType = config.CONSENSUS_TYPE_SOLO
	}
	cfg.Genesis = g
	cfg.Common.DataDir = "."
	cfg.Consensus.EnableConsensus = s.Consensus
	p := cfg.P2PNode
	p.NetworkId, p.NetworkMagic, p.NetworkName = s.Magic, s.Magic, "interop"
	p.NodePort, p.NodeConsensusPort, p.DualPortSupport = s.Port, s.Cons, s.Cons != 0
	p.HttpInfoPort = 0
	return nil
}

// serve starts the pool, the P2P server and, if wanted, the consensus.
func (n *node) serve() error {
	var err error
	if n.pool, err = txnpool.StartTxnPoolServer(false); err != nil {
		return err
	}
	for _, name := range []string{"stateless_validator", "stateless_validator2"} {
		v, err := stateless.NewValidator(name)
		if err != nil {
			return err
		}
		v.Register(n.pool.GetPID(tc.VerifyRspActor))
	}
	v, err := stateful.NewValidator("stateful_validator")
	if err != nil {
		return err
	}
	v.Register(n.pool.GetPID(tc.VerifyRspActor))
	hserver.SetTxnPoolPid(n.pool.GetPID(tc.TxPoolActor))
	hserver.SetTxPid(n.pool.GetPID(tc.TxActor))

	n.p2p = p2pserver.NewServer()
	pid, err := p2pactor.NewP2PActor(n.p2p).Start()
	if err != nil {
		return err
	}
	n.p2p.SetPID(pid)
	if err := n.p2p.Start(); err != nil {
		return err
	}
	netreqactor.SetTxnPoolPid(n.pool.GetPID(tc.TxActor))
	n.pool.RegisterActor(tc.NetActor, pid)
	hserver.SetNetServerPID(pid)
	if !n.params.Consensus {
		return nil
	}
	service, err := consensus.NewConsensusService(config.DefConfig.Genesis.ConsensusType, n.signer, n.pool.GetPID(tc.TxPoolActor), nil, pid)
	if err != nil {
		return err
	}
	netreqactor.SetConsensusPid(service.GetPID())
	go func() { // it waits for its peers, and lives as long as the process
		n.p2p.WaitForPeersStart()
		_ = service.Start()
	}()
	return nil
}

// Close ends what must be on disk; the rest ends with the process.
func (n *node) Close() error { return ledger.DefLedger.Close() }

// Do implements steer.Peer.
func (n *node) Do(_ context.Context, c steer.Command) (any, error) {
	l := ledger.DefLedger
	switch c.Do {
	case "height":
		head := l.GetCurrentBlockHash()
		return map[string]any{"headers": l.GetCurrentHeaderHeight(), "blocks": l.GetCurrentBlockHeight(), "head": head.ToHexString()}, nil
	case "block":
		b, err := l.GetBlockByHeight(uint32(c.Number))
		if err != nil {
			return nil, err
		}
		var buf bytes.Buffer
		if err := b.Serialize(&buf); err != nil {
			return nil, err
		}
		hash := b.Hash()
		return map[string]any{"hash": hash.ToHexString(), "bytes": hex.EncodeToString(buf.Bytes())}, nil
	case "peers":
		addrs := []string{}
		for _, a := range n.p2p.GetNeighborAddrs() {
			addrs = append(addrs, net.JoinHostPort(net.IP(a.IpAddr[:]).String(), fmt.Sprint(a.Port)))
		}
		return map[string]any{"established": n.p2p.GetConnectionCnt(), "addrs": addrs}, nil
	case "extend":
		return true, extend(n.signer, uint32(c.Number), n.params.Txs)
	case "send":
		return n.send(c.Count)
	case "has":
		return n.has(c.Mode)
	}
	return nil, fmt.Errorf("no command %q", c.Do)
}

// send offers transactions to the own pool as a wallet does.
func (n *node) send(count int) (any, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	hashes := []string{}
	for i := 0; i < count; i++ {
		n.nonce++
		tx, err := makeTx(n.signer, n.nonce)
		if err != nil {
			return nil, err
		}
		n.pool.GetPID(tc.TxActor).Tell(&tc.TxReq{Tx: tx, Sender: tc.HttpSender})
		hash := tx.Hash()
		hashes = append(hashes, hash.ToHexString())
	}
	return hashes, nil
}

// has looks for a transaction in the pool and in the ledger.
func (n *node) has(text string) (any, error) {
	hash, err := common.Uint256FromHexString(text)
	if err != nil {
		return nil, err
	}
	in, err := ledger.DefLedger.IsContainTransaction(hash)
	if err != nil || in {
		return in, err
	}
	reply, err := n.pool.GetPID(tc.TxActor).RequestFuture(&tc.GetTxnReq{Hash: hash}, 10*time.Second).Result()
	if err != nil {
		return nil, err
	}
	rsp, ok := reply.(*tc.GetTxnRsp)
	return ok && rsp.Txn != nil, nil
}
