package swarm

import (
	"net/netip"
	"sync"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
)

// The rules of the gate, which stands before any handshake.
const (
	handshakeRate  = 0.2 // per second and IP address
	handshakeBurst = 16.0
	pendingPerNet  = 16 // handshakes under way of one prefix
	handshakeFor   = 15 * time.Second
	badPerMinute   = 20
	blockFor       = 10 * time.Minute
	maxCallers     = 8192 // IP addresses that are remembered
)

// gate bounds what strangers can make us spend on handshakes. It is a leaf:
// any goroutine calls it, and its lock is held for a few map moves only.
type gate struct {
	cfg     *Config
	mu      sync.Mutex
	callers map[netip.Addr]*caller
	crowd   caller // stands for all addresses that found no place among callers
	pending map[netip.AddrPort]time.Time
	nets    map[netip.Prefix]int
	swept   time.Time
}

// caller is one IP address that has opened links.
type caller struct {
	tokens  float64
	at      time.Time
	bad     int       // failed handshakes since badFrom
	badFrom time.Time //
	blocked time.Time // until
}

func newGate(cfg *Config) *gate {
	return &gate{
		cfg: cfg, callers: map[netip.Addr]*caller{},
		pending: map[netip.AddrPort]time.Time{}, nets: map[netip.Prefix]int{},
	}
}

// enter asks for leave to begin a handshake with an inbound link.
func (g *gate) enter(now time.Time, ep netip.AddrPort) peer.Reason {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	ip, counted := ep.Addr(), g.cfg.counted(ep.Addr())
	if counted {
		c := g.caller(now, ip)
		if now.Before(c.blocked) {
			return peer.HandshakeRate
		}
		c.tokens, c.at = min(handshakeBurst, c.tokens+handshakeRate*now.Sub(c.at).Seconds()), now
		if c.tokens < 1 {
			return peer.HandshakeRate
		}
		if g.nets[subnet.Of(ip)] >= pendingPerNet {
			return peer.HandshakesFull
		}
		if len(g.pending) < g.cfg.MaxPending {
			c.tokens--
		}
	}
	if len(g.pending) >= g.cfg.MaxPending {
		return peer.HandshakesFull
	}
	if _, again := g.pending[ep]; !again && counted {
		g.nets[subnet.Of(ip)]++
	}
	g.pending[ep] = now
	return peer.OK
}

// leave ends a handshake, whatever came of it.
func (g *gate) leave(ep netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(ep)
}

func (g *gate) forget(ep netip.AddrPort) {
	if _, ok := g.pending[ep]; !ok {
		return
	}
	delete(g.pending, ep)
	if p := subnet.Of(ep.Addr()); g.nets[p] <= 1 {
		delete(g.nets, p)
	} else {
		g.nets[p]--
	}
}

// failed books a handshake that went wrong, through the other side's doing, on
// its address: more than 20 in a minute close the gate to it for ten minutes.
func (g *gate) failed(now time.Time, ep netip.AddrPort) (blocked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(ep)
	if !g.cfg.counted(ep.Addr()) {
		return false
	}
	c := g.caller(now, ep.Addr())
	if now.Sub(c.badFrom) >= time.Minute {
		c.bad, c.badFrom = 0, now
	}
	c.bad++
	if c.bad > badPerMinute && !now.Before(c.blocked) && c != &g.crowd {
		c.blocked = now.Add(blockFor)
		return true
	}
	return false
}

func (g *gate) caller(now time.Time, ip netip.Addr) *caller {
	ip = subnet.Subscriber(ip)
	if c := g.callers[ip]; c != nil {
		return c
	}
	if len(g.callers) >= maxCallers {
		if g.crowd.at.IsZero() {
			g.crowd = caller{tokens: handshakeBurst, at: now}
		}
		return &g.crowd
	}
	c := &caller{tokens: handshakeBurst, at: now}
	g.callers[ip] = c
	return c
}

// sweep forgets, once a second at most, callers that have been quiet; and
// handshakes that nobody ended, at once where there is no room for another.
func (g *gate) sweep(now time.Time) {
	full := len(g.pending) >= g.cfg.MaxPending
	due := now.Sub(g.swept) >= time.Second
	if full || due {
		for ep, at := range g.pending {
			if now.Sub(at) >= handshakeFor {
				g.forget(ep)
			}
		}
	}
	if !due {
		return
	}
	g.swept = now
	for ip, c := range g.callers {
		if now.Sub(c.at).Seconds()*handshakeRate+c.tokens >= handshakeBurst && !now.Before(c.blocked) && now.Sub(c.badFrom) >= time.Minute {
			delete(g.callers, ip)
		}
	}
}

// underWay is how many handshakes are under way, for counters.
func (g *gate) underWay() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pending)
}
