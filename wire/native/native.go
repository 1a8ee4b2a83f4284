package native

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

// Name is the name of the wire.
const Name = "native"

const (
	sessionTime   = p2phost.SessionTime // from a connection to a session
	keepAlive     = 15 * time.Second    // between two status exchanges
	idleTime      = 45 * time.Second    // without one, the session ends
	farewellTime  = time.Second         // for a goodbye
	stopTime      = 4 * time.Second     // for all goodbyes when we stop
	firstDiscover = 5 * time.Second     // after listening
	maxStreams    = 64                  // request streams of one peer
	requestTime   = 30 * time.Second    // of one exchange
)

// Wire is the native wire of one node. All methods are safe for concurrent use.
type Wire struct {
	cfg     Config
	names   codec.Names
	ready   chan struct{}
	traffic *meter.Traffic
	ran     atomic.Bool
	node    atomic.Pointer[node] // nil until listening, and after
}

var (
	_ wire.Wire       = (*Wire)(nil)
	_ wire.Readier    = (*Wire)(nil)
	_ wire.Publisher  = (*Wire)(nil)
	_ wire.Resolver   = (*Wire)(nil)
	_ wire.Identified = (*Wire)(nil)
	_ wire.Discoverer = (*Wire)(nil)
	_ wire.Topical    = (*Wire)(nil)
)

// New makes a wire that does nothing until Run.
func New(cfg Config) (*Wire, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Wire{cfg: cfg, names: codec.NamesOf(cfg.Status().Genesis), ready: make(chan struct{}), traffic: meter.NewTraffic()}, nil
}

// Caps implements wire.Wire.
func (w *Wire) Caps() wire.Caps {
	return wire.Caps{
		Name:           Name,
		ProvenIdentity: true,
		Gossip:         wire.GossipTopics,
		Skeleton:       true,
		BodiesApart:    true,
		ByNumber:       true,
		ByHash:         true,
		MaxBatch: wire.Batch{
			Headers: codec.MaxHeadersAsked, Bodies: codec.MaxBlocksAsked, Blocks: codec.MaxBlocksAsked,
			Txs: codec.MaxTxsAsked, Bytes: codec.MaxAnswer,
		},
		MaxInFlight:    reqresp.MaxInFlight,
		Goodbye:        true,
		Duplicate:      wire.LowerDialled,
		RequestTimeout: requestTime,
	}
}

// ParseAddr implements wire.Wire: a multiaddr that ends in /p2p/ID.
func (w *Wire) ParseAddr(s string) (peer.Addr, error) { return p2phost.ParseAddr(s) }

// Ready implements wire.Readier.
func (w *Wire) Ready() <-chan struct{} { return w.ready }

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

// Discover implements wire.Discoverer: one round of Kademlia.
func (w *Wire) Discover(ctx context.Context) error {
	n := w.node.Load()
	if n == nil {
		return wire.ErrClosed
	}
	if n.kad == nil {
		return nil
	}
	return n.kad.Discover(ctx)
}

// JoinTopic implements wire.Topical.
func (w *Wire) JoinTopic(_ context.Context, name string) error {
	n, topic, err := w.topic(name)
	if err != nil {
		return err
	}
	return n.gossip.Join(topic)
}

// LeaveTopic implements wire.Topical.
func (w *Wire) LeaveTopic(_ context.Context, name string) error {
	n, topic, err := w.topic(name)
	if err != nil {
		return err
	}
	return n.gossip.Leave(topic)
}

func (w *Wire) topic(name string) (*node, string, error) {
	n := w.node.Load()
	if n == nil {
		return nil, "", wire.ErrClosed
	}
	topic, err := w.names.App(name)
	if err != nil {
		return nil, "", fmt.Errorf("native: topic %q: %w", name, err)
	}
	return n, topic, nil
}

// status is what we say of ourselves now.
func (w *Wire) status() codec.Status {
	s := w.cfg.Status()
	s.Network = w.cfg.Network
	return codec.Status{
		Version:      codec.Version,
		Chain:        s,
		Time:         uint64(max(w.cfg.Wall.Now().UnixMilli(), 0)),
		Capabilities: codec.KnownCapsBits,
		Agent:        w.cfg.Agent,
		ServeRate:    uint64(w.cfg.ServeRate),
		ServeBurst:   uint64(w.cfg.ServeBurst),
	}
}

// judge says what stands against a peer with that status: nil if nothing.
func (w *Wire) judge(theirs chain.Status) *peer.RefusedError {
	ours := w.cfg.Status().Genesis
	switch {
	case theirs.Network != w.cfg.Network:
		return &peer.RefusedError{
			Reason: peer.WrongNetwork,
			Detail: fmt.Sprintf("ours is %q, the peer's is %q", w.cfg.Network, peer.Clean(theirs.Network)),
		}
	case theirs.Genesis != ours:
		return &peer.RefusedError{
			Reason: peer.WrongGenesis,
			Detail: fmt.Sprintf("ours is %s, the peer's is %s", ours, theirs.Genesis),
		}
	}
	return nil
}
