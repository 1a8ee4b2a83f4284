package native

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

// Config says what a Wire is. Status is required; the zero value of all else
// works.
type Config struct {
	// Network is the network's name, which peers compare; empty: that of Status.
	Network string
	// Status tells where the chain stands. It never blocks; the genesis hash in
	// it never changes and decides topics and the Kademlia prefix.
	Status func() chain.Status

	Listen    []string // multiaddrs; none: /ip4/0.0.0.0/tcp/0 and /ip4/0.0.0.0/udp/0/quic-v1
	Advertise []string // multiaddrs without /p2p that others are told instead; none: what we listen on
	NoListen  bool     // dial only

	Key     crypto.PrivKey // the identity; nil: KeyFile
	KeyFile string         // read, or made once; empty with a nil Key: a fresh identity each run
	Agent   string         // what we call ourselves; empty: "starling"

	NoDHT        bool     // no Kademlia
	NoQUIC       bool     // TCP only
	MDNS         bool     // look for peers in the local network
	AllowPrivate bool     // discovery passes on loopback and private addresses
	Topics       []string // application topics joined from the start

	MaxBlockBytes     int // of a gossiped block, decoded; 0: 10 MiB, which is the most
	MaxTxBundleBytes  int // of gossiped transactions; 0: 1 MiB, which is the most
	MaxConsensusBytes int // of a consensus message; 0: 1 MiB, which is the most
	DecodeBudget      int // bytes of gossip and answers that are read and decoded at once; 0: 256 MiB or a quarter of the memory limit
	// ServeUnpaced leaves the pace of answers to the multiplexer: for measuring
	// throughput. Then bulk can delay consensus.
	ServeUnpaced bool
	ServeRate    int // bytes a second that the node serves one peer, as peers are told; 0: not told
	ServeBurst   int // bytes beyond that at once

	// Libp2pOptions, if there are any, bring the transports in place of TCP and
	// QUIC, and may be anything else.
	Libp2pOptions []libp2p.Option
	Resolver      *madns.Resolver // nil: the system's
	Wall          env.Wall        // nil: the system's
	Logger        *slog.Logger    // nil: none
	// Libraries takes what go-libp2p, pubsub and Kademlia log; nil: nobody does.
	// These logs are the process's: the first wire of a process decides.
	Libraries slog.Handler
}

func (c Config) withDefaults() Config {
	if c.Network == "" {
		c.Network = c.Status().Network
	}
	if c.Agent == "" {
		c.Agent = "starling"
	}
	if len(c.Listen) == 0 && !c.NoListen {
		c.Listen = []string{"/ip4/0.0.0.0/tcp/0"}
		if !c.NoQUIC && len(c.Libp2pOptions) == 0 {
			c.Listen = append(c.Listen, "/ip4/0.0.0.0/udp/0/quic-v1")
		}
	}
	if c.NoListen {
		c.Listen = nil
	}
	c.MaxBlockBytes = cmp.Or(c.MaxBlockBytes, codec.MaxBlock)
	c.MaxTxBundleBytes = cmp.Or(c.MaxTxBundleBytes, codec.MaxTxBundle)
	c.MaxConsensusBytes = cmp.Or(c.MaxConsensusBytes, codec.MaxConsensus)
	if c.Wall == nil {
		c.Wall = env.SystemWall()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports all that is wrong with the configuration. It calls Status.
func (c Config) Validate() error {
	if c.Status == nil {
		return errors.New("native: Config.Status is missing: give a func that tells where the chain stands")
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("native: "+format, args...)) }
	genesis := c.Status().Genesis
	if genesis.IsZero() {
		bad("Config.Status has a zero genesis hash: a network is known by its genesis")
	}
	c = c.withDefaults()
	if len(c.Network) > codec.MaxNetwork {
		bad("network name %.20q… has %d bytes, at most %d", c.Network, len(c.Network), codec.MaxNetwork)
	}
	if len(c.Agent) > codec.MaxAgent {
		bad("agent %.20q… has %d bytes, at most %d", c.Agent, len(c.Agent), codec.MaxAgent)
	}
	names := codec.NamesOf(genesis)
	for _, t := range c.Topics {
		if _, err := names.App(t); err != nil {
			bad("topic %q: %w", t, err)
		}
	}
	for _, f := range []struct {
		name  string
		value int
		most  int // the wire's bound; 0: none
	}{
		{"MaxBlockBytes", c.MaxBlockBytes, codec.MaxBlock},
		{"MaxTxBundleBytes", c.MaxTxBundleBytes, codec.MaxTxBundle},
		{"MaxConsensusBytes", c.MaxConsensusBytes, codec.MaxConsensus},
		{"DecodeBudget", c.DecodeBudget, 0},
		{"ServeRate", c.ServeRate, 0},
		{"ServeBurst", c.ServeBurst, 0},
	} {
		switch {
		case f.value < 0:
			bad("%s is %d, want at least 0 (0: the default)", f.name, f.value)
		case f.most > 0 && f.value > f.most:
			bad("%s is %d, want at most %d, which is the most that a peer takes", f.name, f.value, f.most)
		}
	}
	if _, _, err := c.addrs(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// addrs parses listen and advertise addresses; the error names all bad ones.
func (c Config) addrs() (listen, advertise []ma.Multiaddr, err error) {
	var errs []error
	parse := func(what string, in []string) (out []ma.Multiaddr) {
		for _, s := range in {
			m, err := ma.NewMultiaddr(s)
			if err != nil {
				errs = append(errs, fmt.Errorf("native: %s address %q is no multiaddr: write it as /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1", what, s))
				continue
			}
			out = append(out, m)
		}
		return out
	}
	listen = parse("listen", c.Listen)
	advertise = parse("advertised", c.Advertise)
	return listen, advertise, errors.Join(errs...)
}
