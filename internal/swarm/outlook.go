package swarm

import (
	"context"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// Outlook says why the table has the sessions that it has, and no others: what
// it may do, whom it was told of, and what stands in the way.
type Outlook struct {
	Listens, Dials, Discovers bool // what the configuration lets it do
	Restricted                bool // net_restrict is set

	MaxPeers, MaxInbound     int
	Places                   []PlacesView // that are kept for a capability
	Sessions                 int
	OutWanted                int // outbound sessions that it aims at now
	DialsUnderWay, DialSlots int
	Knocks                   uint64 // inbound links ever, before their handshake
	Admitted                 uint64 // inbound sessions ever
	LastKnock, LastAdmitted  time.Time
	Rounds, FailedRounds     uint64 // of discovery
	Named, Taken             uint64 // addresses that discovery and peers told of, and those taken into the book
	NotTaken                 map[string]uint64
	Fixed                    []FixedView // static, trusted and seeds, as configured
	Book, Proven             int
	Looked                   int // entries of the book that Waiting counts
	Waiting                  map[peer.Reason]int
	NextDial                 time.Time // of an address of the book; zero: one can be dialled now, or none at all
}

// FixedView is an address of the configuration and how it fares.
type FixedView struct {
	Addr                  peer.Addr
	ID                    peer.ID // that it names, or that answered there
	Static, Trusted, Seed bool
	Connected, Dialling   bool
	Wanted                bool        // a seed is not, while there are sessions enough
	Tries                 int         // since the start
	Fails                 int         // in a row
	Last                  peer.Reason // against the last try; OK: it went well, or there was none
	LastByRemote          bool
	LastDetail            string
	LastAt                time.Time
	Next                  time.Time // when it is tried next
	NotDialled            bool      // Last is why it is not even dialled
}

// last is what became of the last try at a fixed address.
type last struct {
	tries    int
	why      peer.Reason
	byRemote bool
	detail   string
	at       time.Time
	barred   bool // it was not even dialled
}

// tally is what the core counts for an Outlook.
type tally struct {
	rounds, failedRounds, named, taken, admitted uint64
	lastAdmitted                                 time.Time
}

// maxLooked bounds the entries of the book that one Outlook looks at.
const maxLooked = 256

// outlook looks around. It changes nothing.
func (c *core) outlook(now time.Time) Outlook {
	n := c.counts()
	o := Outlook{
		Listens: !c.cfg.NoListen, Dials: !c.cfg.NoDial, Discovers: !c.cfg.NoDiscovery && c.cfg.Discover != nil, Restricted: len(c.cfg.NetRestrict) > 0,
		MaxPeers: c.cfg.MaxPeers, MaxInbound: c.cfg.MaxInbound, Places: c.placesViews(n), Sessions: n.all, OutWanted: c.outboundWanted(n),
		DialsUnderWay: len(c.dials), DialSlots: c.cfg.MaxDials,
		Admitted: c.tally.admitted, LastAdmitted: c.tally.lastAdmitted,
		Rounds: c.tally.rounds, FailedRounds: c.tally.failedRounds, Named: c.tally.named, Taken: c.tally.taken,
		NotTaken: c.book.refused.Counts(), Book: c.book.len(), Proven: len(c.book.tried), Waiting: map[peer.Reason]int{},
	}
	for _, f := range c.fixed {
		v := FixedView{
			Addr: f.addr, ID: f.id, Static: f.static, Trusted: f.trusted, Seed: f.seed, Connected: f.connected, Dialling: f.dialling,
			Wanted: c.wants(f), Tries: f.last.tries, Fails: f.fails, Last: f.last.why, LastByRemote: f.last.byRemote, LastDetail: f.last.detail, LastAt: f.last.at, Next: f.nextAt, NotDialled: f.last.barred,
		}
		if v.ID == "" {
			v.ID = f.learned
		}
		if f.marked != peer.OK && v.Last == peer.OK {
			v.Last = f.marked
		}
		o.Fixed = append(o.Fixed, v)
	}
	c.eachEntry(maxLooked, func(e *entry) {
		o.Looked++
		why, next := c.idle(now, e)
		o.Waiting[why]++
		if why == peer.BackOff && (o.NextDial.IsZero() || next.Before(o.NextDial)) {
			o.NextDial = next
		}
	})
	if o.Waiting[peer.OK] > 0 {
		o.NextDial = time.Time{}
	}
	return o
}

// idle says why an address of the book is not being dialled; OK where it could be.
func (c *core) idle(now time.Time, e *entry) (why peer.Reason, until time.Time) {
	if now.Before(e.until) && e.marked != peer.OK {
		return e.marked, e.until
	}
	if why := c.bars(now, e.addr, e.ep, e.id); why != peer.OK {
		return why, time.Time{}
	}
	if !e.dialable(now, c.backOff) {
		return peer.BackOff, e.lastTry.Add(c.backOff(e))
	}
	if why := c.crowded(e.ep.Addr(), nil); why != peer.OK {
		return why, time.Time{}
	}
	return peer.OK, time.Time{}
}

// eachEntry visits entries of the book, proven ones first.
func (c *core) eachEntry(limit int, visit func(*entry)) {
	for _, e := range c.book.tried {
		if limit--; limit < 0 {
			return
		}
		visit(e)
	}
	for _, g := range c.book.groups {
		for _, e := range g.entries {
			if limit--; limit < 0 {
				return
			}
			visit(e)
		}
	}
}

// Outlook says why there are the sessions that there are. It waits for the
// owner; before Run, and after it, only the counts of inbound links are there.
func (s *Swarm) Outlook() Outlook {
	reply := make(chan Outlook, 1)
	o := Outlook{Listens: !s.cfg.NoListen, Dials: !s.cfg.NoDial, Discovers: !s.cfg.NoDiscovery && s.cfg.Discover != nil}
	if s.ran.Load() && s.call(context.Background(), func(context.Context) { reply <- s.core.outlook(s.now()) }) == nil {
		o = <-reply
	}
	o.Knocks = max(s.knocks.Load(), o.Admitted) // some links have their identity from the first
	if at := s.lastKnock.Load(); at != nil {
		o.LastKnock = *at
	}
	return o
}

// knocked counts an inbound link that begins.
func (s *Swarm) knocked(now time.Time) {
	s.knocks.Add(1)
	if at := s.lastKnock.Load(); at == nil || now.Sub(*at) >= time.Second {
		s.lastKnock.Store(&now)
	}
}
