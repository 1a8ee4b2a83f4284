package devp2p

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// Name is the wire's name.
const Name = "devp2p"

// Limits and times (go-ethereum p2p: 5 s for RLPx and Hello, 5 s for Status, a
// ping each 15 s and 30 s of silence).
const (
	helloTime   = 5 * time.Second
	statusTime  = 5 * time.Second
	sessionTime = 10 * time.Second // from the dial to the session
	pingEvery   = 15 * time.Second
	idleTime    = 30 * time.Second
	stopTime    = 3 * time.Second // for all goodbyes
	requestTime = 30 * time.Second
	redialTime  = 35 * time.Second // what others throttle, and 5 s (go-ethereum p2p, dialHistoryExpiration)
	maxInFlight = 16
	askHeaders  = 192 // go-ethereum eth/downloader, MaxHeaderFetch
	askBodies   = 128 // MaxBlockFetch
	askTxs      = 256 // eth/fetcher, maxTxRetrievals
)

// Wire is the devp2p wire. Make it with New.
type Wire struct {
	cfg     Config
	ready   chan struct{}
	ran     atomic.Bool
	node    atomic.Pointer[node] // nil unless listening
	traffic *traffic
	records *records
}

var (
	_ wire.Wire       = (*Wire)(nil)
	_ wire.Readier    = (*Wire)(nil)
	_ wire.Locator    = (*Wire)(nil)
	_ wire.Identified = (*Wire)(nil)
	_ wire.Metered    = (*Wire)(nil)
	_ wire.Discoverer = (*Wire)(nil)
	_ wire.Reserver   = (*Wire)(nil)
)

// New makes a wire.
func New(cfg Config) (*Wire, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Wire{cfg: cfg.withDefaults(), ready: make(chan struct{}), traffic: newTraffic(cfg.Protocols), records: newRecords()}, nil
}

// Caps implements wire.Wire.
func (w *Wire) Caps() wire.Caps {
	return wire.Caps{
		Name:           Name,
		ProvenIdentity: true,
		Gossip:         wire.GossipSessions,
		Skeleton:       true,
		BodiesApart:    true,
		Receipts:       true,
		ByNumber:       true,
		ByHash:         true,
		MaxBatch:       wire.Batch{Headers: askHeaders, Bodies: askBodies, Txs: askTxs, Bytes: eth.SoftAnswer},
		MaxInFlight:    maxInFlight,
		AnswersInOrder: true,
		BodiesLeftOut:  true, // up to geth v1.13 (eth/protocols/eth, handlers.go)
		TxAnnounce:     true,
		BlockPush:      w.blocks(),
		BlockAnnounce:  w.blocks(),
		OnlyAnnounced:  blobKind,
		Goodbye:        true,
		Duplicate:      wire.FirstFinished,
		TellsSent:      true,
		RequestTimeout: 2 * requestTime, // until it has left, and for the answer
		MinRedial:      redialTime,
		TrustedCall:    true, // go-ethereum p2p, server.go: only static nodes are dialled
	}
}

// blobKind is the type of transactions that carry blobs, which are never sent
// unasked (EIP-4844).
const blobKind = 3

// blocks reports whether a version is offered that sends blocks.
func (w *Wire) blocks() bool {
	return len(w.cfg.Versions) == 0 || slices.ContainsFunc(w.cfg.Versions, eth.Version.HasDifficulty)
}

// Ready implements wire.Readier.
func (w *Wire) Ready() <-chan struct{} { return w.ready }

// Self implements wire.Identified: the public key in hex.
func (w *Wire) Self() peer.ID {
	if n := w.node.Load(); n != nil {
		return n.self
	}
	return ""
}

// Places implements wire.Reserver.
func (w *Wire) Places() []wire.Places { return w.cfg.places() }

// Addrs implements wire.Wire.
func (w *Wire) Addrs() []peer.Addr {
	n := w.node.Load()
	if n == nil || n.listener == nil {
		return nil
	}
	eps := w.cfg.Advertise
	if len(eps) == 0 {
		at, err := netip.ParseAddrPort(n.listener.Addr().String())
		if err != nil {
			return nil
		}
		if ip := at.Addr().Unmap(); ip.IsUnspecified() {
			// Which address that is, only others can tell: our record has what they say.
			at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
			if p := n.finder.pair; p != nil && p.Self().IPAddr().IsValid() && !p.Self().IPAddr().IsUnspecified() {
				at = netip.AddrPortFrom(p.Self().IPAddr(), at.Port())
			}
		}
		if is := n.outside.Load(); is != nil && is.tcp != 0 {
			at = netip.AddrPortFrom(is.ip, is.tcp)
		}
		eps = []netip.AddrPort{at}
	}
	var out []peer.Addr
	udp := 0 // as TCP
	if at := w.cfg.Discovery.Listen; n.finder.pair != nil && len(w.cfg.Advertise) == 0 {
		udp = int(at.Port())
	}
	for _, ep := range eps {
		out = append(out, addrOf(n.self, ep.Addr().Unmap().String(), int(ep.Port()), udp))
	}
	return out
}

// DiscoveryPort is the UDP port of discovery; 0: it does not run.
func (w *Wire) DiscoveryPort() int {
	if n := w.node.Load(); n != nil && n.finder.pair != nil {
		return n.finder.pair.Self().UDP()
	}
	return 0
}
