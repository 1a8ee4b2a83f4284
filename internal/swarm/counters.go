package swarm

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/peer"
)

// Counters are sums since the start, and levels. Keys are fixed texts.
type Counters struct {
	Sessions       int
	Inbound        int
	Outbound       int
	Handshakes     int // inbound, under way
	Book           int
	BookTried      int
	Bans           int
	Places         []PlacesView      // that are kept for a capability
	Inbox          int               // reports that wait for the owner
	ReportsDropped map[string]uint64 // by kind of report
	Refused        map[string]uint64 // addresses not taken into the book, by reason
	Decisions      []Tally
	Loop           meter.LoopStat
}

// stepBounds are the buckets for the steps of the owner.
func stepBounds() []time.Duration {
	return []time.Duration{
		100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 500 * time.Millisecond, time.Second,
	}
}

// Counters gives sums and levels for metrics. It never waits for the owner.
func (s *Swarm) Counters() Counters {
	v := s.snap.Load()
	c := Counters{
		Sessions: len(v.peers), Handshakes: s.gate.underWay(),
		Book: int(s.bookSize.Load()), BookTried: int(s.bookTried.Load()),
		Bans: len(s.Bans()), Places: v.places, Inbox: s.inbox.waiting(), ReportsDropped: s.inbox.drops(),
		Refused: s.refused.Counts(), Loop: s.loop.Stat(),
	}
	for _, p := range v.peers {
		if p.Info.Direction == peer.Inbound {
			c.Inbound++
		} else {
			c.Outbound++
		}
	}
	c.Decisions = s.Tallies()
	return c
}

// Tallies counts the decisions since the start. Never blocks for long.
func (s *Swarm) Tallies() []Tally {
	var out []Tally
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for t, n := range l.counts {
		t.Count = n
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason), boolFirst(b.ByRemote, a.ByRemote))
	})
	return out
}

// Alive blocks until the owner has answered: nil, or why it has not by the end
// of ctx. Before Run it waits for it.
func (s *Swarm) Alive(ctx context.Context) error {
	return s.call(ctx, func(context.Context) {})
}

// measure notes what readers may know of the book; only Run calls it.
func (s *Swarm) measure() {
	s.bookSize.Store(int64(s.core.book.len()))
	s.bookTried.Store(int64(len(s.core.book.tried)))
}
