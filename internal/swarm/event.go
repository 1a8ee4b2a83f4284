package swarm

import (
	"net/netip"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Event is what the table tells its node. The set is sealed; ignore kinds that
// you do not know.
type Event interface{ event() }

// The events.
type (
	// Opened: a session is part of the table. Session is what the wire offered.
	Opened struct {
		Session wire.Session
		Info    peer.Info
	}
	// Closed: a session is no longer part of the table. It comes exactly once
	// for each Opened, and before the Opened of a session that replaces it. The
	// link itself may take a moment longer to end.
	Closed struct {
		Session  wire.Session
		ID       peer.ID
		Reason   peer.Reason
		ByRemote bool
		Detail   string
	}
	// DialFailed: one attempt failed.
	DialFailed struct {
		ID       peer.ID // whom the address names; empty: nobody
		Addr     peer.Addr
		Reason   peer.Reason
		ByRemote bool
		Detail   string
	}
	// NotDialled: an address that the operator or the embedder named was not
	// dialled.
	NotDialled struct {
		ID     peer.ID // whom the address names; empty: nobody
		Addr   peer.Addr
		Reason peer.Reason
		Detail string
	}
	// Refused: a session was offered and refused by us; or a handshake of a peer
	// whose identity was known failed.
	Refused struct {
		ID        peer.ID
		Addr      peer.Addr
		Endpoint  netip.AddrPort
		Direction peer.Direction
		Reason    peer.Reason
		ByRemote  bool
		Detail    string
	}
	// Offended: a peer was charged. Score is what it is left with.
	Offended struct {
		ID       peer.ID
		Offense  peer.Offense
		Severity peer.Severity
		Score    float64
		Detail   string
	}
	// Banned: a peer or a prefix is refused until Until.
	Banned struct {
		Target Target
		For    time.Duration
		Reason string
		Auto   bool // by score, or by the number of banned peers in a prefix
	}
	// Unbanned: a ban ended, by time or by hand.
	Unbanned struct {
		Target Target
		Auto   bool
	}
	// Found: addresses turned up; New of them were new and taken into the book.
	Found struct {
		Source wire.Source
		From   peer.ID
		Named  int
		New    int
	}
	// Lost: discovery says that a peer no longer answers.
	Lost struct{ ID peer.ID }
	// TopicChanged: a peer joined or left a topic.
	TopicChanged struct {
		ID     peer.ID
		Topic  string
		Joined bool
	}
	// Claimed: a peer told a new status.
	Claimed struct {
		ID   peer.ID
		Head uint64
	}
	// Dropped: copies of messages were let go because a queue was full.
	Dropped struct {
		ID    peer.ID
		Queue string
		Count int
	}
	// ClockSuspect: our clock disagrees with our peers, or does so no longer.
	ClockSuspect struct {
		On   bool
		Skew time.Duration // theirs minus ours, the median of those that disagree
	}
	// ClockJumped: the wall clock moved by By against the monotonic one, or the
	// process stood still that long. Every session is to be checked; silence is
	// no fault for the next minute.
	ClockJumped struct{ By time.Duration }
	// Alarm: something that the operator should look at.
	Alarm struct {
		Kind   string // a fixed text: "exempt-peer-fault", "store", "seeds-unreachable"
		ID     peer.ID
		Detail string
	}
)

func (Opened) event()       {}
func (Closed) event()       {}
func (DialFailed) event()   {}
func (NotDialled) event()   {}
func (Refused) event()      {}
func (Offended) event()     {}
func (Banned) event()       {}
func (Unbanned) event()     {}
func (Found) event()        {}
func (Lost) event()         {}
func (TopicChanged) event() {}
func (Claimed) event()      {}
func (Dropped) event()      {}
func (ClockSuspect) event() {}
func (ClockJumped) event()  {}
func (Alarm) event()        {}

// Target is whom a ban is about: an identity or an address prefix, not both.
type Target struct {
	ID     peer.ID
	Prefix netip.Prefix
}

// ByID targets one identity.
func ByID(id peer.ID) Target { return Target{ID: id} }

// ByPrefix targets every address in p; a single address is a prefix of full length.
func ByPrefix(p netip.Prefix) Target { return Target{Prefix: p.Masked()} }

// String is the identity or the prefix.
func (t Target) String() string {
	if t.ID != "" {
		return string(t.ID)
	}
	return t.Prefix.String()
}
