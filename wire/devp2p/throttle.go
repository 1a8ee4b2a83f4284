package devp2p

import (
	"net/netip"
	"sync"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
)

const (
	// inboundPause is how long an address has to wait between two attempts
	// (go-ethereum p2p, inboundThrottleTime). Whoever dials keeps redialTime.
	inboundPause = 30 * time.Second
	// maxCallers bounds the addresses that are remembered.
	maxCallers = 8192
	// sweepEvery is how often, while there is no room, what is over is looked for.
	sweepEvery = time.Second
)

// throttle lets each address, of IPv6 each /64, in once in a while. It is a leaf, and safe for
// concurrent use.
type throttle struct {
	pause time.Duration
	mu    sync.Mutex
	last  map[netip.Addr]time.Time // of the attempts that were let in
	swept time.Time                // when what is over was last looked for
}

// local reports whether an address is of this machine or of its own network,
// where several nodes may be behind one.
func local(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
}

func newThrottle(pause time.Duration) *throttle {
	return &throttle{pause: pause, last: map[netip.Addr]time.Time{}}
}

// enter reports whether an attempt may go on. While there is no room to remember
// more addresses, those that are new are let in: the Host's own gate bounds them.
func (t *throttle) enter(ip netip.Addr, now time.Time) bool {
	if t.pause <= 0 || !ip.IsValid() || local(ip) {
		return true
	}
	ip = subnet.Subscriber(ip)
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.last[ip]; ok && now.Sub(at) < t.pause {
		return false
	}
	if len(t.last) >= maxCallers && now.Sub(t.swept) >= sweepEvery {
		t.swept = now
		for ip, at := range t.last { // all that are over: the order has no effect
			if now.Sub(at) >= t.pause {
				delete(t.last, ip)
			}
		}
	}
	if len(t.last) < maxCallers {
		t.last[ip] = now
	}
	return true
}
