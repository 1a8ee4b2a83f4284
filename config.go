package starling

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/internal/relay"
	"github.com/starlingp2p/starling/internal/serve"
)

// Config says how a node behaves towards its peers. Its zero value works, and is
// for a public network: a node with it dials nobody that it is not told of, and
// keeps nothing on disk. DevConfig is for several nodes on one machine.
type Config struct {
	// Static peers are dialled for ever; Trusted ones also exceed the limits (on
	// devp2p they are not dialled for that, as in geth: wire.Caps.TrustedCall).
	// Neither is trimmed or banned. Seeds are dialled at start and again when
	// peers run low. All are addresses as the wire parses them; names in them
	// are resolved again at each attempt.
	Static, Trusted, Seeds []string

	// MaxPeers bounds sessions; 0: 50. MaxInbound bounds those that others
	// opened; 0: two thirds of MaxPeers (NoListen for none at all).
	MaxPeers, MaxInbound int
	// MinScore is the score below which a peer is neither dialled nor kept,
	// from -100 to 0; 0: -50.
	MinScore float64
	// PeerGrace is how long a new peer is not let go for a more useful one; 0: it
	// may be at once.
	PeerGrace time.Duration
	// NetRestrict, unless empty, are the only address ranges that are dialled,
	// accepted and taken from discovery.
	NetRestrict []netip.Prefix
	// AllowPrivate takes private and loopback addresses from discovery.
	AllowPrivate bool
	// CountLoopback applies the limits per address and prefix to loopback too.
	CountLoopback bool
	// NoDial, NoListen and NoDiscovery switch a way of meeting peers off.
	NoDial, NoListen, NoDiscovery bool
	// DiscoveryInterval is the pause between two rounds; 0: 30 s.
	DiscoveryInterval time.Duration

	// PeerDir is the folder in which scores, bans and addresses survive a
	// restart; empty: in memory only.
	PeerDir string

	// BlockInterval is how often the chain grows, as a hint: a sync without
	// progress for a few of it is stuck; 0: 2 s.
	BlockInterval time.Duration
	// HoldBlocks is how long a block of ours is held for somebody to hear it;
	// 0: BlockInterval. Others would refuse what is older than they take.
	HoldBlocks time.Duration
	// Target, unless zero, is a block that is trusted and to be reached.
	Target chain.Ref
	// BackwardOnly syncs down from trusted blocks only, and never forward on a
	// peer's word: for chains whose headers prove nothing by themselves.
	BackwardOnly bool
	// OwnBlocksOnly tells peers of our own blocks and of no others, on wires that
	// gossip by session: for chains whose Check cannot tell a forged block, since
	// whoever can tell one drops the peer that passed it on. For the same cause a
	// block is no merit of who brings it.
	OwnBlocksOnly bool
	// SyncPeers is how many sessions a forward sync waits for, and no more than
	// there may be (MaxPeers); 0: one.
	SyncPeers int
	// SyncWait is how long it waits for them at most; 0: until they are there.
	// geth waits 10 s for 5 (eth/sync.go, forceSyncCycle and defaultMinSyncPeers).
	SyncWait time.Duration
	// SyncBytes bounds the blocks held in memory while syncing; 0: 128 MiB, or
	// a quarter of the memory limit if that is less.
	SyncBytes int
	// Serving bounds what peers may ask of us.
	Serving Budget
	// ValidationWorkers is how many messages are checked at once for each of
	// blocks, transactions, consensus and application; 0: 4.
	ValidationWorkers int

	// Relay is the policy by which transactions are relayed on wires that gossip
	// by session: "geth" tells everybody at once, "frugal" few at first and the
	// rest a moment later, for fewer bytes; "flood" sends everything to everybody,
	// as is always done on a wire that cannot announce; empty: "geth".
	Relay string

	// Pool and Consensus take the place of those roles of the chain; nil: the
	// chain's own, if it has them.
	Pool      chain.TxPool
	Consensus chain.Consensus

	// Wall is the clock that may be wrong; nil: the machine's.
	Wall env.Wall
	// Seed makes the node's random decisions repeatable; 0: they are not.
	Seed uint64
	// Logger takes the node's log; nil: none.
	Logger *slog.Logger
	// Tracing takes spans of dials, handshakes, requests, validation and
	// imports; nil: none are made. The SDK behind it is the embedder's.
	Tracing trace.TracerProvider
}

// What one peer is served by default, in bytes a second and in bytes at once.
// A wire that can tell its peers should: then they never run into it.
const (
	DefaultPeerRate  = serve.DefaultPeerRate  // 64 MiB/s
	DefaultPeerBurst = serve.DefaultPeerBurst // 64 MiB
)

// Budget bounds what the node serves, in bytes a second and in bytes at once.
// Each zero takes its default, which lets our own client run at twice the most
// that it can fetch from one peer.
type Budget struct {
	// Off serves without budgets: for benchmarks on a network that one owns.
	Off bool
	// PeerRate and PeerBurst are for one peer; 0: DefaultPeerRate and DefaultPeerBurst.
	PeerRate, PeerBurst int
	// PrefixRate and PrefixBurst are for all peers of a /24 or a /56; 0: 128 MiB/s and 128 MiB.
	PrefixRate, PrefixBurst int
	// GlobalRate and GlobalBurst are for all peers; 0: 512 MiB/s and 512 MiB.
	GlobalRate, GlobalBurst int
	// Workers is how many requests are answered at once; 0: 16.
	Workers int
}

// DevConfig is for several nodes on one machine: loopback and private
// addresses count as any other, and discovery is quick.
func DevConfig() Config {
	return Config{AllowPrivate: true, DiscoveryInterval: 5 * time.Second}
}

func (c Config) withDefaults() Config {
	if c.MaxPeers == 0 {
		c.MaxPeers = 50
	}
	if c.MaxInbound == 0 {
		c.MaxInbound = c.MaxPeers - (c.MaxPeers+2)/3
	}
	if c.MinScore == 0 {
		c.MinScore = -50
	}
	if c.DiscoveryInterval == 0 {
		c.DiscoveryInterval = 30 * time.Second
	}
	if c.BlockInterval == 0 {
		c.BlockInterval = 2 * time.Second
	}
	if c.HoldBlocks == 0 {
		c.HoldBlocks = c.BlockInterval
	}
	if c.SyncBytes == 0 {
		c.SyncBytes = int(min(128<<20, max(env.MemoryLimit()/4, 8<<20)))
	}
	if c.ValidationWorkers == 0 {
		c.ValidationWorkers = 4
	}
	if c.Serving.PeerRate == 0 {
		c.Serving.PeerRate = DefaultPeerRate
	}
	if c.Serving.PeerBurst == 0 {
		c.Serving.PeerBurst = DefaultPeerBurst
	}
	if c.Wall == nil {
		c.Wall = env.SystemWall()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports every problem of the configuration, each with the field,
// its value and its bound.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("starling: "+format, args...))
	}
	if c.MaxPeers < 1 || c.MaxPeers > 10_000 {
		bad("MaxPeers is %d, want 1 to 10000", c.MaxPeers)
	}
	if c.MaxInbound < 0 || c.MaxInbound > c.MaxPeers {
		bad("MaxInbound is %d, want 0 to MaxPeers (%d)", c.MaxInbound, c.MaxPeers)
	}
	if !(c.MinScore >= -100 && c.MinScore <= 0) { // and no NaN
		bad("MinScore is %g, want -100 to 0 (0: -50)", c.MinScore)
	}
	if c.PeerGrace < 0 || c.PeerGrace > time.Hour {
		bad("PeerGrace is %v, want 0 to 1h", c.PeerGrace)
	}
	if c.DiscoveryInterval < time.Second {
		bad("DiscoveryInterval is %v, want at least 1s", c.DiscoveryInterval)
	}
	if c.BlockInterval < time.Millisecond {
		bad("BlockInterval is %v, want at least 1ms", c.BlockInterval)
	}
	if c.HoldBlocks < time.Millisecond || c.HoldBlocks > time.Hour {
		bad("HoldBlocks is %v, want 1ms to 1h (0: BlockInterval)", c.HoldBlocks)
	}
	if c.SyncPeers < 0 || c.SyncPeers > 10_000 {
		bad("SyncPeers is %d, want 0 to 10000 (0: one)", c.SyncPeers)
	}
	if c.SyncWait < 0 || c.SyncWait > time.Hour {
		bad("SyncWait is %v, want 0 to 1h (0: until SyncPeers are there)", c.SyncWait)
	}
	if _, err := c.relayPolicy(); err != nil {
		bad("Relay: %w", err)
	}
	if c.SyncBytes < 1<<20 {
		bad("SyncBytes is %d, want at least %d", c.SyncBytes, 1<<20)
	}
	if c.ValidationWorkers < 1 || c.ValidationWorkers > 1024 {
		bad("ValidationWorkers is %d, want 1 to 1024", c.ValidationWorkers)
	}
	b := c.Serving
	for _, f := range []struct {
		name  string
		value int
	}{
		{"PeerRate", b.PeerRate},
		{"PeerBurst", b.PeerBurst},
		{"PrefixRate", b.PrefixRate},
		{"PrefixBurst", b.PrefixBurst},
		{"GlobalRate", b.GlobalRate},
		{"GlobalBurst", b.GlobalBurst},
		{"Workers", b.Workers},
	} {
		if f.value < 0 {
			bad("Serving.%s is %d, want at least 0 (0: the default)", f.name, f.value)
		}
	}
	if b.Workers > maxServeWorkers {
		bad("Serving.Workers is %d, want at most %d", b.Workers, maxServeWorkers)
	}
	return errors.Join(errs...)
}

// relayPolicy is the policy that Relay names.
func (c Config) relayPolicy() (relay.Policy, error) {
	if c.Relay == "" {
		return relay.Geth(), nil
	}
	return relay.PolicyNamed(c.Relay)
}

// maxServeWorkers bounds Budget.Workers.
const maxServeWorkers = 4096
