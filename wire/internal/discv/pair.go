package discv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p/discover"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
)

// PairConfig says how to look for peers by discv4 and discv5 at once. Of its
// Config, Bootnodes are those of discv5.
type PairConfig struct {
	Config
	BootnodesV4 []string // enr:… or enode://…
	NoV4, NoV5  bool
	// CountLoopback has loopback and private ranges count each, where others say
	// how they see us: for tests of that.
	CountLoopback bool
}

// Pair is discv4 and discv5 on one socket, as Ethereum's nodes run them: what
// v4 cannot parse is v5's. Its methods are safe for concurrent use.
type Pair struct {
	cfg   PairConfig
	db    *enode.DB
	local *enode.LocalNode
	v4    *discover.UDPv4 // nil: off
	v5    *V5             // nil: off
	port  int             // of UDP, that our record has without a router
	seen  sight           // by others

	mu      sync.Mutex // a leaf
	outside netip.Addr // as a router has it; invalid: not mapped
}

// unhandled is how many packets may wait for v5; what comes then is dropped.
const unhandled = 100

// ListenPair opens the socket and starts. Close must be called.
func ListenPair(cfg PairConfig) (p *Pair, err error) {
	if cfg.Key == nil || !cfg.Listen.Addr().IsValid() || cfg.NoV4 && cfg.NoV5 {
		return nil, errors.New("discv: PairConfig needs Key, Listen, and a version that is on")
	}
	if cfg.Filter == nil {
		cfg.Filter = func(*enode.Node) bool { return true }
	}
	boot4, err4 := ParseNodes(cfg.BootnodesV4)
	boot5, err5 := ParseNodes(cfg.Bootnodes)
	if err := errors.Join(err4, err5); err != nil {
		return nil, err
	}
	only, err := cfg.restriction()
	if err != nil {
		return nil, err
	}
	boot4, boot5 = cfg.located(boot4), cfg.located(boot5)
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(cfg.Listen))
	if err != nil {
		return nil, fmt.Errorf("discv: cannot listen on UDP %s: %w", cfg.Listen, err)
	}
	p = &Pair{cfg: cfg, seen: sight{apart: cfg.CountLoopback}}
	if p.db, err = enode.OpenDB(cfg.DB); err != nil {
		conn.Close()
		return nil, fmt.Errorf("discv: node database %q: %w", cfg.DB, err)
	}
	v5 := &V5{cfg: cfg.Config, db: p.db}
	p.local = v5.local(conn.LocalAddr().(*net.UDPAddr))
	p.port = p.local.Node().UDP()
	quiet := slog.DiscardHandler
	if cfg.Logger != nil {
		quiet = atDebug{cfg.Logger.Handler()}
	}
	common := discover.Config{PrivateKey: cfg.Key, NetRestrict: only, ValidSchemes: enode.ValidSchemes, Log: log.NewLogger(quiet)}
	var shared discover.UDPConn = conn
	if !cfg.NoV4 {
		c := common
		c.Bootnodes = boot4
		if !cfg.NoV5 {
			ch := make(chan discover.ReadPacket, unhandled)
			c.Unhandled = ch
			shared = &discover.SharedUDPConn{UDPConn: conn, Unhandled: ch}
		}
		if p.v4, err = discover.ListenV4(restrict(conn, only), p.local, c); err != nil {
			conn.Close()
			p.db.Close()
			return nil, fmt.Errorf("discv: discv4: %w", err)
		}
	}
	if !cfg.NoV5 {
		c := common
		c.Bootnodes = boot5
		if v5.udp, err = discover.ListenV5(restrict(shared, only), p.local, c); err != nil {
			p.Close()
			conn.Close()
			return nil, fmt.Errorf("discv: discv5: %w", err)
		}
		p.v5 = v5
	}
	return p, nil
}

// Self is our record. Never blocks.
func (p *Pair) Self() *enode.Node { return p.local.Node() }

// Set changes an entry of our record.
func (p *Pair) Set(e enr.Entry) { p.local.Set(e) }

// SetOutside tells others the address and ports that a router maps to ours. A
// port of 0 is not mapped, so that it is told as it is here; neither is anything
// where ip is invalid: then our record has the address that we listen on, if that
// is one, and else none. An address of Config.Advertise stands over all.
func (p *Pair) SetOutside(ip netip.Addr, tcp, udp uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outside.IsValid() && p.outside.Is4() != ip.Is4() || !ip.IsValid() {
		p.tellIP(p.inner(p.outside))
	}
	if ip.IsValid() {
		p.tellIP(ip)
	}
	p.outside = ip
	if tcp == 0 {
		tcp = p.cfg.TCP
	}
	if tcp != 0 {
		p.local.Set(enr.TCP(tcp))
	}
	if udp == 0 {
		udp = uint16(p.port)
	}
	p.local.SetFallbackUDP(int(udp))
}

func (p *Pair) tellIP(ip netip.Addr) {
	if ip.IsValid() && !p.cfg.Advertise.IsValid() {
		p.local.SetStaticIP(net.IP(ip.AsSlice()))
	}
}

// inner is what stands in the place of an address that a router had: ours of the
// same family, or the unspecified one, which a record leaves out.
func (p *Pair) inner(was netip.Addr) netip.Addr {
	ours := p.cfg.Listen.Addr().Unmap()
	switch {
	case !was.IsValid():
		return netip.Addr{}
	case ours.Is4() == was.Is4() && !ours.IsUnspecified():
		return ours
	case was.Is4():
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// Close ends both and waits. The order matters: v5 reads what v4 leaves.
func (p *Pair) Close() {
	if p.v4 != nil {
		p.v4.Close()
	}
	if p.v5 != nil {
		p.v5.udp.Close()
	}
	p.db.Close()
}

// Discover does one round of each, as V5.Discover does. None is given twice. Some
// nodes are asked where they see us, for SeenAs.
func (p *Pair) Discover(ctx context.Context) []*enode.Node {
	var of4, of5 []*enode.Node
	var wg sync.WaitGroup
	if p.v4 != nil {
		wg.Go(func() { of4 = p.discover4(ctx) })
	}
	if p.v5 != nil {
		wg.Go(func() { of5 = p.v5.Discover(ctx) })
	}
	wg.Go(p.askSeen)
	wg.Wait()
	seen := map[enode.ID]bool{}
	var found []*enode.Node
	for _, n := range append(of5, of4...) {
		if !seen[n.ID()] {
			seen[n.ID()] = true
			found = append(found, n)
		}
	}
	return found
}

// records is how many nodes are asked for their record at once: discv4 tells
// addresses only (go-ethereum eth, 16 in parallel).
const records = 16

// discover4 does a round of discv4: lookups, and the record of each node that
// they give.
func (p *Pair) discover4(ctx context.Context) []*enode.Node {
	ctx, cancel := context.WithTimeout(ctx, RoundTime)
	defer cancel()
	it := p.v4.RandomNodes()
	stop := context.AfterFunc(ctx, it.Close)
	defer stop()
	defer it.Close()

	var mu sync.Mutex
	var found []*enode.Node
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(found) >= RoundFound
	}
	place := make(chan struct{}, records)
	var wg sync.WaitGroup
	seen := map[enode.ID]bool{p.Self().ID(): true}
	for again := 0; again < RoundNodes && len(seen) <= RoundNodes && !enough() && it.Next(); {
		n := it.Node()
		if seen[n.ID()] {
			again++ // a small network has nothing new to give
			continue
		}
		seen[n.ID()] = true
		place <- struct{}{} // comes back within the library's time for an answer
		wg.Go(func() {
			defer func() { <-place }()
			full, err := p.v4.RequestENR(n)
			if err != nil || !p.cfg.Filter(full) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if len(found) < RoundFound {
				found = append(found, full)
			}
		})
	}
	wg.Wait()
	return found
}
