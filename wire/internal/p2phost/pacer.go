package p2phost

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starlingp2p/starling/wire"
)

// Kademlia dials whoever an answer names, so that whoever answers could aim us
// at a victim. What never proved to be a peer is dialled by discovery once a
// minute at most, over all identities that are said to be there.
const (
	pacerTime  = time.Minute
	pacerPerIP = 8         // ports of one IP address in that time
	provenFor  = time.Hour // after a connection, an address is dialled at will
	pacerSize  = 8192      // addresses of each kind
)

// pacer remembers where discovery has dialled. It is safe for concurrent use
// and never waits.
type pacer struct {
	mu     sync.Mutex
	tried  *simplelru.LRU[netip.AddrPort, time.Time]
	ips    *simplelru.LRU[netip.Addr, ipDials]
	proven *simplelru.LRU[netip.AddrPort, time.Time]
}

type ipDials struct {
	from time.Time
	n    int
}

func newPacer() *pacer {
	p := &pacer{}
	p.tried, _ = simplelru.NewLRU[netip.AddrPort, time.Time](pacerSize, nil) // it errs for sizes below 1 only
	p.ips, _ = simplelru.NewLRU[netip.Addr, ipDials](pacerSize, nil)
	p.proven, _ = simplelru.NewLRU[netip.AddrPort, time.Time](pacerSize, nil)
	return p
}

// may reports whether discovery may dial an endpoint now, and notes that it does.
func (p *pacer) may(now time.Time, e wire.Endpoint) bool {
	if !e.IsValid() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.proven.Get(e); ok && now.Sub(at) < provenFor {
		return true
	}
	if at, ok := p.tried.Get(e); ok && now.Sub(at) < pacerTime {
		return false
	}
	d, _ := p.ips.Get(e.Addr())
	if now.Sub(d.from) >= pacerTime {
		d = ipDials{from: now}
	}
	if d.n >= pacerPerIP && !e.Addr().IsLoopback() {
		return false
	}
	d.n++
	p.ips.Add(e.Addr(), d)
	p.tried.Add(e, now)
	return true
}

// reached notes that a peer answered at an endpoint.
func (p *pacer) reached(now time.Time, e wire.Endpoint) {
	if e.IsValid() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.proven.Add(e, now)
	}
}
