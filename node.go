package starling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/blocksync"
	"github.com/starlingp2p/starling/internal/relay"
	"github.com/starlingp2p/starling/internal/serve"
	"github.com/starlingp2p/starling/internal/swarm"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// stopWithin is how long a node takes to stop at the most.
const stopWithin = 5 * time.Second

// Node is a member of one network on one wire. Make it with New, then Run it
// once.
type Node struct {
	cfg       Config
	chain     chain.Chain
	wire      wire.Wire
	pool      chain.TxPool    // nil: none
	consensus chain.Consensus // nil: none
	log       *slog.Logger
	quiet     quietLog

	host    *host
	swarm   *swarm.Swarm
	sync    *blocksync.Sync
	server  *serve.Server
	gates   gates
	blocks  *outbox
	txs     *outbox
	bundler *bundler
	bus     *bus
	counts  *counts
	tracer  tracer
	arrived arrivals
	known   *knownBlocks // nil: the wire has no gossip
	stale   *staleCounts
	relay   *relay.Relay // nil: the wire gossips by topics, or not at all
	client  *Client
	ready   chan struct{} // closed when all of the node has started
	stopped chan struct{} // closed when Run returns

	// Set before Run, read-only once it has begun.
	handler   Handler
	protocols map[string]Protocol
	parts     map[string]Part

	mu       sync.Mutex // over registration and the start
	services []Service
	methods  []Method
	started  bool
}

// New makes a node for a chain on a wire. The chain's roles (chain.TxPool,
// chain.Consensus, chain.TxReader) are found by New unless cfg names others.
// It starts nothing, and of the disk it reads PeerDir only. Every problem of
// cfg and of the addresses in it is in the error.
func New(cfg Config, c chain.Chain, w wire.Wire) (*Node, error) {
	if c == nil || w == nil {
		return nil, errors.New("starling: New needs a chain and a wire")
	}
	known, err := parseKnown(cfg, w)
	if err := errors.Join(cfg.Validate(), err); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	n := &Node{
		cfg: cfg, chain: c, wire: w, log: cfg.Logger,
		pool: cfg.Pool, consensus: cfg.Consensus,
		gates: newGates(cfg.ValidationWorkers), bus: newBus(), counts: newCounts(), tracer: newTracer(cfg.Tracing),
		protocols: make(map[string]Protocol), parts: make(map[string]Part),
		ready: make(chan struct{}), stopped: make(chan struct{}),
	}
	n.host = newHost(n)
	n.client = &Client{node: n}
	if n.pool == nil {
		n.pool, _ = c.(chain.TxPool)
	}
	if n.consensus == nil {
		n.consensus, _ = c.(chain.Consensus)
	}
	if w.Caps().Gossip != wire.GossipNone {
		n.known = newKnownBlocks()
	}
	publisher, _ := w.(wire.Publisher)
	if w.Caps().Gossip == wire.GossipSessions {
		publisher = sessionPublisher{n}
	}
	n.stale = newStaleCounts()
	n.blocks = newOutbox(publisher, 64, n.published)
	n.txs = newOutbox(publisher, 64, n.published)
	n.bundler = newBundler(n.txs)
	if own, ok := n.pool.(chain.LocalTxPool); ok {
		n.bundler.local = own.Local
	}
	if err := errors.Join(n.buildSwarm(known), n.buildSync(), n.buildRelay()); err != nil {
		return nil, err
	}
	n.buildServer()
	return n, nil
}

// knownAddrs are the addresses of a Config, as the wire reads them.
type knownAddrs struct{ static, trusted, seeds []peer.Addr }

func parseKnown(cfg Config, w wire.Wire) (known knownAddrs, errs error) {
	parse := func(field string, texts []string) (addrs []peer.Addr) {
		for _, s := range texts {
			a, err := w.ParseAddr(s)
			if err != nil {
				errs = errors.Join(errs, fmt.Errorf("starling: %s: %w", field, err))
				continue
			}
			addrs = append(addrs, a)
		}
		return addrs
	}
	return knownAddrs{parse("Static", cfg.Static), parse("Trusted", cfg.Trusted), parse("Seeds", cfg.Seeds)}, errs
}

func (n *Node) buildSwarm(known knownAddrs) error {
	caps := n.wire.Caps()
	cfg := swarm.Config{
		Dial: n.dial, ProvenIdentity: caps.ProvenIdentity, Duplicate: caps.Duplicate,
		Static: known.static, Trusted: known.trusted, Seeds: known.seeds,
		MaxPeers: n.cfg.MaxPeers, MaxInbound: n.cfg.MaxInbound, MinScore: n.cfg.MinScore, Grace: n.cfg.PeerGrace,
		NetRestrict: n.cfg.NetRestrict, AllowPrivate: n.cfg.AllowPrivate, CountLoopback: n.cfg.CountLoopback,
		NoDial: n.cfg.NoDial, NoListen: n.cfg.NoListen, NoDiscovery: n.cfg.NoDiscovery,
		DiscoveryInterval: n.cfg.DiscoveryInterval, MinRedial: caps.MinRedial, TrustedCall: caps.TrustedCall,
		Wall: n.cfg.Wall, Seed: n.cfg.Seed, Logger: n.log.With("part", "swarm"),
		OnEvent: n.onSwarm, Ping: ping,
	}
	if w, ok := n.wire.(wire.Resolver); ok {
		cfg.Resolve = w.Resolve
	}
	if w, ok := n.wire.(wire.Locator); ok {
		cfg.Endpoint = w.Locate
	}
	if w, ok := n.wire.(wire.Discoverer); ok {
		cfg.Discover = w.Discover
	}
	if w, ok := n.wire.(wire.Identified); ok {
		cfg.Self = w.Self
	}
	if w, ok := n.wire.(wire.Reserver); ok {
		cfg.Places = w.Places()
	}
	if n.cfg.PeerDir != "" {
		cfg.Store = swarm.FileStore(filepath.Clean(n.cfg.PeerDir))
	}
	var err error
	n.swarm, err = swarm.New(cfg)
	return err
}

// ping measures a round trip where the session can.
func ping(ctx context.Context, s wire.Session) (time.Duration, error) {
	if p, ok := s.(wire.Pinger); ok {
		return p.Ping(ctx)
	}
	return 0, wire.ErrUnsupported
}

func (n *Node) buildSync() error {
	var err error
	n.sync, err = blocksync.New(blocksync.Config{
		Chain: importing{n.chain, n}, Caps: n.wire.Caps(), Ask: n.request, Wall: n.cfg.Wall, Seed: n.cfg.Seed,
		Logger: n.log.With("part", "blocksync"), BlockInterval: n.cfg.BlockInterval, MaxBytes: n.cfg.SyncBytes,
		BackwardOnly: n.cfg.BackwardOnly, MinPeers: min(n.cfg.SyncPeers, n.cfg.MaxPeers), MinPeersFor: n.cfg.SyncWait,
		Charge: func(s wire.Session, o peer.Offense, detail string) { n.charge(s, o, peer.None, detail) },
		OnHead: n.onHead, OnEvent: n.onSync,
	})
	return err
}

func (n *Node) buildServer() {
	b := n.cfg.Serving
	cfg := serve.Config{
		Chain: n.chain, Pool: n.pool, App: n.answerApp, Addrs: n.serveAddrs,
		Budget: serve.Budget{
			PeerRate: b.PeerRate, PeerBurst: b.PeerBurst, PrefixRate: b.PrefixRate, PrefixBurst: b.PrefixBurst,
			GlobalRate: b.GlobalRate, GlobalBurst: b.GlobalBurst, Off: b.Off, CountLoopback: n.cfg.CountLoopback,
		},
		Workers: b.Workers, ReceiptsApart: n.wire.Caps().Receipts,
		Charge: func(s wire.Session, o peer.Offense, detail string) { n.charge(s, o, peer.None, detail) },
		Logger: n.log.With("part", "serve"),
	}
	cfg.Txs, _ = n.chain.(chain.TxReader)
	if n.relay != nil {
		cfg.May, cfg.Gave = n.relay.May, n.relay.Have
	}
	n.server = serve.New(cfg)
}

// Client is a handle on the node, for any goroutine. Before Run has started
// and after it has ended its verbs fail with ErrNotRunning.
func (n *Node) Client() *Client { return n.client }

// Ready is closed once all of the node has started: the wire listens, and the
// services are ready. It stays open if Run fails before that.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Run starts the node and works until ctx ends, or a part of it fails; then it
// stops within 5 s, leaving no goroutine. The error is nil if ctx ended it.
// A second call fails with ErrRunning.
func (n *Node) Run(ctx context.Context) error {
	n.mu.Lock()
	again := n.started
	n.started = true
	services := n.services
	n.mu.Unlock()
	if again {
		return ErrRunning
	}
	defer close(n.stopped)
	defer n.bus.close()
	sorted, err := order(services)
	if err != nil {
		return err
	}
	if err := n.build(sorted); err != nil {
		return err
	}
	run := newRun(n)
	err = run.start(ctx, sorted)
	if err == nil {
		close(n.ready)
		n.log.Info("node started", "wire", n.wire.Caps().Name, "addrs", n.wire.Addrs())
		err = run.wait(ctx)
	}
	n.client.open.Store(false)
	n.host.stopping.Store(true)
	stopErr := run.stop()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	return errors.Join(err, stopErr)
}

// build makes the services' parts.
func (n *Node) build(sorted []Service) error {
	for _, s := range sorted {
		kind := s.Kind()
		part, err := s.Build(&Builder{node: n, kind: kind, need: s.Needs()})
		if err == nil && part == nil {
			err = errors.New("its Build gave no part")
		}
		if p, ok := part.(Protocoller); ok && err == nil {
			err = n.addProtocols(p.Protocols())
		}
		if m, ok := part.(Methoder); ok && err == nil {
			err = n.addMethods(m.Methods())
		}
		if err != nil {
			return &PartError{Part: "service " + kind, Op: "build", Err: err}
		}
		n.parts[kind] = part
	}
	return nil
}

// charge takes an offense of a peer to the peer table. It never blocks.
func (n *Node) charge(s wire.Session, o peer.Offense, sev peer.Severity, detail string) {
	n.swarm.Report(wire.Offended{Session: s, Offense: o, Severity: sev, Detail: detail})
}

// heard says that somebody new may be there to hear what waits.
func (n *Node) heard() {
	n.blocks.heard()
	n.txs.heard()
}

// published tells subscribers what became of a message of ours.
func (n *Node) published(p publication, out outcome) {
	switch {
	case errors.Is(out.err, wire.ErrQueueFull):
		n.counts.drops.Add(Drop{"publish-" + p.kind, "full"}, 1)
	case errors.Is(out.err, ErrExpired):
		n.counts.drops.Add(Drop{"publish-" + p.kind, "unheard"}, 1)
	}
	switch {
	case out.err == nil || errors.Is(out.err, errStopping):
	case p.kind == "block":
		n.counts.unpublished.Add(p.kind, 1)
		n.warn("a block of ours was not published", "ref", p.ref, "err", out.err)
	default:
		n.counts.unpublished.Add(p.kind, 1)
		n.log.Debug("publish", "msg", p.kind, "ref", p.ref, "err", out.err)
	}
	n.bus.publish(Published{Kind: p.kind, Ref: p.ref, Receipt: out.receipt, Err: out.err})
}

// onHead follows the chain: it is called after blocks became durable.
func (n *Node) onHead(st chain.Status, blocks []chain.Ref) {
	n.bus.publish(HeadChanged{Status: st, Blocks: blocks})
	if n.relay != nil {
		n.relay.Imported(blocks)
	}
}

// serveAddrs gives addresses of peers that asked-for addresses may be
// answered with.
func (n *Node) serveAddrs(_ context.Context, max int) []peer.Addr {
	var out []peer.Addr
	for _, p := range n.swarm.Peers() {
		for _, a := range p.Info.Listen {
			if len(out) == max {
				return out
			}
			out = append(out, a)
		}
	}
	return out
}
