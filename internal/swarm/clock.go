package swarm

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
)

const (
	skewLimit   = 10 * time.Second // disagreement that counts
	suspectFrom = 3                // peers, and prefixes, that must disagree the same way
	jumpLimit   = 5 * time.Second  // between two clocks, or between two ticks
	quietFor    = time.Minute      // after a jump, silence is no fault
	wordLasts   = 10 * time.Minute // what a peer said of its clock, after it left
	maxWords    = 256
)

// clockGuard watches our own clock: against the peers' clocks, and the wall
// against the monotonic one. Peers on loopback count as prefixes of their own
// unless loopback counts, since one machine has but one address there.
type clockGuard struct {
	offset     time.Duration // wall minus the core's clock, at the last tick
	last       time.Time     // the last tick
	quietUntil time.Time
	words      map[subject]word
	suspect    bool
	skew       time.Duration
}

// word is what one peer says of the time.
type word struct {
	skew time.Duration // theirs minus ours
	from string        // the prefix that it counts for
	gone time.Time     // when it left; zero while it is here
}

func newClockGuard(now, wall time.Time) clockGuard {
	return clockGuard{offset: wallOffset(now, wall), last: now, words: map[subject]word{}}
}

// wallOffset compares by the clocks' readings, not by any monotonic part.
func wallOffset(now, wall time.Time) time.Duration {
	return time.Duration(wall.UnixNano() - now.UnixNano())
}

// wall gives the time of day that belongs to the core's time t.
func (g *clockGuard) wall(t time.Time) time.Time {
	return time.Unix(0, t.UnixNano()).Add(g.offset)
}

func (g *clockGuard) quiet(now time.Time) bool { return now.Before(g.quietUntil) }

func (g *clockGuard) leave(s subject, now time.Time) {
	if w, ok := g.words[s]; ok && w.gone.IsZero() {
		w.gone = now
		g.words[s] = w
	}
}

func (g *clockGuard) expire(now time.Time) {
	for s, w := range g.words { // order does not matter
		if !w.gone.IsZero() && now.Sub(w.gone) >= wordLasts {
			delete(g.words, s)
		}
	}
}

// watchClock compares the wall with the core's clock, and this tick with the last.
func (c *core) watchClock(now, wall time.Time) {
	g := &c.clock
	offset := wallOffset(now, wall)
	by := offset - g.offset
	slept := now.Sub(g.last) - tickEvery
	g.offset, g.last = offset, now
	switch {
	case !c.started:
		return
	case by.Abs() > jumpLimit:
	case slept > jumpLimit:
		by = slept
	default:
		return
	}
	g.quietUntil = now.Add(quietFor)
	clear(g.words) // they were measured against a clock that was another
	c.judgeClock(now)
	for _, id := range c.order {
		c.sessions[id].pingAt = now
	}
	c.emit(ClockJumped{By: by})
}

// skewed takes a peer's word about the time.
func (c *core) skewed(now time.Time, s *session, skew time.Duration) {
	from := string(s.subj)
	if c.cfg.counted(s.ep.Addr()) {
		from = subnet.Of(s.ep.Addr()).String()
	}
	if _, ok := c.clock.words[s.subj]; !ok && len(c.clock.words) >= maxWords {
		c.clock.forget()
	}
	c.clock.words[s.subj] = word{skew: skew, from: from}
	c.judgeClock(now)
}

// forget lets one word go: of those that left, the one that left first.
func (g *clockGuard) forget() {
	var victim subject
	var v word
	for s, w := range g.words {
		if victim == "" || cmp.Or(boolFirst(!w.gone.IsZero(), !v.gone.IsZero()), w.gone.Compare(v.gone), cmp.Compare(s, victim)) < 0 {
			victim, v = s, w
		}
	}
	delete(g.words, victim)
}

// judgeClock decides whether our clock is to be doubted: when three peers in
// three prefixes disagree the same way, and they outnumber those that agree.
func (c *core) judgeClock(time.Time) {
	var ahead, behind []time.Duration
	aheadFrom, behindFrom := map[string]bool{}, map[string]bool{}
	agree := 0
	for _, s := range sortedKeys(c.clock.words) {
		switch w := c.clock.words[s]; {
		case w.skew > skewLimit:
			ahead, aheadFrom[w.from] = append(ahead, w.skew), true
		case w.skew < -skewLimit:
			behind, behindFrom[w.from] = append(behind, w.skew), true
		default:
			agree++
		}
	}
	doubt := func(skews []time.Duration, from map[string]bool, against int) bool {
		return len(skews) >= suspectFrom && len(from) >= suspectFrom && len(skews) > against
	}
	var skews []time.Duration
	switch {
	case doubt(ahead, aheadFrom, agree+len(behind)):
		skews = ahead
	case doubt(behind, behindFrom, agree+len(ahead)):
		skews = behind
	}
	on := len(skews) > 0
	if on {
		slices.Sort(skews)
		c.clock.skew = skews[len(skews)/2]
	}
	if on == c.clock.suspect {
		return
	}
	c.clock.suspect = on
	c.peersChanged = true
	if !on {
		c.clock.skew = 0
	}
	c.emit(ClockSuspect{On: on, Skew: c.clock.skew})
}

// wallNow is for records.
func (c *core) wallNow(now time.Time) time.Time { return c.clock.wall(now) }

// noteOwn remembers that an address is our own.
func (c *core) noteOwn(now time.Time, ep netip.AddrPort) {
	if len(c.own) >= 64 {
		var victim netip.AddrPort
		for e, until := range c.own {
			if !victim.IsValid() || cmp.Or(until.Compare(c.own[victim]), e.Compare(victim)) < 0 {
				victim = e
			}
		}
		delete(c.own, victim)
	}
	c.own[ep] = now.Add(retainFor)
}

// clockView is what the last tick found out about our own clock, for readers.
type clockView struct {
	offset           time.Duration
	last, quietUntil time.Time
}

func (s *Swarm) showClock() {
	g := &s.core.clock
	s.clock.Store(&clockView{g.offset, g.last, g.quietUntil})
}

// ClockDoubtful reports whether nobody is to be charged for what only our own
// clock says: while it is suspect, for a minute after it jumped or the process
// stood still, and when it has done so since we last looked. Never blocks.
func (s *Swarm) ClockDoubtful() bool {
	v, now := s.clock.Load(), s.now()
	return s.ClockSuspect() || now.Before(v.quietUntil) || now.Sub(v.last)-tickEvery > jumpLimit ||
		(wallOffset(now, s.cfg.Wall.Now())-v.offset).Abs() > jumpLimit
}
