package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/sequenced"
	"github.com/starlingp2p/starling/wire/native"
)

// Node is everything that a running daemon holds.
type Node struct {
	dir    *Datadir
	ledger *ledger.Ledger
	family *sequenced.Family
	pool   *sequenced.Pool
	wire   *native.Wire
	node   *starling.Node
	began  time.Time

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
	n = &Node{dir: dir, began: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
			n = nil
		}
	}()
	if n.family, err = newFamily(network, log); err != nil {
		return n, err
	}
	if n.ledger, err = ledger.Open(dir.Sub("chain"), ledger.Options{Family: n.family, Logger: log.With("part", "ledger")}); err != nil {
		return n, err
	}
	if n.pool, err = sequenced.NewPool(context.Background(), sequenced.PoolConfig{
		Family: n.family, State: n.ledger, Journal: dir.Sub("chain", "pool.journal"), Logger: log.With("part", "pool"),
	}); err != nil {
		return n, err
	}
	if n.wire, err = newWire(network, n.ledger.Status, dir, log); err != nil {
		return n, err
	}
	if n.node, err = newNode(network, n, log); err != nil {
		return n, err
	}
	return n, n.register(network, log)
}

// Close closes what Open opened.
func (n *Node) Close() error {
	var errs []error
	if n.pool != nil {
		errs = append(errs, n.pool.Close())
	}
	if n.ledger != nil {
		errs = append(errs, n.ledger.Close())
	}
	return errors.Join(append(errs, n.dir.Close())...)
}

func newFamily(network Network, log *slog.Logger) (*sequenced.Family, error) {
	s := network.Sequenced
	key, err := s.Key()
	if err != nil {
		return nil, err
	}
	alloc := make(map[sequenced.Address]uint64, len(s.Alloc))
	for text, amount := range s.Alloc {
		a, err := sequenced.ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("network.sequenced.alloc: %w", err)
		}
		alloc[a] = amount
	}
	var forks []ledger.Rule
	for _, name := range slices.Sorted(maps.Keys(s.Forks)) {
		forks = append(forks, ledger.Rule{Name: name, From: s.Forks[name]})
	}
	return sequenced.New(sequenced.Config{
		Forks: forks, Network: network.Name, SequencerKey: key, GenesisTime: s.GenesisTime, BlockInterval: time.Duration(s.BlockInterval),
		Alloc: alloc, MaxBlockBytes: int(s.MaxBlock), Logger: log.With("part", "sequenced"),
	})
}

func newWire(network Network, status func() chain.Status, dir *Datadir, log *slog.Logger) (*native.Wire, error) {
	keyFile := network.KeyFile
	if keyFile == "" {
		keyFile = filepath.Join("keys", "node.key")
	}
	rate, burst := int(network.Limits.PeerRate), starling.DefaultPeerBurst
	if rate == 0 {
		rate = starling.DefaultPeerRate
	}
	if network.Limits.NoBudgets {
		rate, burst = 0, 0
	}
	return native.New(native.Config{
		ServeRate: rate, ServeBurst: burst,
		Network: network.Name, Status: status, Listen: network.Listen, Advertise: network.Advertise,
		KeyFile: dir.resolve(keyFile), Agent: "starling/" + Version,
		NoListen: network.NoListen, NoDHT: network.NoDiscovery, MDNS: network.MDNS, AllowPrivate: network.AllowPrivate,
		ServeUnpaced: network.Limits.NoBudgets, Logger: log.With("part", "wire"),
	})
}

func newNode(network Network, n *Node, log *slog.Logger) (*starling.Node, error) {
	prefixes, err := network.Prefixes()
	if err != nil {
		return nil, err
	}
	target, err := network.TargetRef()
	if err != nil {
		return nil, err
	}
	limits := network.Limits
	return starling.New(starling.Config{
		Static: network.Static, Trusted: network.Trusted, Seeds: network.Seeds,
		MaxPeers: network.MaxPeers, MaxInbound: network.MaxInbound, MinScore: network.MinScore,
		NetRestrict: prefixes, AllowPrivate: network.AllowPrivate, CountLoopback: limits.CountLoopback,
		NoDial: network.NoDial, NoListen: network.NoListen, NoDiscovery: network.NoDiscovery,
		DiscoveryInterval: time.Duration(network.DiscoveryInterval), PeerDir: n.dir.Sub("peers"),
		BlockInterval: n.family.Config().BlockInterval, Target: target, SyncBytes: int(limits.SyncMemory),
		Serving: starling.Budget{
			Off: limits.NoBudgets, PeerRate: int(limits.PeerRate), PrefixRate: int(limits.PrefixRate), GlobalRate: int(limits.GlobalRate),
		},
		Pool: n.pool, Logger: log,
	}, n.ledger, n.wire)
}

// register adds the daemon's services: the sequencer where the node has the
// key, and last the one that says that the node is ready.
func (n *Node) register(network Network, log *slog.Logger) error {
	if err := n.node.Register(&poolKeeper{pool: n.pool, log: log.With("part", "pool")}); err != nil {
		return err
	}
	end := &last{ready: func() error {
		if err := n.onReady(); err != nil {
			return err
		}
		n.isReady.Store(true)
		return nil
	}}
	if file := network.Sequenced.ProduceKey; file != "" {
		key, err := loadSeed(n.dir.resolve(file))
		if err != nil {
			return fmt.Errorf("network.sequenced.produce_key: %w", err)
		}
		if want, _ := network.Sequenced.Key(); !want.Equal(key.Public()) {
			return fmt.Errorf("network.sequenced.produce_key: the key in %s is not that of the sequencer %s; restore the right one, or take the key out of the config to run a follower", file, network.Sequenced.Sequencer)
		}
		err = n.node.Register(&sequencer{make: func(c *starling.Client) (*sequenced.Producer, error) {
			return sequenced.NewProducer(sequenced.ProducerConfig{
				Family: n.family, State: n.ledger, Pool: n.pool, Key: key, Publish: c.SubmitBlock, Logger: log.With("part", "sequencer"),
			})
		}})
		if err != nil {
			return err
		}
		end.needs = []string{"sequencer"}
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
		V: 1, Agent: "starling/" + Version, ID: string(st.Self), Network: st.Chain.Network, Wire: st.Wire, Addrs: []string{},
		Genesis: st.Chain.Genesis.String(), Head: nameOf(st.Chain.Head), Finalized: nameOf(st.Chain.Finalized), Earliest: st.Chain.Earliest,
		Peers: st.Inbound + st.Outbound, Inbound: st.Inbound, Outbound: st.Outbound, Bans: st.Bans, BansEver: st.BansByScore,
		Sync:         SyncReply{Mode: st.Sync.Mode, Target: st.Sync.Target, Stuck: st.Sync.Stuck},
		ClockSuspect: st.ClockSuspect, Uptime: time.Since(n.began).Round(time.Second).String(),
	}
	r.PoolTxs, _ = n.pool.Len()
	for _, a := range st.Addrs {
		r.Addrs = append(r.Addrs, a.String())
	}
	return r
}

// Protocols are the native wire's protocols, as this program speaks them.
func Protocols() []string { return native.Protocols() }
