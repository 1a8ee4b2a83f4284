package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"time"

	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Config says how a table behaves. Only Dial is required; a zero elsewhere
// means the default that the field names.
type Config struct {
	// Dial makes one attempt (wire.Wire.Dial). Called from workers.
	Dial func(ctx context.Context, a peer.Addr) error
	// Resolve asks DNS and gives addresses without names. Nil: no address holds
	// a name.
	Resolve func(ctx context.Context, a peer.Addr) ([]peer.Addr, error)
	// Discover runs one discovery round. Nil: the wire finds nobody by itself.
	Discover func(ctx context.Context) error
	// Self gives our own identity; empty until the wire is listening. Nil: none.
	Self func() peer.ID
	// Endpoint reads IP, port and identity out of an address, purely. False
	// where it holds no IP address; the ID may be there all the same. Nil: the
	// text is tried as host:port.
	Endpoint func(a peer.Addr) (netip.AddrPort, peer.ID, bool)
	// Ping checks that a session still answers, and gives the round trip.
	// Called from workers. Nil: the wire keeps links alive on its own.
	Ping func(ctx context.Context, s wire.Session) (time.Duration, error)

	ProvenIdentity bool           // the handshake proves identities; false: reputation goes by address
	Duplicate      wire.Duplicate // which of two links to one peer stays

	Static  []peer.Addr // redialled for ever
	Trusted []peer.Addr // as Static, and admitted over every limit; see TrustedCall
	Seeds   []peer.Addr // dialled at start and below LowWater

	MaxPeers      int     // sessions; 0: 50
	MaxInbound    int     // inbound sessions; 0: what MaxPeers, Reserved and OutboundFloor leave
	OutboundFloor float64 // share of MaxPeers kept free of inbound; 0: a third; negative: none
	LowWater      int     // fewer sessions than this bring the seeds back; 0: 8, at most MaxPeers
	MaxPending    int     // handshakes of inbound links under way; 0: 64
	MaxDials      int     // dials under way; 0: 48
	Reserved      int     // of MaxPeers, slots only for protected, static and trusted peers
	MaxPerAddr    int     // sessions per IP address; 0: 5
	MaxPerPrefix  int     // sessions per /24 (IPv4) or /56 (IPv6); 0: 5
	// Places are kept, of MaxPeers, for peers that speak something: ordinary
	// sessions with others leave them free, inbound as outbound.
	Places []wire.Places

	NetRestrict   []netip.Prefix // empty: everywhere
	MinScore      float64        // below it neither dialled nor kept; 0: -50
	Grace         time.Duration  // in which a new session is not let go for another; 0: none
	AllowPrivate  bool           // private and loopback addresses may come from discovery
	CountLoopback bool           // per-address and per-prefix rules hold for loopback too
	NoDial        bool
	NoListen      bool
	NoDiscovery   bool

	DiscoveryInterval time.Duration // 0: 30 s
	DiscoveryDelay    time.Duration // before the first round; 0: 5 s
	KeepAlive         time.Duration // between two pings of a session; 0: 30 s
	DialTimeout       time.Duration // names, link and handshakes in all; 0: 10 s
	RecentRetry       time.Duration // the longest pause between dials of a peer of the last day; 0: 20 s
	TrustedCall       bool          // who is only trusted is let in, and not dialled for it
	MinRedial         time.Duration // the shortest pause between dials of one address; 0: none
	FlushEvery        time.Duration // the longest that bans and scores stay unsaved; 0: 5 s, at most 10 s
	Feelers           time.Duration // between two test dials of unproven addresses; 0: 2 min; negative: none

	Store Store // nil: memory only

	Wall   env.Wall     // nil: the machine's
	Seed   uint64       // of every random decision; 0: drawn
	Logger *slog.Logger // nil: silent
	// OnEvent is called on the owner's goroutine for everything that happens.
	// It must not block and must not call back into the Swarm. Nil: nobody.
	OnEvent func(Event)
	// Queue is how many reports of a kind may wait for the owner; 0: 1024; negative: none.
	Queue int
}

// Bounds that do not depend on the configuration.
const (
	maxConfigured   = 1024            // static, trusted and seed addresses each
	maxBans         = 10_000          // identities, prefixes apart
	maxPrefixBans   = 1024            //
	maxStandings    = 16_384          // peers whose faults are remembered
	maxPeersBound   = 10_000          // of MaxPeers
	maxRequests     = 256             // Connect calls under way
	maxListen       = 16              // addresses that a peer may name for itself
	maxFoundAtOnce  = 1024            // addresses looked at in one report
	retainFor       = 24 * time.Hour  // scores, own addresses, marks of foreign networks
	tickEvery       = 2 * time.Second // wall clock check, expiry
	sweepEvery      = 10 * time.Second
	ageEvery        = 10 * time.Minute
	protectedInFull = 28 // inbound sessions that eviction spares, as in Bitcoin
)

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.MaxPeers, 50)
	if c.OutboundFloor == 0 {
		c.OutboundFloor = 1.0 / 3
	}
	c.OutboundFloor = max(c.OutboundFloor, 0)
	def(&c.MaxInbound, max(0, c.MaxPeers-c.Reserved-c.floor()))
	def(&c.LowWater, min(8, c.MaxPeers))
	def(&c.MaxPending, 64)
	def(&c.MaxDials, 48)
	def(&c.MaxPerAddr, 5)
	def(&c.MaxPerPrefix, 5)
	def(&c.Queue, 1024)
	c.Queue = max(c.Queue, 0)
	if c.MinScore == 0 {
		c.MinScore = banAt
	}
	dur(&c.DiscoveryInterval, 30*time.Second)
	dur(&c.DiscoveryDelay, 5*time.Second)
	dur(&c.KeepAlive, 30*time.Second)
	dur(&c.DialTimeout, 10*time.Second)
	dur(&c.RecentRetry, 20*time.Second)
	dur(&c.FlushEvery, 5*time.Second)
	dur(&c.Feelers, 2*time.Minute)
	if c.Wall == nil {
		c.Wall = env.SystemWall()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Self == nil {
		c.Self = func() peer.ID { return "" }
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	return c
}

// floor is how many slots inbound sessions never take.
func (c Config) floor() int { return int(math.Ceil(float64(c.MaxPeers) * c.OutboundFloor)) }

// validate reports every problem of a config that has its defaults.
func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("swarm: "+format, args...))
	}
	if c.Dial == nil {
		bad("Dial is missing")
	}
	between := func(name string, v, lo, hi int) {
		if v < lo || v > hi {
			bad("%s is %d, want %d to %d", name, v, lo, hi)
		}
	}
	between("MaxPeers", c.MaxPeers, 1, maxPeersBound)
	between("MaxInbound", c.MaxInbound, 0, maxPeersBound)
	between("Reserved", c.Reserved, 0, max(c.MaxPeers, 0))
	between("LowWater", c.LowWater, 0, max(c.MaxPeers, 0))
	between("MaxPending", c.MaxPending, 1, 4096)
	between("MaxDials", c.MaxDials, 1, 1024)
	between("MaxPerAddr", c.MaxPerAddr, 1, maxPeersBound)
	between("MaxPerPrefix", c.MaxPerPrefix, 1, maxPeersBound)
	between("the number of Static addresses", len(c.Static), 0, maxConfigured)
	between("the number of Trusted addresses", len(c.Trusted), 0, maxConfigured)
	between("the number of Seeds", len(c.Seeds), 0, maxConfigured)
	if c.OutboundFloor > 1 || math.IsNaN(c.OutboundFloor) {
		bad("OutboundFloor is %v, want at most 1", c.OutboundFloor)
	} else if free := c.MaxPeers - c.Reserved - c.floor(); c.MaxInbound > max(free, 0) {
		bad("MaxInbound is %d, but MaxPeers %d less Reserved %d less the outbound floor %d leaves %d",
			c.MaxInbound, c.MaxPeers, c.Reserved, c.floor(), max(free, 0))
	}
	c.validatePlaces(bad)
	if c.Reserved >= c.MaxPeers && c.MaxPeers > 0 && len(c.Static)+len(c.Trusted) == 0 && len(c.Seeds) > 0 {
		bad("Reserved is %d of MaxPeers %d, which leaves no slot for the Seeds", c.Reserved, c.MaxPeers)
	}
	if c.MinScore > 0 || c.MinScore < -100 || math.IsNaN(c.MinScore) {
		bad("MinScore is %v, want -100 to 0 (0: %v)", c.MinScore, banAt)
	}
	span := func(name string, v, lo, hi time.Duration) {
		if v < lo || v > hi {
			bad("%s is %v, want %v to %v", name, v, lo, hi)
		}
	}
	span("DiscoveryInterval", c.DiscoveryInterval, time.Second, 24*time.Hour)
	span("DiscoveryDelay", c.DiscoveryDelay, time.Millisecond, time.Hour)
	span("KeepAlive", c.KeepAlive, time.Second, time.Hour)
	span("DialTimeout", c.DialTimeout, 100*time.Millisecond, 5*time.Minute)
	span("RecentRetry", c.RecentRetry, time.Second, time.Hour)
	span("MinRedial", c.MinRedial, 0, time.Hour)
	span("FlushEvery", c.FlushEvery, 100*time.Millisecond, 10*time.Second)
	for i, p := range c.NetRestrict {
		if !p.IsValid() {
			bad("NetRestrict entry %d is no prefix", i)
		}
	}
	for _, l := range []struct {
		name  string
		addrs []peer.Addr
	}{{"Static", c.Static}, {"Trusted", c.Trusted}, {"Seeds", c.Seeds}} {
		for i, a := range l.addrs {
			if a.IsZero() || len(a.Text) > maxAddrText || len(a.Scheme) > maxScheme {
				bad("%s entry %d is no address of at most %d bytes: %.80q", l.name, i, maxAddrText, a.Text)
			}
		}
	}
	return errors.Join(errs...)
}
