package ontology

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// Config says what a Wire is. Status is required; the zero value of all else
// works.
type Config struct {
	// Magic names the network in each frame: codec.MagicMain, codec.MagicPolaris,
	// or the network id of a private one.
	Magic uint32
	// Status tells where the chain stands. It never blocks.
	Status func() chain.Status
	// Header finds a header of ours, for what peers announce and for where a
	// range begins. nil: none is found, and peers are asked instead.
	Header func(context.Context, chain.Ref) (chain.Header, error)

	// Listen is "ip:port" for peers; empty: we only dial.
	Listen string
	// ConsensusListen is "ip:port" of the second port, for the consensus links of
	// nodes before v1.7.0; empty: we have none, and open none to others.
	ConsensusListen string
	// Advertise is where others are told that we can be reached: the host of an
	// "ip:port". Versions carry the port alone. Empty: that of Listen.
	Advertise string

	// Soft is the SoftVersion that we claim; empty: DefaultSoft. Until there is a
	// node key an older one is claimed, which needs none.
	Soft string
	// NodeKey is the node key for the newer releases' Kademlia, 32 bytes with the
	// proof of work; nil: it is read from NodeKeyFile, or computed and kept there.
	NodeKey     []byte
	NodeKeyFile string // empty with a nil NodeKey: none is computed
	// Validator says that we take part in the consensus.
	Validator bool

	// Mask are addresses that others are never told.
	Mask []netip.Addr
	// ReservedOnly restricts the node to Reserved: IP addresses, which are exact,
	// and names, which Resolve looks up each minute.
	ReservedOnly bool
	Reserved     []string
	Resolve      func(ctx context.Context, name string) ([]netip.Addr, error) // nil: the machine's DNS
	// RecentFile is a peers.recent that is read at start and written each minute;
	// empty: none.
	RecentFile string
	// StateRoots says that newer releases on this network want the root of the
	// state behind each block from height StateRootFrom on (main net: 3,000,000;
	// Polaris and private networks: 0). A block that lacks it is not sent to them.
	StateRoots    bool
	StateRootFrom uint64

	DecodeBudget int         // bytes of frames that are held at once; 0: 256 MiB or a quarter of the memory limit
	Network      env.Network // nil: the machine's
	Wall         env.Wall    // nil: the machine's
	Logger       *slog.Logger
}

// DefaultSoft is the SoftVersion that we claim: the newest release's.
const DefaultSoft = "v2.5.9"

// keylessSoft is claimed while there is no node key.
const keylessSoft = "v1.9.0"

func (c Config) withDefaults() Config {
	if c.Soft == "" {
		c.Soft = DefaultSoft
	}
	if c.Header == nil {
		c.Header = func(context.Context, chain.Ref) (chain.Header, error) { return chain.Header{}, chain.ErrNotFound }
	}
	if c.Resolve == nil {
		c.Resolve = lookup
	}
	if c.Network == nil {
		c.Network = env.SystemNetwork()
	}
	if c.Wall == nil {
		c.Wall = env.SystemWall()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports all that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("ontology: "+format, args...)) }
	if c.Status == nil {
		bad("Config.Status is missing: give a func that tells where the chain stands")
	}
	for what, s := range map[string]string{"listen": c.Listen, "consensus listen": c.ConsensusListen, "advertised": c.Advertise} {
		if _, err := netip.ParseAddrPort(s); s != "" && err != nil {
			bad("%s address %.80q is no IP address and port: write it as 0.0.0.0:20338", what, s)
		}
	}
	if c.ConsensusListen != "" && c.Listen == "" {
		bad("a consensus port without a port for peers: set Listen")
	}
	if !codec.ParseSoft(c.withDefaults().Soft).Known() {
		bad("soft version %.80q is no version: write it as %s", c.Soft, DefaultSoft)
	}
	if c.ReservedOnly && len(c.Reserved) == 0 {
		bad("restricted to reserved peers, and there are none: name some, or leave the restriction out")
	}
	for _, r := range c.Reserved {
		if _, err := netip.ParseAddr(r); err != nil && !isName(r) {
			bad("reserved peer %.80q is neither an IP address nor a name", r)
		}
	}
	if c.NodeKey != nil {
		if _, err := codec.KadKeyOf(c.NodeKey); err != nil {
			bad("node key: %w", err)
		}
	}
	return errors.Join(errs...)
}

// identity is who we say that we are.
type identity struct {
	nonce uint64
	soft  string
	key   []byte // the public node key; nil: none
	kad   codec.PeerID
}

// withKey is the identity of a private node key.
func withKey(private []byte, soft string) (*identity, error) {
	public, err := codec.KadKeyOf(private)
	if err != nil {
		return nil, err
	}
	id, err := codec.KadIDOf(public)
	if err != nil {
		return nil, err
	}
	return &identity{nonce: id.Nonce(), soft: soft, key: public, kad: id}, nil
}

// decodeKey reads the file of a node key: 64 hex digits.
func decodeKey(text []byte) ([]byte, error) {
	b, err := hex.DecodeString(string(trimSpace(text)))
	if err != nil || len(b) != 32 {
		return nil, errors.New("it does not hold 64 hex digits")
	}
	return b, nil
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return b
}
