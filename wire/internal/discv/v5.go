package discv

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p/discover"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
)

// Bounds of one round.
const (
	// RoundTime is the longest that Discover takes.
	RoundTime = 10 * time.Second
	// RoundNodes is how many records one round looks at.
	RoundNodes = 256
	// RoundFound is how many it gives at most.
	RoundFound = 16
)

// Config says how to look for peers. Key and Listen are required.
type Config struct {
	Key    *ecdsa.PrivateKey
	Listen netip.AddrPort // UDP; port 0: one that the system picks
	// Advertise is what our record says, as far as it is set; else the record
	// has what others see of us.
	Advertise    netip.Addr
	AdvertiseUDP uint16
	TCP          uint16      // that our record says; 0: none
	Entries      []enr.Entry // of our record beside these
	Bootnodes    []string    // enr:… or enode://…
	NetRestrict  string      // CIDR masks with commas between, that alone are talked to; empty: no restriction
	DB           string      // folder of what is known of nodes; empty: in memory
	// Filter says which records are of use; nil: all.
	Filter func(*enode.Node) bool
	// Logger gets what the library says, at debug level at most, and a warning
	// for each boot node whose name DNS does not know; nil: nothing.
	Logger *slog.Logger

	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error) // nil: the system's
}

// V5 is a running discv5. Its methods are safe for concurrent use.
type V5 struct {
	cfg Config
	db  *enode.DB
	udp *discover.UDPv5
}

// Listen opens the socket and starts. Close must be called.
func Listen(cfg Config) (*V5, error) {
	if cfg.Key == nil || !cfg.Listen.Addr().IsValid() {
		return nil, errors.New("discv: Config needs Key and Listen")
	}
	if cfg.Filter == nil {
		cfg.Filter = func(*enode.Node) bool { return true }
	}
	v := &V5{cfg: cfg}
	boot, err := ParseNodes(cfg.Bootnodes)
	if err != nil {
		return nil, err
	}
	boot = cfg.located(boot)
	only, err := cfg.restriction()
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(cfg.Listen))
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("discv: cannot listen on UDP %s: %w: choose another port or address, or stop what uses it", cfg.Listen, err)
	}
	if v.db, err = enode.OpenDB(cfg.DB); err != nil {
		conn.Close()
		return nil, fmt.Errorf("discv: node database %q: %w", cfg.DB, err)
	}
	local := v.local(conn.LocalAddr().(*net.UDPAddr))
	quiet := slog.DiscardHandler
	if cfg.Logger != nil {
		quiet = atDebug{cfg.Logger.Handler()}
	}
	v.udp, err = discover.ListenV5(restrict(conn, only), local, discover.Config{
		PrivateKey: cfg.Key, Bootnodes: boot, NetRestrict: only, ValidSchemes: enode.ValidSchemes,
		Log: log.NewLogger(quiet),
	})
	if err != nil {
		conn.Close()
		v.db.Close()
		return nil, fmt.Errorf("discv: %w", err)
	}
	return v, nil
}

// local makes our record.
func (v *V5) local(at *net.UDPAddr) *enode.LocalNode {
	ln := enode.NewLocalNode(v.db, v.cfg.Key)
	if ip := at.AddrPort().Addr().Unmap(); !ip.IsUnspecified() {
		ln.SetFallbackIP(net.IP(ip.AsSlice()))
	}
	if a := v.cfg.Advertise; a.IsValid() {
		ln.SetStaticIP(net.IP(a.Unmap().AsSlice()))
	}
	port := int(v.cfg.AdvertiseUDP)
	if port == 0 {
		port = at.Port
	}
	ln.SetFallbackUDP(port)
	if v.cfg.TCP != 0 {
		ln.Set(enr.TCP(v.cfg.TCP))
	}
	for _, e := range v.cfg.Entries {
		ln.Set(e)
	}
	return ln
}

// ParseNodes reads records and enode URLs. The error names all bad ones.
func ParseNodes(texts []string) ([]*enode.Node, error) {
	var out []*enode.Node
	var errs []error
	for _, s := range texts {
		n, err := enode.Parse(enode.ValidSchemes, s)
		if err != nil {
			errs = append(errs, fmt.Errorf("discv: boot node %.200q: %w: write enr:… or enode://…@ip:port", s, err))
			continue
		}
		out = append(out, n)
	}
	return out, errors.Join(errs...)
}

// Self is our record. Never blocks.
func (v *V5) Self() *enode.Node { return v.udp.Self() }

// Set changes an entry of our record.
func (v *V5) Set(e enr.Entry) { v.udp.LocalNode().Set(e) }

// Table lists the records that are known and alive.
func (v *V5) Table() []*enode.Node { return v.udp.AllNodes() }

// Discover does one round: half of what it gives is drawn at random from the
// table, then come lookups for others until ctx ends, RoundTime is over, or
// enough was found; where they bring too little, more of the table. The records
// pass the filter, and none is given twice.
func (v *V5) Discover(ctx context.Context) []*enode.Node {
	ctx, cancel := context.WithTimeout(ctx, RoundTime)
	defer cancel()
	seen := map[enode.ID]bool{v.Self().ID(): true}
	var found []*enode.Node
	known := v.udp.AllNodes()
	rand.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	for _, n := range known {
		seen[n.ID()] = true // a lookup begins with these
	}
	draw := func(most int) {
		for len(known) > 0 && len(found) < most {
			if v.cfg.Filter(known[0]) {
				found = append(found, known[0])
			}
			known = known[1:]
		}
	}
	draw(RoundFound / 2)
	it := v.udp.RandomNodes()
	stop := context.AfterFunc(ctx, it.Close)
	defer stop()
	defer it.Close()
	// A small network has nothing new to give, so all that is looked at counts.
	for looked := 0; looked < RoundNodes && len(found) < RoundFound && it.Next(); looked++ {
		if n := it.Node(); !seen[n.ID()] {
			seen[n.ID()] = true
			if v.cfg.Filter(n) {
				found = append(found, n)
			}
		}
	}
	draw(RoundFound)
	return found
}

// Close ends it and waits.
func (v *V5) Close() {
	v.udp.Close()
	v.db.Close()
}

// atDebug hands on what the library logs, at debug level: what it warns of is
// what remotes do.
type atDebug struct{ slog.Handler }

// Enabled implements slog.Handler.
func (h atDebug) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelDebug && h.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (h atDebug) Handle(ctx context.Context, r slog.Record) error {
	r.Level = min(r.Level, slog.LevelDebug)
	return h.Handler.Handle(ctx, r)
}
