package p2phost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	tptu "github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libtls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
	"go.uber.org/fx"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// HandshakeTimeout bounds a transport handshake, in and out; the library's own
// bound is 15 s.
const HandshakeTimeout = 5 * time.Second

// Config says what a Host is.
type Config struct {
	Key    crypto.PrivKey // required
	Judge  Judge          // required
	Listen []ma.Multiaddr // none: the host only dials
	// Advertise, if not empty, takes the place of the addresses that are told
	// to others.
	Advertise       []ma.Multiaddr
	Agent           string // what we call ourselves
	ProtocolVersion string // of identify; empty: the library's
	NoQUIC          bool
	// AllowPrivate lets loopback and private addresses into what discovery
	// finds and serves.
	AllowPrivate bool
	Limits       Limits
	Resolver     *madns.Resolver                          // nil: the system's
	Options      []libp2p.Option                          // applied last; with a transport among them, set NoTransports
	NoTransports bool                                     // TCP, QUIC and their security come from Options
	Relay        bool                                     // relayed connections, hole punching and AutoNAT
	Logger       *slog.Logger                             // nil: none
	Flood        func(network.Conn, peer.Offense, string) // a peer overdoes ping, Kademlia or identify; nil: nobody asks
	Libraries    slog.Handler                             // takes what go-libp2p, pubsub and Kademlia log; nil: nobody. The first Host of a process decides
}

// Host is a libp2p host that obeys its Judge. Its methods are safe for
// concurrent use.
type Host struct {
	cfg   Config
	host  host.Host
	ids   identify.IDService
	gate  *gater
	aux   *auxiliary
	keep  func(ma.Multiaddr) bool
	pings *pinger

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu  sync.Mutex
	kad *Kad
}

// New makes a host that does not listen yet. Close must be called.
func New(cfg Config) (*Host, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Resolver == nil {
		cfg.Resolver = madns.DefaultResolver
	}
	if cfg.Flood == nil {
		cfg.Flood = func(network.Conn, peer.Offense, string) {}
	}
	logLibraries(cfg.Libraries)
	limits, err := cfg.Limits.resourceManager()
	if err != nil {
		return nil, err
	}
	h := &Host{cfg: cfg, keep: keepAddr(cfg.AllowPrivate)}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.aux = newAuxiliary(cfg.Judge)
	h.gate = newGater(cfg.Judge, h.aux.room)

	opts := []libp2p.Option{
		libp2p.Identity(cfg.Key),
		libp2p.NoListenAddrs, // Listen does it, address by address
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.ConnectionGater(h.gate),
		libp2p.ResourceManager(limits),
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.WithDialTimeout(HandshakeTimeout),
		libp2p.MultiaddrResolver(resolver{cfg.Resolver}),
		libp2p.UserAgent(cfg.Agent),
		libp2p.Ping(false), // ours counts: see ping.go
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.WithFxOption(fx.Decorate(fx.Annotate(upgrader, fx.ParamTags(``, `name:"security"`)))),
	}
	if cfg.ProtocolVersion != "" {
		opts = append(opts, libp2p.ProtocolVersion(cfg.ProtocolVersion))
	}
	if len(cfg.Advertise) > 0 {
		opts = append(opts, libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return cfg.Advertise }))
	}
	if !cfg.NoTransports {
		opts = append(opts, libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()), // or two nodes could listen on one port
			libp2p.Security(noise.ID, noise.New), libp2p.Security(libtls.ID, libtls.New))
		if !cfg.NoQUIC {
			opts = append(opts, libp2p.Transport(libquic.NewTransport))
		}
	}
	if cfg.Relay {
		opts = append(opts, libp2p.EnableRelay(), libp2p.EnableHolePunching(), libp2p.EnableAutoNATv2())
	} else {
		opts = append(opts, libp2p.DisableRelay(), h.reachability())
	}
	h.host, err = libp2p.New(append(opts, cfg.Options...)...)
	if err != nil {
		limits.Close()
		return nil, fmt.Errorf("p2phost: %w", err)
	}
	own, ok := h.host.(interface{ IDService() identify.IDService })
	if !ok {
		h.host.Close()
		return nil, errors.New("p2phost: the library's host has no identify service")
	}
	h.ids = own.IDService()
	h.host.Network().Notify(h.aux)
	h.servePing()
	if err := h.watchIdentify(); err != nil {
		h.host.Close()
		return nil, err
	}
	h.wg.Go(h.tidy)
	return h, nil
}

// upgrader is the library's, with a shorter deadline for inbound handshakes.
func upgrader(_ transport.Upgrader, security []sec.SecureTransport, muxers []tptu.StreamMuxer, psk pnet.PSK, rm network.ResourceManager, g connmgr.ConnectionGater) (transport.Upgrader, error) {
	return tptu.New(security, muxers, psk, rm, g, tptu.WithAcceptTimeout(HandshakeTimeout))
}

// Reachable reports whether others can be expected to reach us: we listen, and
// our address is public, or told by the operator, or private ones are allowed.
func (h *Host) Reachable() bool {
	if len(h.cfg.Listen) == 0 {
		return false
	}
	if h.cfg.AllowPrivate || len(h.cfg.Advertise) > 0 {
		return true
	}
	public := keepAddr(false)
	for _, m := range h.cfg.Listen {
		e := endpointOf(m)
		if e.IsValid() && !e.Addr().IsUnspecified() {
			if ip := e.Addr(); public(m) || !(ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()) {
				return true
			}
			continue
		}
		if hasPublicInterface() {
			return true
		}
	}
	return false
}

func hasPublicInterface() bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && !n.IP.IsPrivate() {
			return true
		}
	}
	return false
}

// reachability tells the library what it would otherwise probe for by asking
// strangers to dial us.
func (h *Host) reachability() libp2p.Option {
	if h.Reachable() {
		return libp2p.ForceReachabilityPublic()
	}
	return libp2p.ForceReachabilityPrivate()
}

// Listen opens every configured address, or none: the error names the one that
// failed and what to do.
func (h *Host) Listen() error {
	for _, m := range h.cfg.Listen {
		if err := h.host.Network().Listen(m); err != nil {
			return fmt.Errorf("p2phost: cannot listen on %s: %w: choose another port or address, or stop what uses it", m, cause(err))
		}
	}
	return nil
}

// cause is the innermost error: the library's texts repeat the address on
// several lines.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Close ends all connections and listeners and waits for what the host
// started.
func (h *Host) Close() error {
	h.stop()
	h.mu.Lock()
	kad := h.kad
	h.mu.Unlock()
	if kad != nil {
		kad.dht.Close()
	}
	err := h.host.Close()
	h.host.Peerstore().Close()
	h.wg.Wait()
	return err
}

// P2P is the library's host.
func (h *Host) P2P() host.Host { return h.host }

// Self is our identity, as a peer knows it; empty: the Host is nil, as that of a
// wire that does not run is.
func (h *Host) Self() peer.ID {
	if h == nil {
		return ""
	}
	return peer.ID(h.ID().String())
}

// ID is our identity.
func (h *Host) ID() libpeer.ID { return h.host.ID() }

// Addrs is where we can be reached: full addresses, unspecified ones resolved
// to those of our interfaces. A nil Host has none.
func (h *Host) Addrs() []peer.Addr {
	if h == nil {
		return nil
	}
	var out []peer.Addr
	for _, m := range h.host.Addrs() {
		out = append(out, addrOf(h.ID(), m))
	}
	return out
}

// Identify blocks until identify has finished on a connection, or ctx ends.
func (h *Host) Identify(ctx context.Context, c network.Conn) error {
	select {
	case <-h.ids.IdentifyWait(c):
	case <-ctx.Done():
		return fmt.Errorf("p2phost: identify: %w", context.Cause(ctx))
	}
	if c.IsClosed() {
		if _, err := c.NewStream(ctx); err != nil { // which says how it ended
			return fmt.Errorf("p2phost: identify: %w", err)
		}
		return fmt.Errorf("p2phost: identify: %w", io.ErrClosedPipe)
	}
	return nil
}

// maxProtocols bounds what a peer says it speaks.
const maxProtocols = 64

// Info is what identify told about the peer at the other end of a connection,
// cleaned and bounded.
func (h *Host) Info(c network.Conn) peer.Info {
	id := c.RemotePeer()
	info := peer.Info{
		ID:        peer.ID(id.String()),
		Addr:      addrOf(id, c.RemoteMultiaddr()),
		Endpoint:  endpointOf(c.RemoteMultiaddr()),
		Direction: peer.Inbound,
		Proven:    true,
		Opened:    c.Stat().Opened,
	}
	if c.Stat().Direction == network.DirOutbound {
		info.Direction = peer.Outbound
	}
	store := h.host.Peerstore()
	if agent, err := store.Get(id, "AgentVersion"); err == nil {
		if s, ok := agent.(string); ok {
			info.Agent = peer.Clean(s)
		}
	}
	if protos, err := store.GetProtocols(id); err == nil {
		for _, p := range protos[:min(len(protos), maxProtocols)] {
			info.Protocols = append(info.Protocols, peer.Clean(string(p)))
		}
	}
	if found, ok := foundPeer(libpeer.AddrInfo{ID: id, Addrs: store.Addrs(id)}, func(ma.Multiaddr) bool { return true }); ok {
		info.Listen = found.Addrs
	}
	return info
}

// watchIdentify reports the addresses that peers tell about themselves.
func (h *Host) watchIdentify() error {
	sub, err := h.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return fmt.Errorf("p2phost: subscribe to identify: %w", err)
	}
	h.wg.Go(func() {
		defer sub.Close()
		for {
			select {
			case <-h.ctx.Done():
				return
			case e, ok := <-sub.Out():
				if !ok {
					return
				}
				ev := e.(event.EvtPeerIdentificationCompleted)
				if detail := tooManyProtocols(len(ev.Protocols)); detail != "" {
					h.cfg.Flood(ev.Conn, peer.ProtocolFlood, detail)
				}
				if f, ok := foundPeer(libpeer.AddrInfo{ID: ev.Peer, Addrs: ev.ListenAddrs}, h.keep); ok {
					h.cfg.Judge.Report(wire.Found{Source: wire.SourceIdentify, From: f.ID, Peers: []wire.FoundPeer{f}})
				}
			}
		}
	})
	return nil
}

// tidy ends what overstays, once a second.
func (h *Host) tidy() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case now := <-tick.C:
			h.gate.sweep(now)
			h.aux.sweep(now)
			h.pings.sweep(now)
		}
	}
}
