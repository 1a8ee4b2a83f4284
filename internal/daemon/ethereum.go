package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// ethBlockTime is about how often Ethereum's networks make a block.
const ethBlockTime = 12 * time.Second

// A sync by total difficulty begins with as many peers as geth's, which takes
// the best of them, or after as long (eth/sync.go before the Merge).
const (
	ethSyncPeers = 5
	ethSyncWait  = 10 * time.Second
)

// openEthereum opens a network of Ethereum's kind on devp2p.
func openEthereum(s *stack, network Network, dir *Datadir, log *slog.Logger) error {
	e := network.Ethereum
	genesis, block, err := readGenesis(network, dir)
	if err != nil {
		return fmt.Errorf("network.ethereum.genesis: %w", err)
	}
	fam, err := ethereum.New(ethereum.Config{Network: network.Name, Chain: genesis.Config, ExtraForks: genesis.ExtraForks, Bomb: genesis.Bomb, Engine: genesis.Engine, Genesis: block, Logger: log.With("part", "ethereum")})
	if err != nil {
		return fmt.Errorf("network.ethereum.genesis: %w", err)
	}
	if s.ledger, err = ledger.Open(dir.Sub("chain"), ledger.Options{Family: fam, Logger: log.With("part", "ledger")}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.ledger.Close)
	fam.Attach(s.ledger)
	pool, err := ethereum.NewPool(context.Background(), ethereum.PoolConfig{
		Family: fam, Chain: s.ledger, Journal: dir.Sub("chain", "pool.journal"), Logger: log.With("part", "pool"),
		MaxTxs: e.PoolTxs, PerSender: e.PoolPerSender, Lifetime: time.Duration(e.PoolLifetime),
		MinTip: e.PoolPriceLimit, PriceBump: e.PoolPriceBump,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, pool.Close)
	w, err := newDevp2p(network, genesis, fam.NeedsTarget(), s.ledger, block, dir, log)
	if err != nil {
		return err
	}
	s.wire = w
	s.findings = append(s.findings, mistold(w))
	s.chain, s.pool, s.interval, s.backwardOnly = s.ledger, pool, ethBlockTime, fam.NeedsTarget()
	s.syncPeers, s.syncWait = ethSyncPeers, ethSyncWait
	if s.backwardOnly {
		s.findings = append(s.findings, untrusted)
	}
	if s.unproven = !fam.Proven(); s.unproven {
		s.findings = append(s.findings, unworked(genesis.Engine))
	}
	s.txs, s.hashOf = fam.Txs, ethereum.HashOf
	s.pending = func() int { n, _ := pool.Len(); return n }
	s.services = []starling.Service{&poolKeeper{pool: pool, warm: pool.Warm, log: log.With("part", "pool")}}
	if p := fam.Period(); p > 0 {
		s.interval = p
	}
	sealing, err := e.newSealing(dir, fam, s.ledger, log.With("part", "sealer"))
	if err != nil {
		return err
	}
	if sealing != nil {
		s.services = append(s.services, sealing)
	}
	if s.engineAPI, err = e.engineAPI(fam, s.ledger, dir, log); err != nil {
		return err
	}
	if s.engineAPI != nil {
		s.services = append(s.services, s.engineAPI)
		s.findings = append(s.findings, func(*Node) []why.Finding { return s.engineAPI.findings() })
	}
	if s.static, err = readNodes(dir, staticNodesFile); err != nil {
		return err
	}
	if s.trusted, err = readNodes(dir, trustedNodesFile); err != nil {
		return err
	}
	stats, err := e.newStats(dir)
	if err != nil {
		return err
	}
	if stats != nil {
		stats.source, stats.log = stats.of(s, fam, e.networkID(genesis)), log.With("part", "ethstats")
		s.services = append(s.services, stats)
	}
	s.networkID, s.eth = e.networkID(genesis), fam
	s.methods = func(n *Node) []starling.Method {
		return (&ethAPI{node: n, family: fam, pool: pool, started: n.stack.ledger.Status().Head.Number}).methods()
	}
	return nil
}

func newDevp2p(network Network, genesis *ethereum.Genesis, targetOnly bool, l *ledger.Ledger, block chain.Block, dir *Datadir, log *slog.Logger) (*devp2p.Wire, error) {
	e := network.Ethereum
	listen, err := oneListen(network.Listen)
	if err != nil {
		return nil, err
	}
	var advertise []netip.AddrPort
	for _, text := range network.Advertise {
		a, err := netip.ParseAddrPort(text)
		if err != nil {
			return nil, fmt.Errorf("network.advertise: %w", err)
		}
		advertise = append(advertise, a)
	}
	versions, err := e.offered(!targetOnly && network.Target == "")
	if err != nil {
		return nil, err
	}
	keyFile := network.KeyFile
	if keyFile == "" {
		keyFile = filepath.Join("keys", "node.key")
	}
	disc, err := e.discovery(network, listen, dir)
	if err != nil {
		return nil, err
	}
	if len(advertise) > 0 {
		disc.Advertise = advertise[0].Addr()
	}
	disc.CountLoopback = network.Limits.CountLoopback
	router, err := devp2p.ParseNAT(e.router(network, listen))
	if err != nil {
		return nil, err
	}
	blocks, times := ethereum.Forks(genesis.Config, genesis.ExtraForks...)
	return devp2p.New(devp2p.Config{
		NetworkID: e.networkID(genesis), Network: network.Name, Chain: genesis.Config, Status: l.Status, HeadTime: headTime(l),
		Forks: eth.NewForks(block.Ref().Hash, genesis.Timestamp, blocks, times), Versions: versions, WithReceipts: e.withReceipts(l.Status(), log.With("part", "ethereum")), TargetOnly: targetOnly,
		Discovery: disc, Places: e.places(),
		Listen: listen, NoListen: network.NoListen, Advertise: advertise, Router: router, KeyFile: dir.resolve(keyFile), Agent: e.agent(),
		Logger: log.With("part", "wire"),
	})
}

// networkID is the number that the network's peers compare.
func (e *Ethereum) networkID(genesis *ethereum.Genesis) uint64 {
	if e.NetworkID != 0 {
		return e.NetworkID
	}
	return genesis.Config.ChainID.Uint64()
}

// discovery is how the network looks for peers: over UDP, at the port of its
// listen address.
func (e *Ethereum) discovery(network Network, listen string, dir *Datadir) (devp2p.Discovery, error) {
	if network.NoDiscovery {
		return devp2p.Discovery{}, nil
	}
	if listen == "" {
		listen = ":30303"
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return devp2p.Discovery{}, fmt.Errorf("network.listen: %w", err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	at, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return devp2p.Discovery{}, fmt.Errorf("network.listen: %w", err)
	}
	if e.DiscoveryPort != 0 {
		at = netip.AddrPortFrom(at.Addr(), uint16(e.DiscoveryPort))
	}
	v5 := e.BootnodesV5
	if len(v5) == 0 {
		v5 = e.Bootnodes
	}
	return devp2p.Discovery{
		Listen: at, NoV4: e.NoDiscV4, NoV5: e.NoDiscV5, BootnodesV4: e.Bootnodes, BootnodesV5: v5, Lists: e.Lists, DB: dir.Sub("peers", "nodes"),
		NetRestrict: strings.Join(network.NetRestrict, ","),
	}, nil
}

// headTime tells the time of the head block, which says what forks have passed.
func headTime(l *ledger.Ledger) func() uint64 {
	return func() uint64 {
		h, err := l.Header(context.Background(), l.Status().Head)
		if err != nil {
			return 0
		}
		return uint64(h.Time.Unix())
	}
}

// maxGenesisBytes bounds a genesis file: that of a network with many accounts
// has some megabytes.
const maxGenesisBytes = 64 << 20

// readGenesis reads the file that the config names, or the preset's.
func readGenesis(network Network, dir *Datadir) (*ethereum.Genesis, chain.Block, error) {
	path := "preset " + network.Preset
	read := network.presetGenesis
	if file := network.Ethereum.Genesis; file != "" {
		path = dir.resolve(file)
		read = func() ([]byte, error) { return readBounded(path, maxGenesisBytes) }
	}
	raw, err := read()
	if err != nil {
		return nil, chain.Block{}, err
	}
	g, err := ethereum.ParseGenesis(raw)
	if err != nil {
		return nil, chain.Block{}, fmt.Errorf("%s: %w", path, err)
	}
	block, err := g.Block()
	if err != nil {
		return nil, chain.Block{}, fmt.Errorf("%s: %w", path, err)
	}
	return g, block, nil
}

// ethProtocols are the wire's protocols.
func ethProtocols() (out []string) {
	for _, v := range eth.Versions() {
		out = append(out, v.String())
	}
	return out
}
