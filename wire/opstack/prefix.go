package opstack

import (
	"net/netip"
	"sync"

	"golang.org/x/time/rate"

	"github.com/starlingp2p/starling/internal/subnet"
)

// The peers of one /24, or /56, have as much together as five of them alone: so
// many the node admits of a prefix. Whoever comes under ever new identities has
// no more than that.
const (
	prefixPeers = 5
	maxPrefixes = 4096 // that are remembered
)

// prefixes limits what the peers of a prefix are served together.
type prefixes struct {
	rate  rate.Limit
	burst int

	mu   sync.Mutex // a leaf
	of   map[netip.Prefix]*rate.Limiter
	rest *rate.Limiter // of all that there is no room for
}

func newPrefixes(perPeer rate.Limit, burst int) *prefixes {
	p := &prefixes{rate: prefixPeers * perPeer, burst: prefixPeers * burst, of: map[netip.Prefix]*rate.Limiter{}}
	p.rest = rate.NewLimiter(p.rate, p.burst)
	return p
}

// limiter is that of an address; nil: it has none, being loopback or no address
// at all.
func (p *prefixes) limiter(ip netip.Addr) *rate.Limiter {
	ip = ip.Unmap()
	if !ip.IsValid() || ip.IsLoopback() {
		return nil
	}
	at := subnet.Of(ip)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.of[at]
	if l == nil && len(p.of) >= maxPrefixes {
		for k, old := range p.of { // each alone: the order has no effect
			if old.Tokens() >= float64(p.burst) { // as good as new
				delete(p.of, k)
			}
		}
		if len(p.of) >= maxPrefixes {
			return p.rest
		}
	}
	if l == nil {
		l = rate.NewLimiter(p.rate, p.burst)
		p.of[at] = l
	}
	return l
}
