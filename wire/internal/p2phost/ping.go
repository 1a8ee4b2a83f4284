package p2phost

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"golang.org/x/time/rate"

	"github.com/starlingp2p/starling/peer"
)

const (
	pingSize    = 32               // bytes, as the protocol has it
	pingIdle    = 30 * time.Second // a stream that rests longer is closed
	pingStreams = 2                // of one peer; one more is reset
	pingBurst   = 10               // pings at once that cost nothing; then one a second
)

// pinger answers pings: one in flight on a stream, no goroutine for each, and
// a charge for what comes faster than one a second.
type pinger struct {
	flood func(network.Conn, peer.Offense, string)

	mu    sync.Mutex
	peers map[libpeer.ID]*pinged // those that pinged within the last minute
}

type pinged struct {
	streams int
	limit   *rate.Limiter
	last    time.Time
}

func (h *Host) servePing() {
	h.pings = &pinger{flood: h.cfg.Flood, peers: map[libpeer.ID]*pinged{}}
	h.host.SetStreamHandler(ping.ID, h.pings.serve)
}

func (p *pinger) enter(id libpeer.ID) *pinged {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.peers[id]
	if e == nil {
		e = &pinged{limit: rate.NewLimiter(1, pingBurst)}
		p.peers[id] = e
	}
	if e.streams == pingStreams {
		return nil
	}
	e.streams++
	return e
}

func (p *pinger) leave(e *pinged) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.streams--
	e.last = time.Now()
}

// sweep forgets peers that have not pinged for a minute: earlier, a flooder
// would get a fresh allowance with each stream.
func (p *pinger) sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, e := range p.peers {
		if e.streams == 0 && now.Sub(e.last) > time.Minute {
			delete(p.peers, id)
		}
	}
}

func (p *pinger) serve(s network.Stream) {
	id := s.Conn().RemotePeer()
	e := p.enter(id)
	if e == nil {
		s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	defer p.leave(e)
	defer s.Close()
	var buf [pingSize]byte
	for {
		s.SetDeadline(time.Now().Add(pingIdle))
		if _, err := io.ReadFull(s, buf[:]); err != nil {
			return
		}
		if !e.limit.Allow() {
			p.flood(s.Conn(), peer.PingFlood, fmt.Sprintf("more than one ping a second, after a burst of %d", pingBurst))
			s.ResetWithError(network.StreamRateLimited)
			return
		}
		if _, err := s.Write(buf[:]); err != nil {
			return
		}
	}
}

// Ping measures a round trip on one connection. It blocks until ctx ends.
func (h *Host) Ping(ctx context.Context, c network.Conn) (time.Duration, error) {
	s, err := h.OpenStream(ctx, c, ping.ID)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	if d, ok := ctx.Deadline(); ok {
		s.SetDeadline(d)
	}
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	var out, in [pingSize]byte
	rand.Read(out[:])
	start := time.Now()
	if _, err := s.Write(out[:]); err != nil {
		return 0, fmt.Errorf("p2phost: ping: %w", err)
	}
	if _, err := io.ReadFull(s, in[:]); err != nil {
		return 0, fmt.Errorf("p2phost: ping: %w", err)
	}
	if subtle.ConstantTimeCompare(out[:], in[:]) != 1 {
		return 0, errors.New("p2phost: ping: the answer differs")
	}
	return time.Since(start), nil
}
