package starling

import (
	"time"

	"github.com/starlingp2p/starling/internal/swarm"
	"github.com/starlingp2p/starling/peer"
)

// Outlook says why the node has the sessions that it has, and no others: what
// it may do, whom it was told of, what became of that, and what was decided.
// Times of a session or a dial are on the machine's clock.
type Outlook struct {
	Listens, Dials, Discovers bool // what the configuration lets it do
	Restricted                bool // Config.NetRestrict is set

	MaxPeers, MaxInbound int
	Kept                 []KeptPlaces // of MaxPeers, for peers that speak something
	OutboundWanted       int          // outbound sessions that it aims at now
	Dialling, DialSlots  int          // dials under way, and how many may be

	// Knocks are inbound links that began, Admitted those that became sessions.
	Knocks, Admitted        uint64
	LastKnock, LastAdmitted time.Time

	Rounds, FailedRounds uint64            // of discovery
	Named, Taken         uint64            // addresses that were told, and those taken into the book
	NotTaken             map[string]uint64 // why the others were not, by a fixed text

	Configured   []ConfiguredPeer // static, trusted and seeds, as configured
	Book, Proven int              // addresses known, and those with which a session was open once
	Looked       int              // those of the book that Waiting counts: 256 at most
	// Waiting counts addresses of the book by why they are not dialled now;
	// peer.OK are those that could be.
	Waiting  map[peer.Reason]int
	NextDial time.Time // when one that waits may be dialled; zero: now, or there is none

	// Decisions are the last of each kind, at most 64, oldest first; Counts are
	// all of them since the start.
	Decisions []Decision
	Counts    []DecisionCount
}

// KeptPlaces are sessions that others than peers which speak a capability leave
// free.
type KeptPlaces struct {
	Capability string
	Count      int
	Taken      int // sessions with such peers, static and trusted ones apart; may be more than Count
}

// ConfiguredPeer is an address of the configuration and how it fares.
type ConfiguredPeer struct {
	Addr                  peer.Addr
	ID                    peer.ID // that it names, or that answered there; empty if neither
	Static, Trusted, Seed bool
	Connected, Dialling   bool
	Wanted                bool // a seed is not, while there are sessions enough
	Tries, Fails          int  // since the start; in a row
	// Last is why the last try came to nothing; OK: it did not, or there was none.
	Last       peer.Reason
	ByRemote   bool
	Detail     string
	LastAt     time.Time
	Next       time.Time // when it is tried next
	NotDialled bool      // Last is why it is not even dialled
}

// Decision is one decision about a peer, ours or the other side's.
type Decision struct {
	At       time.Time
	Kind     string // "not-dialled", "dial-failed", "refused", "dropped", "banned"
	Reason   peer.Reason
	ID       peer.ID
	Addr     peer.Addr
	ByRemote bool
	Detail   string
}

// DecisionCount is how often one kind of decision had one reason.
type DecisionCount struct {
	Kind     string
	Reason   peer.Reason
	ByRemote bool
	Count    uint64
}

// Outlook looks around. It waits for the peer table for a moment; before Run,
// and after it, it knows little.
func (c *Client) Outlook() Outlook {
	s := c.node.swarm
	o := s.Outlook()
	out := Outlook{
		Listens: o.Listens, Dials: o.Dials, Discovers: o.Discovers, Restricted: o.Restricted,
		MaxPeers: o.MaxPeers, MaxInbound: o.MaxInbound, Kept: keptPlaces(o.Places), OutboundWanted: o.OutWanted, Dialling: o.DialsUnderWay, DialSlots: o.DialSlots,
		Knocks: o.Knocks, Admitted: o.Admitted, LastKnock: o.LastKnock, LastAdmitted: o.LastAdmitted,
		Rounds: o.Rounds, FailedRounds: o.FailedRounds, Named: o.Named, Taken: o.Taken, NotTaken: o.NotTaken,
		Book: o.Book, Proven: o.Proven, Looked: o.Looked, Waiting: o.Waiting, NextDial: o.NextDial,
	}
	for _, f := range o.Fixed {
		out.Configured = append(out.Configured, configured(f))
	}
	for _, d := range s.Decisions() {
		out.Decisions = append(out.Decisions, Decision{
			At: d.At, Kind: string(d.Kind), Reason: d.Reason, ID: d.ID, Addr: d.Addr, ByRemote: d.ByRemote, Detail: d.Detail,
		})
	}
	out.Counts = c.DecisionCounts()
	return out
}

// DecisionCounts counts every decision since the start. It never waits for long.
func (c *Client) DecisionCounts() []DecisionCount {
	var out []DecisionCount
	for _, t := range c.node.swarm.Tallies() {
		out = append(out, DecisionCount{Kind: string(t.Kind), Reason: t.Reason, ByRemote: t.ByRemote, Count: t.Count})
	}
	return out
}

func keptPlaces(places []swarm.PlacesView) (out []KeptPlaces) {
	for _, p := range places {
		out = append(out, KeptPlaces{Capability: p.Capability, Count: p.Count, Taken: p.Taken})
	}
	return out
}

func configured(f swarm.FixedView) ConfiguredPeer {
	return ConfiguredPeer{
		Addr: f.Addr, ID: f.ID, Static: f.Static, Trusted: f.Trusted, Seed: f.Seed,
		Connected: f.Connected, Dialling: f.Dialling, Wanted: f.Wanted, Tries: f.Tries, Fails: f.Fails,
		Last: f.Last, ByRemote: f.LastByRemote, Detail: f.LastDetail, LastAt: f.LastAt, Next: f.Next, NotDialled: f.NotDialled,
	}
}
