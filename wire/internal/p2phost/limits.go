package p2phost

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/starlingp2p/starling/env"
)

// Limits are what a host may use in all. The library's own defaults grow with
// the machine's memory, so that a node would behave differently on each; these
// do not.
type Limits struct {
	Conns int // connections, handshakes included; 0: 1024
	// Descriptors is how many file descriptors connections may have, two thirds
	// of them inbound ones; 0: Conns, or what the process may have beyond what
	// is open and a reserve of 32, if that is less.
	Descriptors    int
	Handshakes     int // inbound connections before they are secured; 0: 128
	ConnsPerPeer   int // 0: 8
	Streams        int // 0: 16384
	StreamsPerPeer int // in each direction; 0: 128
	// Memory is bytes of multiplexer windows; 0: 1 GiB, or a quarter of the
	// process's memory limit if that is less, but 64 MiB.
	Memory int64
	// MemoryPerPeer is bytes; 0: 24 MiB, which 96 streams can fill before a byte
	// is read, or a sixteenth of Memory if that is less.
	MemoryPerPeer int64
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.Conns, 1024)
	most, open := descriptors()
	def(&l.Descriptors, forConnections(l.Conns, most, open))
	def(&l.Handshakes, min(128, l.Descriptors))
	def(&l.ConnsPerPeer, 8)
	def(&l.Streams, 16384)
	def(&l.StreamsPerPeer, 128)
	if l.Memory == 0 {
		l.Memory = min(1<<30, max(env.MemoryLimit()/4, 64<<20))
	}
	if l.MemoryPerPeer == 0 {
		l.MemoryPerPeer = min(24<<20, l.Memory/16)
	}
	return l
}

// resourceManager builds the library's manager from fixed numbers.
func (l Limits) resourceManager() (network.ResourceManager, error) {
	l = l.withDefaults()
	inbound := l.Conns
	if l.Descriptors < l.Conns { // strangers must leave some to our own dials
		inbound = max(l.Descriptors*2/3, 1)
	}
	system := rcmgr.ResourceLimits{
		Conns: rcmgr.LimitVal(l.Conns), ConnsInbound: rcmgr.LimitVal(inbound), ConnsOutbound: rcmgr.LimitVal(l.Conns), FD: rcmgr.LimitVal(l.Descriptors),
		Streams: rcmgr.LimitVal(l.Streams), StreamsInbound: rcmgr.LimitVal(l.Streams), StreamsOutbound: rcmgr.LimitVal(l.Streams),
		Memory: rcmgr.LimitVal64(l.Memory),
	}
	// What is not yet anybody's: connections in their handshake, streams in
	// their negotiation.
	transient := rcmgr.ResourceLimits{
		Conns: rcmgr.LimitVal(2 * l.Handshakes), ConnsInbound: rcmgr.LimitVal(l.Handshakes), ConnsOutbound: rcmgr.LimitVal(l.Handshakes), FD: rcmgr.LimitVal(2 * l.Handshakes),
		// Not less than in all: the peer's own bound is what keeps one of them
		// from taking the negotiations of all others.
		Streams: rcmgr.LimitVal(l.Streams), StreamsInbound: rcmgr.LimitVal(l.Streams), StreamsOutbound: rcmgr.LimitVal(l.Streams),
		Memory: rcmgr.LimitVal64(l.Memory / 4),
	}
	onePeer := rcmgr.ResourceLimits{
		Conns: rcmgr.LimitVal(l.ConnsPerPeer), ConnsInbound: rcmgr.LimitVal(l.ConnsPerPeer), ConnsOutbound: rcmgr.LimitVal(l.ConnsPerPeer), FD: rcmgr.LimitVal(l.ConnsPerPeer),
		Streams: rcmgr.LimitVal(2 * l.StreamsPerPeer), StreamsInbound: rcmgr.LimitVal(l.StreamsPerPeer), StreamsOutbound: rcmgr.LimitVal(l.StreamsPerPeer),
		Memory: rcmgr.LimitVal64(l.MemoryPerPeer),
	}
	concrete := rcmgr.PartialLimitConfig{
		System: system, Transient: transient, PeerDefault: onePeer,
		// The wires bound protocols and streams themselves, with a reason.
		AllowlistedSystem: system, AllowlistedTransient: transient,
	}.Build(rcmgr.InfiniteLimits)

	everywhere := func(bits int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: bits, ConnCount: l.Conns}}
	}
	m, err := rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(concrete),
		rcmgr.WithMetricsDisabled(),
		// Limits per address and prefix are the node's: see Judge.
		rcmgr.WithLimitPerSubnet(everywhere(32), everywhere(56)),
		rcmgr.WithConnRateLimiters(&rate.Limiter{}),
	)
	if err != nil {
		return nil, fmt.Errorf("p2phost: resource manager: %w", err)
	}
	return m, nil
}
