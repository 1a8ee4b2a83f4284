package rpc

import (
	"net/netip"
	"sync"
	"time"

	"github.com/starlingp2p/starling/internal/bucket"
)

// Bounds of what is remembered of clients over TCP.
const (
	maxClients   = 4096
	maxFailures  = 5           // wrong tokens within failWindow lock a client out
	failWindow   = time.Second // the window
	lockDuration = 10 * time.Second
)

// clients paces those who call over TCP, by their address, and locks out who
// guesses at tokens. It is for any goroutine; nothing is done under its lock
// but sums.
type clients struct {
	rate int

	mu    sync.Mutex
	known map[netip.Addr]*client
	rest  *client // all that find no room; nil: never needed
}

type client struct {
	pace     bucket.Bucket
	failures [maxFailures]time.Time // the last ones, in a ring
	next     int
	locked   time.Time // until then
}

func newClients(rate int) *clients {
	return &clients{rate: rate, known: map[netip.Addr]*client{}}
}

// get finds a client. Those of whom there is nothing to remember make room.
func (c *clients) get(a netip.Addr, now time.Time) *client {
	if k, ok := c.known[a]; ok {
		return k
	}
	if len(c.known) >= maxClients {
		for addr, k := range c.known {
			if k.pace.Full(now) && now.After(k.locked) && now.Sub(k.failures[(k.next+maxFailures-1)%maxFailures]) > failWindow {
				delete(c.known, addr)
			}
		}
	}
	k := &client{pace: bucket.New(float64(c.rate), float64(c.rate), now)}
	if len(c.known) < maxClients {
		c.known[a] = k
		return k
	}
	if c.rest == nil {
		c.rest = k
	}
	return c.rest
}

// What a call counts as, beside one: so many for its size and its answer's,
// and for the time that it takes.
const (
	bytesPerCall = 32 << 10
	timePerCall  = 5 * time.Millisecond
	mostPerCall  = 200
)

// weight is what bytes count as, in calls.
func weight(bytes int) int { return bytes / bytesPerCall }

// spent takes from what a client may ask in future what its calls have cost.
func (c *clients) spent(a netip.Addr, took time.Duration, bytes int) {
	n := min(int(took/timePerCall)+weight(bytes), mostPerCall)
	if n <= 0 {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.get(a, now).pace.Give(now, float64(-n))
}

// charge takes n calls from what a client may ask. It gives 0, or how long the
// client must wait first.
func (c *clients) charge(a netip.Addr, n int) time.Duration {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	delay, ok := c.get(a, now).pace.Reserve(now, float64(n), 0)
	if ok {
		return 0
	}
	return max(delay, 1)
}

// failed counts a wrong token.
func (c *clients) failed(a netip.Addr) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.get(a, now)
	k.failures[k.next] = now
	k.next = (k.next + 1) % maxFailures
	if first := k.failures[k.next]; !first.IsZero() && now.Sub(first) <= failWindow {
		k.locked = now.Add(lockDuration)
	}
}

// lockedOut is how long a client's tokens are not looked at; 0: they are.
func (c *clients) lockedOut(a netip.Addr) time.Duration {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.get(a, now).locked.Sub(now), 0)
}
