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

// source is what a client is known by: its address, and whether it has shown a
// token of the node's. Who has is in nobody's way, nor is anybody in its.
type source struct {
	addr  netip.Addr
	token bool
}

// clients paces those who call over TCP, by their source, and locks out who
// guesses at tokens. It is for any goroutine; nothing is done under its lock
// but sums.
type clients struct {
	rate int

	mu    sync.Mutex
	known map[source]*client
	rest  *client   // all that find no room; nil: never needed
	swept time.Time // when known was last looked through
}

// sweepEvery is how often those of whom there is nothing to remember make room,
// at most: to look for them takes a look at all.
const sweepEvery = time.Second

type client struct {
	pace     bucket.Bucket
	failures [maxFailures]time.Time // the last ones, in a ring
	next     int
	locked   time.Time // until then
}

func newClients(rate int) *clients {
	return &clients{rate: rate, known: map[source]*client{}}
}

// get finds a client. Those of whom there is nothing to remember make room.
func (c *clients) get(a source, now time.Time) *client {
	if k, ok := c.known[a]; ok {
		return k
	}
	if len(c.known) >= maxClients && now.Sub(c.swept) >= sweepEvery {
		c.swept = now
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
func (c *clients) spent(a source, took time.Duration, bytes int) {
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
func (c *clients) charge(a source, n int) time.Duration {
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
func (c *clients) failed(a source) {
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

// lockedOut is how long a client that has guessed at tokens is told nothing of
// more wrong ones; 0: it is told.
func (c *clients) lockedOut(a source) time.Duration {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.get(a, now).locked.Sub(now), 0)
}
