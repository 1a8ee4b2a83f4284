package daemon

import (
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/internal/rpc"
)

// Node is everything that a running daemon holds.
type Node struct {
	dir   *Datadir
	rpc   RPC
	logs  *Logs // nil: the log is another's
	stack *stack
	node  *starling.Node
	began time.Time
	// events are the node's last, numbered; whoever wants them pulls.
	events   *eventlog.Log
	texts    texts // of events, for who subscribes to them
	why      *explainer
	recorder *recorder
	maxPeers int // as configured; 0: the default

	cfg     Config // as it was started with
	reloads *reloader
	metrics Metrics
	health  Health

	onReady func() error
	isReady atomic.Bool
}

// Open opens the datadir and all that is in it, and makes the node. It listens
// on nothing. On an error, everything is closed again.
func Open(cfg Config, log *slog.Logger) (n *Node, err error) {
	network := cfg.Networks[0]
	if err := rpc.CheckPath(SocketPath(cfg.Datadir)); err != nil {
		return nil, err
	}
	dir, err := OpenDatadir(cfg.Datadir)
	if err != nil {
		return nil, err
	}
	n = &Node{dir: dir, rpc: cfg.RPC, began: time.Now(), stack: new(stack), logs: logsOf(log), metrics: cfg.Metrics, health: cfg.Health, events: eventlog.New(0), texts: newTexts()}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
			n = nil
		}
	}()
	if err = openStack(n.stack, network, dir, log); err != nil {
		return n, err
	}
	if n.health.MinPeers == 0 {
		n.health.MinPeers = n.stack.minPeers
	}
	if n.node, err = newNode(network, n, log); err != nil {
		return n, err
	}
	n.why = newExplainer(n.node.Client(), n.stack.wire, n.events, n.began)
	n.why.own = n.findings
	if n.stack.engineAPI != nil {
		n.stack.engineAPI.more = n.engineMethods
	}
	n.maxPeers = network.MaxPeers
	n.recorder = &recorder{dir: dir.Sub("recordings"), events: n.events, header: n.recordHeader, log: log.With("part", "record")}
	return n, n.register()
}

// Close closes what Open opened.
func (n *Node) Close() error {
	return errors.Join(n.stack.close(), n.dir.Close())
}

func newNode(network Network, n *Node, log *slog.Logger) (*starling.Node, error) {
	cfg, err := n.settings(network, log)
	if err != nil {
		return nil, err
	}
	return starling.New(cfg, n.stack.chain, n.stack.wire)
}

// settings are what a network's config and its stack say to the node.
func (n *Node) settings(network Network, log *slog.Logger) (starling.Config, error) {
	prefixes, err := network.Prefixes()
	if err != nil {
		return starling.Config{}, err
	}
	target, err := network.TargetRef()
	if err != nil {
		return starling.Config{}, err
	}
	limits, seeds := network.Limits, network.Seeds
	if len(seeds) == 0 {
		seeds = n.stack.seeds
	}
	return starling.Config{
		Static: slices.Concat(network.Static, n.stack.static), Trusted: slices.Concat(network.Trusted, n.stack.trusted), Seeds: seeds,
		MaxPeers: network.MaxPeers, MaxInbound: network.MaxInbound, MinScore: network.MinScore, PeerGrace: time.Duration(network.PeerGrace),
		NetRestrict: prefixes, AllowPrivate: network.AllowPrivate, CountLoopback: limits.CountLoopback,
		NoDial: network.NoDial, NoListen: network.NoListen, NoDiscovery: network.NoDiscovery,
		DiscoveryInterval: time.Duration(network.DiscoveryInterval), PeerDir: n.dir.Sub("peers"),
		BlockInterval: n.stack.interval, HoldBlocks: n.stack.hold, Target: target, BackwardOnly: n.stack.backwardOnly, OwnBlocksOnly: n.stack.unproven, SyncPeers: n.stack.syncPeers, SyncWait: n.stack.syncWait, SyncBytes: int(limits.SyncMemory),
		Serving: starling.Budget{
			Off: limits.NoBudgets, PeerRate: int(limits.PeerRate), PrefixRate: int(limits.PrefixRate), GlobalRate: int(limits.GlobalRate),
		},
		Pool: n.stack.pool, Consensus: n.stack.consensus, Logger: log,
	}, nil
}

// register adds the services of the network's chain and wire, and last the one
// that says that the node is ready.
func (n *Node) register() error {
	end := &last{ready: func() error {
		if err := n.onReady(); err != nil {
			return err
		}
		n.isReady.Store(true)
		return nil
	}}
	for _, s := range n.stack.services {
		if err := n.node.Register(s); err != nil {
			return err
		}
		end.needs = append(end.needs, s.Kind())
	}
	return n.node.Register(end)
}

// resolve is a path from the config file: relative ones lie in the datadir.
func (d *Datadir) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return d.Sub(path)
}

// Status is where the node stands.
func (n *Node) Status() StatusReply {
	st := n.node.Client().Status()
	r := StatusReply{
		Record: recordOf(n.stack.wire),
		V:      1, Agent: "starling/" + Version, ID: string(st.Self), Network: st.Chain.Network, Wire: st.Wire, Addrs: []string{},
		Genesis: st.Chain.Genesis.String(), Head: nameOf(st.Chain.Head), Finalized: nameOf(st.Chain.Finalized), Earliest: st.Chain.Earliest,
		Peers: st.Inbound + st.Outbound, Inbound: st.Inbound, Outbound: st.Outbound, Bans: st.Bans, BansEver: st.BansByScore,
		Sync:         SyncReply{Mode: st.Sync.Mode, Target: st.Sync.Target, Staged: st.Sync.Staged, Stuck: st.Sync.Stuck},
		ClockSuspect: st.ClockSuspect, Uptime: time.Since(n.began).Round(time.Second).String(),
	}
	r.PoolTxs, r.Engine = n.stack.pending(), n.stack.engine.reply()
	for _, a := range st.Addrs {
		r.Addrs = append(r.Addrs, a.String())
	}
	return r
}
