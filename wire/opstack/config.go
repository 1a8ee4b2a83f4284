package opstack

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/internal/discv"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// DefaultSeenFor is how long a message id is remembered: 130 heartbeats, as in
// op-node.
const DefaultSeenFor = 65 * time.Second

// defaultListen has op-node's port.
const defaultListen = "/ip4/0.0.0.0/tcp/9222"

// Config says what a Wire is. Rules and Status are required; the zero value of
// all else works.
type Config struct {
	// Rules are those of the network, shared with its ledger family.
	Rules *rules.Rules
	// Status tells where the chain stands. It never blocks.
	Status func() chain.Status

	Listen    []string // multiaddrs; none: /ip4/0.0.0.0/tcp/9222
	Advertise []string // multiaddrs without /p2p that others are told instead; none: what we listen on
	NoListen  bool     // dial only

	Key     crypto.PrivKey // the identity, a secp256k1 key; nil: KeyFile
	KeyFile string         // read, or made once, in op-node's form; empty with a nil Key: a fresh identity each run
	Agent   string         // what we call ourselves; empty: "starling"

	TLS bool // is offered after Noise
	// Plaintext takes the place of Noise and TLS: nothing is encrypted, and no
	// identity proven. All that is listened on, and all peers, are then on loopback.
	Plaintext    bool
	AllowPrivate bool // what identify finds may be loopback and private addresses

	// SeenFor is how long a message id is remembered; 0: DefaultSeenFor, or the
	// window of the rules if that is longer. Less than that window is refused:
	// old blocks could be relayed again and again.
	SeenFor      time.Duration
	Mesh         Mesh
	DecodeBudget int // bytes of gossip and answers that are held at once; 0: 256 MiB or a quarter of the memory limit
	ServeRate    int // blocks a second that one peer is served; 0: 8, twice what op-node asks
	ServeBurst   int // blocks beyond that at once; 0: 32

	// NoRanges asks and serves Starlings no faster than op-nodes: one block a
	// request.
	NoRanges bool
	// ServeUnpaced leaves the pace of ranges to the multiplexer: for measuring
	// throughput. Then they can delay gossip.
	ServeUnpaced bool

	// DiscoverOn is the UDP address of discv5, as 0.0.0.0:9222; empty: peers are
	// not looked for. The identity is then a secp256k1 key, and in our record
	// the address is the first that is advertised, or what others see.
	DiscoverOn  string
	DiscoverUDP uint16   // the UDP port that our record says; 0: that of DiscoverOn
	Bootnodes   []string // enr:… or enode://…
	DiscoveryDB string   // folder of what is known of nodes; empty: in memory
	NetRestrict string   // CIDR masks with commas between, for discovery; empty: none

	// Libp2pOptions, if there are any, bring the transports in place of TCP, and
	// may be anything else.
	Libp2pOptions []libp2p.Option
	Resolver      *madns.Resolver // nil: the system's
	Logger        *slog.Logger    // nil: none
	Libraries     slog.Handler    // takes what go-libp2p and pubsub log; nil: nobody. The first wire of a process decides
}

// Mesh is how many peers a topic's mesh has; each zero is op-node's default.
type Mesh struct {
	D    int // wanted; 0: 8
	Lo   int // fewer are filled up; 0: 6
	Hi   int // more are pruned; 0: 12
	Lazy int // who beside them is told of what there is; 0: 6
}

func (m Mesh) withDefaults() Mesh {
	for _, f := range []struct {
		of *int
		is int
	}{{&m.D, 8}, {&m.Lo, 6}, {&m.Hi, 12}, {&m.Lazy, 6}} {
		if *f.of == 0 {
			*f.of = f.is
		}
	}
	return m
}

// mostMesh bounds each number of a Mesh.
const mostMesh = 100

func (m Mesh) validate() error {
	m = m.withDefaults()
	// pubsub keeps two outbound peers of a mesh, which is to be less than half of it.
	if m.D < 6 || m.Lo < 3 || m.Lo > m.D || m.D > m.Hi || m.Lazy < 0 || max(m.Hi, m.Lazy) > mostMesh {
		return fmt.Errorf("opstack: a mesh of %d peers, at least %d, at most %d, and %d told beside it: want 3 <= least <= wanted <= most, 6 wanted or more, and none over %d", m.D, m.Lo, m.Hi, m.Lazy, mostMesh)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Agent == "" {
		c.Agent = "starling"
	}
	if len(c.Listen) == 0 {
		c.Listen = []string{defaultListen}
	}
	if c.NoListen {
		c.Listen = nil
	}
	c.Mesh = c.Mesh.withDefaults()
	if c.SeenFor == 0 {
		c.SeenFor = max(DefaultSeenFor, c.Rules.Config().Window())
	}
	if c.ServeRate <= 0 {
		c.ServeRate = 8
	}
	if c.ServeBurst <= 0 {
		c.ServeBurst = 32
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports all that is wrong with the configuration.
func (c Config) Validate() error {
	if c.Rules == nil || c.Status == nil {
		return errors.New("opstack: Config needs Rules and Status: give those of the network's family and chain")
	}
	err := CheckReach(c)
	if w := c.Rules.Config().Window(); c.SeenFor != 0 && c.SeenFor < w {
		err = errors.Join(err, fmt.Errorf("opstack: message ids are remembered for %v, less than the %v for which a block may be gossiped: old blocks could be relayed again and again; give at least %v, or lower the timestamp threshold", c.SeenFor, w, w))
	}
	if c.DiscoverOn != "" {
		if _, perr := netip.ParseAddrPort(c.DiscoverOn); perr != nil {
			err = errors.Join(err, fmt.Errorf("opstack: discovery address %q: write it as 0.0.0.0:9222", c.DiscoverOn))
		}
	}
	if _, berr := discv.ParseNodes(c.Bootnodes); berr != nil {
		err = errors.Join(err, fmt.Errorf("opstack: %w", berr))
	}
	if c.Key != nil && c.Key.Type() != crypto.Secp256k1 && len(c.Libp2pOptions) == 0 {
		err = errors.Join(err, fmt.Errorf("opstack: identity key of kind %v: OP Stack nodes have secp256k1 keys", c.Key.Type()))
	}
	return err
}

// CheckReach reports what is wrong with the addresses of a configuration, its
// encryption and its meshes. It needs neither Rules nor Status.
func CheckReach(c Config) error {
	listen, advertise, err := c.addrs()
	err = errors.Join(err, c.Mesh.validate())
	if err == nil {
		bad, _ := reach(listen, advertise)
		for _, text := range bad {
			err = errors.Join(err, errors.New("opstack: "+text))
		}
	}
	if away := notLoopback(listen); c.Plaintext && away != "" {
		err = errors.Join(err, fmt.Errorf("opstack: plaintext is for loopback only, and %q is not: listen on 127.0.0.1, or leave plaintext out", away))
	}
	if c.Plaintext && c.TLS {
		err = errors.Join(err, errors.New("opstack: plaintext and TLS are both asked for; leave one of them out"))
	}
	return err
}

// addrs parses listen and advertise addresses; the error names all bad ones.
func (c Config) addrs() (listen, advertise []ma.Multiaddr, err error) {
	var errs []error
	parse := func(what string, in []string) (out []ma.Multiaddr) {
		for _, s := range in {
			m, err := ma.NewMultiaddr(s)
			if err == nil {
				_, err = m.ValueForProtocol(ma.P_TCP)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("opstack: %s address %q is no TCP multiaddr: write it as /ip4/0.0.0.0/tcp/9222", what, s))
				continue
			}
			out = append(out, m)
		}
		return out
	}
	switch {
	case c.NoListen:
		c.Listen = nil
	case len(c.Listen) == 0:
		c.Listen = []string{defaultListen}
	}
	listen = parse("listen", c.Listen)
	advertise = parse("advertised", c.Advertise)
	return listen, advertise, errors.Join(errs...)
}
