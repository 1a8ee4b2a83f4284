package native

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
)

const (
	statusEvery = 5 * time.Second // the least that a dialler may leave between two, on average
	statusBurst = 12              // over a minute
)

// keepAsking is the dialler's side of the status exchange.
func (s *session) keepAsking() {
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		s.stream.SetReadDeadline(time.Now().Add(idleTime - keepAlive))
		start := time.Now()
		theirs, err := s.exchange()
		if err != nil {
			s.lapsed(err, time.Since(start) >= idleTime-keepAlive)
			return
		}
		if !s.heard(theirs, time.Since(start)) {
			return
		}
	}
}

// keepAnswering is the listener's side.
func (s *session) keepAnswering() {
	limit := rate.NewLimiter(rate.Every(statusEvery), statusBurst)
	for {
		s.stream.SetReadDeadline(time.Now().Add(idleTime))
		start := time.Now()
		theirs, err := s.read()
		if err == nil && !limit.Allow() {
			s.node.Charge(s.link.Conn, peer.PingFlood, fmt.Sprintf("status more often than every %v", statusEvery))
			s.end(peer.BadScore, false, "status too often")
			return
		}
		if err == nil {
			if !s.heard(theirs, 0) {
				return
			}
			err = s.write()
		}
		if err != nil {
			s.lapsed(err, time.Since(start) >= idleTime)
			return
		}
	}
}

// lapsed ends a session whose status exchange failed. If the link is ending,
// that has a better reason, which gets a moment to show.
func (s *session) lapsed(err error, idle bool) {
	s.node.Fault(s.link.Conn, err)
	if idle {
		s.end(peer.Idle, false, "no status for "+idleTime.String())
		s.node.p2p.Lose(s.link.Conn.RemotePeer())
		return
	}
	late := time.NewTimer(farewellTime)
	defer late.Stop()
	select {
	case <-s.ctx.Done():
		return
	case <-s.link.Own.said:
		// It is about to close; until it does, the session is of no use.
	case <-s.link.Gone:
	case <-late.C:
	}
	s.end(s.node.lastWord(s.link), true, "")
}

// heard takes in a status of the peer: its claims, and its clock. It reports
// whether the session goes on.
func (s *session) heard(theirs codec.Status, took time.Duration) bool {
	if why := s.node.w.judge(theirs.Chain); why != nil {
		s.end(why.Reason, false, why.Detail)
		return false
	}
	s.requests.Limiter.Announced(theirs.ServeRate, theirs.ServeBurst)
	now := s.node.w.cfg.Wall.Now()
	skew := time.UnixMilli(int64(min(theirs.Time, 1<<53))).Sub(now.Add(-took / 2)).Round(time.Millisecond)
	s.mu.Lock()
	changed := s.claimed.Version != 0 && s.claimed.Chain != theirs.Chain // the first went to Open
	s.claimed = theirs
	s.mu.Unlock()
	if changed {
		s.node.host.Report(wire.Claimed{Session: s, Status: theirs.Chain})
	}
	if theirs.Time != 0 {
		s.node.host.Report(wire.Skewed{Session: s, Skew: skew})
	}
	return true
}
