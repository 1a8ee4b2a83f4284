package opstack

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Name is the name of the wire.
const Name = "opstack"

const (
	sessionTime = p2phost.SessionTime // from a connection to a session
	// patience is a second more than op-node's server lets a request wait before
	// it refuses (op-node/p2p/sync.go, maxThrottleDelay). (Threat Z-03)
	patience    = 21 * time.Second
	maxInFlight = 16 // requests of ours with one peer
	maxStreams  = 64 // request streams of one peer
	// requestTime bounds one request of ours: op-node may let it wait for 20 s
	// before it answers, and no one is charged for that.
	requestTime = 25 * time.Second
)

// Wire is the OP Stack wire of one node. All methods are safe for concurrent use.
type Wire struct {
	cfg      Config
	chainID  uint64
	topics   map[string]codec.Version
	ready    chan struct{}
	ran      atomic.Bool
	node     atomic.Pointer[node] // nil until listening, and after
	traffic  *meter.Traffic
	verdicts verdicts
	scores   *scores
	refusals atomic.Uint64
}

var (
	_ wire.Wire       = (*Wire)(nil)
	_ wire.Readier    = (*Wire)(nil)
	_ wire.Publisher  = (*Wire)(nil)
	_ wire.Resolver   = (*Wire)(nil)
	_ wire.Identified = (*Wire)(nil)
	_ wire.Metered    = (*Wire)(nil)
	_ wire.Discoverer = (*Wire)(nil)
)

// New makes a wire that does nothing until Run.
func New(cfg Config) (*Wire, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	rc := cfg.Rules.Config()
	w := &Wire{
		cfg: cfg, chainID: rc.ChainID, topics: map[string]codec.Version{}, ready: make(chan struct{}),
		traffic: meter.NewTraffic(), scores: newScores(rc.BlockTime),
	}
	for _, v := range codec.Versions {
		w.topics[codec.Topic(w.chainID, v)] = v
	}
	return w, nil
}

// Caps implements wire.Wire.
func (w *Wire) Caps() wire.Caps {
	return wire.Caps{
		Name:           Name,
		ProvenIdentity: true,
		Gossip:         wire.GossipTopics,
		ByNumber:       true,
		MaxBatch:       wire.Batch{Blocks: 1, Bytes: codec.MaxMessage},
		MaxInFlight:    maxInFlight,
		Patience:       patience,
		Duplicate:      wire.LowerDialled,
		RequestTimeout: max(requestTime, reqresp.ExchangeTime),
	}
}

// ParseAddr implements wire.Wire: a multiaddr that ends in /p2p/ID.
func (w *Wire) ParseAddr(s string) (peer.Addr, error) { return p2phost.ParseAddr(s) }

// Locate implements wire.Locator.
func (w *Wire) Locate(a peer.Addr) (wire.Endpoint, peer.ID, bool) { return p2phost.Locate(a) }

// Ready implements wire.Readier.
func (w *Wire) Ready() <-chan struct{} { return w.ready }

// Traffic implements wire.Metered. Gossip counts every copy, duplicates too,
// and its data without what pubsub adds.
func (w *Wire) Traffic() map[wire.TrafficKey]wire.Traffic { return w.traffic.Counts() }

// Addrs implements wire.Wire.
func (w *Wire) Addrs() []peer.Addr {
	if w.cfg.NoListen {
		return nil
	}
	return w.host().Addrs()
}

// Self implements wire.Identified.
func (w *Wire) Self() peer.ID { return w.host().Self() }

// Resolve implements wire.Resolver.
func (w *Wire) Resolve(ctx context.Context, a peer.Addr) ([]peer.Addr, error) {
	return w.host().Resolve(ctx, a)
}

// host is what the wire runs on; nil: it does not run.
func (w *Wire) host() *p2phost.Host {
	if n := w.node.Load(); n != nil {
		return n.p2p
	}
	return nil
}

// Refusals is how many requests of peers were answered with "other error",
// since the wire was made: they came too fast, or we had trouble.
func (w *Wire) Refusals() uint64 { return w.refusals.Load() }

// Mesh is how many peers our mesh of a version's topic has.
func (w *Wire) Mesh(v codec.Version) int {
	if n := w.node.Load(); n != nil {
		return n.gossip.Mesh(codec.Topic(w.chainID, v))
	}
	return 0
}

// TopicPeers is how many peers with a session have joined a version's topic.
func (w *Wire) TopicPeers(v codec.Version) int {
	if n := w.node.Load(); n != nil {
		return n.gossip.Peers(codec.Topic(w.chainID, v))
	}
	return 0
}

var errRanTwice = errors.New("opstack: Run was called twice")
