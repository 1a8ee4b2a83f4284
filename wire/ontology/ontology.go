package ontology

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Name is the name of the wire, and of its addresses' scheme.
const Name = "ontology"

const (
	dialTime    = 6 * time.Second  // to connect
	greetTime   = 5 * time.Second  // until the other side has said its version
	shakeTime   = 10 * time.Second // for a whole handshake
	maxShaking  = 64               // inbound handshakes at once (threat H-12)
	pingEvery   = 3 * time.Second
	idleTime    = 45 * time.Second
	headersTime = 10 * time.Second // of a question for headers
	dataTime    = 15 * time.Second // of one for a block or a transaction
	crossing    = 2 * time.Second  // links that were dialled at once finish within that of each other

	maxBlocksAsked = 64 // of one request of the node
	maxInFlight    = 8  // such requests with one peer
	maxAsked       = maxBlocksAsked * maxInFlight
	repeatAfter    = 3 * time.Second // newer releases drop a getdata that is repeated sooner
)

// Wire is the Ontology wire of one node. All methods are safe for concurrent
// use.
type Wire struct {
	cfg   Config
	ready chan struct{}
	ran   atomic.Bool
	node  atomic.Pointer[node] // nil until listening, and after

	traffic *meter.Traffic
}

var (
	_ wire.Wire       = (*Wire)(nil)
	_ wire.Readier    = (*Wire)(nil)
	_ wire.Resolver   = (*Wire)(nil)
	_ wire.Locator    = (*Wire)(nil)
	_ wire.Identified = (*Wire)(nil)
	_ wire.Discoverer = (*Wire)(nil)
	_ wire.Metered    = (*Wire)(nil)
)

// New makes a wire that does nothing until Run.
func New(cfg Config) (*Wire, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Wire{cfg: cfg.withDefaults(), ready: make(chan struct{}), traffic: meter.NewTraffic()}, nil
}

// Caps implements wire.Wire.
func (w *Wire) Caps() wire.Caps {
	return wire.Caps{
		Name:           Name,
		Gossip:         wire.GossipSessions,
		Skeleton:       true,
		ByHash:         true,
		MaxBatch:       wire.Batch{Headers: 500, Blocks: maxBlocksAsked, Txs: maxBlocksAsked},
		MaxInFlight:    maxInFlight,
		SilentRefusal:  true,
		ConsensusLink:  true,
		BlockAnnounce:  true,
		Duplicate:      wire.PerAddress,
		TellsSent:      true,
		RequestTimeout: 2*dataTime + repeatAfter, // until it has left, and for the answer
	}
}

// Traffic implements wire.Metered: messages by their command.
func (w *Wire) Traffic() map[wire.TrafficKey]wire.Traffic { return w.traffic.Counts() }

// Ready implements wire.Readier.
func (w *Wire) Ready() <-chan struct{} { return w.ready }

// addrOf is an address of this wire.
func addrOf(ap netip.AddrPort) peer.Addr {
	return peer.Addr{Scheme: Name, Text: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()}
}

// ParseAddr implements wire.Wire: "ip:port" or "name:port".
func (w *Wire) ParseAddr(s string) (peer.Addr, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() > 0 && ap.Addr().Zone() == "" {
		return addrOf(ap), nil
	}
	host, port, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 || !isName(host) {
		return peer.Addr{}, fmt.Errorf("ontology: address %.80q: write it as 203.0.113.7:20338 or seed1.example.org:20338", s)
	}
	return peer.Addr{Scheme: Name, Text: net.JoinHostPort(strings.ToLower(host), port)}, nil
}

// isName reports whether s looks like a name of DNS, and not like an address.
func isName(s string) bool {
	if s == "" || len(s) > 253 || strings.Trim(s, "0123456789.") == "" {
		return false
	}
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// Locate implements wire.Locator. Addresses hold no identity.
func (w *Wire) Locate(a peer.Addr) (wire.Endpoint, peer.ID, bool) {
	ap, ok := locate(a)
	return ap, "", ok
}

func locate(a peer.Addr) (netip.AddrPort, bool) {
	ap, err := netip.ParseAddrPort(a.Text)
	return ap, a.Scheme == Name && err == nil
}

// Resolve implements wire.Resolver.
func (w *Wire) Resolve(ctx context.Context, a peer.Addr) ([]peer.Addr, error) {
	if _, ok := locate(a); ok {
		return []peer.Addr{a}, nil
	}
	host, port, err := net.SplitHostPort(a.Text)
	if err != nil {
		return nil, fmt.Errorf("ontology: address %.80q: %w", a.Text, err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("ontology: resolve %.80q: %w", host, err)
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	var all []peer.Addr
	for _, ip := range ips {
		all = append(all, addrOf(netip.AddrPortFrom(ip, uint16(n))))
	}
	return all, nil
}

// Addrs implements wire.Wire.
func (w *Wire) Addrs() []peer.Addr {
	n := w.node.Load()
	if n == nil || !n.listen.IsValid() {
		return nil
	}
	at := n.listen
	if a, err := netip.ParseAddrPort(w.cfg.Advertise); err == nil {
		at = a
	}
	if at.Addr().IsUnspecified() {
		return nil // nobody has told us where we are
	}
	return []peer.Addr{addrOf(at)}
}

// Self implements wire.Identified. Who we are changes once, when the node key
// has been computed.
func (w *Wire) Self() peer.ID {
	n := w.node.Load()
	if n == nil {
		return ""
	}
	return idOf(n.identity.Load().nonce)
}

// idOf is the identity that a node claims by its nonce.
func idOf(nonce uint64) peer.ID { return peer.ID(fmt.Sprintf("%016x", nonce)) }

// NonceOf is the number in an identity of this wire; false: there is none. Where
// two addresses claim one, the later's has its address behind an "@".
func NonceOf(id peer.ID) (uint64, bool) {
	number, _, _ := strings.Cut(string(id), "@")
	n, err := strconv.ParseUint(number, 16, 64)
	return n, err == nil && len(number) == 16
}

// Dial implements wire.Wire.
func (w *Wire) Dial(ctx context.Context, a peer.Addr) error {
	n := w.node.Load()
	if n == nil {
		return wire.ErrClosed
	}
	return n.dial(ctx, a)
}

// Discover implements wire.Discoverer: it asks one peer, drawn at random, for
// addresses.
func (w *Wire) Discover(ctx context.Context) error {
	n := w.node.Load()
	if n == nil {
		return wire.ErrClosed
	}
	return n.discover(ctx)
}
