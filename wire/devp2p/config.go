package devp2p

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// Config says what a Wire is. Status and NetworkID are required; the zero value
// of all else works.
type Config struct {
	// NetworkID is the number that peers compare.
	NetworkID uint64
	// Network is the network's name, for people; empty: the number.
	Network string
	// Status tells where the chain stands; its weight is the total difficulty. It
	// never blocks, and its genesis never changes.
	Status func() chain.Status
	// HeadTime is the time of the head block in Unix seconds, which decides what
	// forks by time it has passed. It never blocks. Nil: the wall clock, as if
	// the chain were in sync.
	HeadTime func() uint64
	// Forks is the chain's fork schedule.
	Forks eth.Forks
	// Versions of eth that are offered; none: all.
	Versions []eth.Version
	// WithReceipts makes a request for bodies ask for the receipts too, as the
	// bodies' Extra.
	WithReceipts bool
	// TargetOnly says that the chain is followed from trusted targets only, as
	// after the Merge: what peers claim of their heads is then not passed on, so
	// that nothing is ever synced on their word (threat L-06).
	TargetOnly bool
	// Protocols are the embedder's own.
	Protocols []Protocol
	// Places are sessions, of the most that the node has, that are kept for peers
	// that speak a protocol of ours: by its name, or by name and version
	// ("eth/69"), which is then the version that the session agrees on.
	Places []wire.Places
	// Chain is the chain's configuration as NodeProtocols shows it; nil: nothing.
	Chain any

	Discovery Discovery

	Listen    string           // host:port; empty: :30303
	NoListen  bool             // dial only
	Advertise []netip.AddrPort // what Addrs tells instead of where we listen
	Router    Router           // maps our ports, see ParseNAT; nil: nobody does

	Key     *ecdsa.PrivateKey // the identity, on secp256k1; nil: KeyFile
	KeyFile string            // 64 hex digits; read, or made once; empty with a nil Key: a fresh identity each run
	Agent   string            // what we call ourselves; empty: "starling"

	MaxPending int // handshakes at once; 0: 50
	// InboundPause is how long an address, but of loopback and the local network,
	// has to wait between two attempts to reach us; 0: 30 s, negative: not at all.
	InboundPause time.Duration
	DecodeBudget int // bytes of messages that are taken in at once; 0: 256 MiB or a quarter of the memory limit

	Net env.Network // nil: the system's
	// LookupIP finds the addresses of a name; nil: the system's resolver.
	LookupIP func(ctx context.Context, host string) ([]netip.Addr, error)
	Wall     env.Wall     // nil: the system's
	Logger   *slog.Logger // nil: none
}

// maxLength bounds the message codes of one protocol.
const maxLength = 1 << 16

// Validate reports all that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("devp2p: "+format, args...)) }
	if c.Status == nil {
		bad("Config.Status is missing")
	}
	for _, v := range c.Versions {
		if !slices.Contains(eth.Versions(), v) {
			bad("%v is not spoken here: %v are", v, eth.Versions())
		}
	}
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			bad("listen address %q: write it as 0.0.0.0:30303: %w", c.Listen, err)
		}
	}
	offers := c.offers()
	if len(offers) > base.MaxCaps {
		bad("%d protocols, at most %d", len(offers), base.MaxCaps)
	}
	for i, o := range offers {
		switch {
		case o.Name == "" || len(o.Name) > 8 || o.Length < 1 || o.Length > maxLength:
			bad("protocol %q version %d of %d messages: want a name of 1 to 8 bytes and 1 to %d messages", o.Name, o.Version, o.Length, maxLength)
		case slices.ContainsFunc(offers[:i], func(p base.Offer) bool { return p.Cap == o.Cap }):
			bad("protocol %v is there twice", o.Cap)
		}
	}
	for _, p := range c.Protocols {
		if p.Run == nil {
			bad("protocol %s has no Run", p.Name)
		}
		if p.Name == eth.Name {
			bad("protocol eth is the wire's own")
		}
	}
	for _, p := range c.places() {
		if p.Count < 1 || !slices.ContainsFunc(offers, func(o base.Offer) bool { return o.Name == p.Capability || o.Cap.String() == p.Capability }) {
			bad("%d places are kept for %.40q: want one at least, for a protocol that is offered: %v", p.Count, p.Capability, base.Caps(offers))
		}
	}
	return errors.Join(errs...)
}

// places are those that are kept, in the order in which they were asked for.
func (c Config) places() []wire.Places {
	all := slices.Clone(c.Places)
	for _, p := range c.Protocols {
		if p.Places != 0 {
			all = append(all, wire.Places{Capability: base.Cap{Name: p.Name, Version: p.Version}.String(), Count: p.Places})
		}
	}
	return all
}

// offers are the protocols that we speak.
func (c Config) offers() []base.Offer {
	versions := c.Versions
	if len(versions) == 0 {
		versions = eth.Versions()
	}
	var all []base.Offer
	for _, v := range versions {
		all = append(all, base.Offer{Cap: base.Cap{Name: eth.Name, Version: uint(v)}, Length: v.Length()})
	}
	for _, p := range c.Protocols {
		all = append(all, base.Offer{Cap: base.Cap{Name: p.Name, Version: p.Version}, Length: p.Length})
	}
	return all
}

func (c Config) withDefaults() Config {
	if c.Network == "" {
		c.Network = fmt.Sprint(c.NetworkID)
	}
	if c.Listen == "" {
		c.Listen = ":30303"
	}
	if c.Agent == "" {
		c.Agent = "starling"
	}
	if c.MaxPending <= 0 {
		c.MaxPending = 50
	}
	if c.InboundPause == 0 {
		c.InboundPause = inboundPause
	}
	if c.Net == nil {
		c.Net = env.SystemNetwork()
	}
	if c.LookupIP == nil {
		c.LookupIP = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if c.Wall == nil {
		c.Wall = env.SystemWall()
	}
	if c.HeadTime == nil {
		wall := c.Wall
		c.HeadTime = func() uint64 { return uint64(max(wall.Now().Unix(), 0)) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
