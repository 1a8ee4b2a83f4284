package wire

import (
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Report is what a wire tells its Host. The set is sealed.
type Report interface{ report() }

// The reports.
type (
	// Closed: an open session has ended. A wire reports it exactly once for
	// each session that Host.Open took.
	Closed struct {
		Session  Session
		Reason   peer.Reason
		ByRemote bool
	}
	// Offended: a peer committed a checkable fault. Session is nil where there
	// is none yet; then Link says where it came from.
	Offended struct {
		Session Session
		Link    Link
		Offense peer.Offense
		// Severity, if not None, takes the place of the table's.
		Severity peer.Severity
		Detail   string // for people, cleaned
	}
	// Found: addresses turned up. From is who told, empty if nobody did.
	Found struct {
		Source Source
		From   peer.ID
		Peers  []FoundPeer
	}
	// Lost: discovery found that a peer no longer answers.
	Lost struct{ ID peer.ID }
	// Refused: an inbound handshake failed, or a link was refused.
	Refused struct {
		Link   Link
		Reason peer.Reason
		Remote bool // they refused us
		Detail string
	}
	// Claimed: a peer's account of its own chain has changed.
	Claimed struct {
		Session Session
		Status  chain.Status
	}
	// TopicChanged: a peer joined or left a topic.
	TopicChanged struct {
		ID     peer.ID
		Topic  string
		Joined bool
	}
	// Dropped: a library's queue was full and it let copies of a message go.
	Dropped struct {
		ID    peer.ID
		Queue string // a fixed name
		Count int
	}
	// Skewed: a peer's clock differs from ours by Skew (theirs minus ours).
	Skewed struct {
		Session Session
		Skew    time.Duration
	}
)

// FoundPeer is a peer that discovery turned up.
type FoundPeer struct {
	ID    peer.ID // empty where only an address is known
	Addrs []peer.Addr
}

// Source says where an address came from.
type Source string

// The sources.
const (
	SourceStatic    Source = "static"
	SourceSeed      Source = "seed"
	SourceKademlia  Source = "kademlia"
	SourceIdentify  Source = "identify"
	SourceMDNS      Source = "mdns"
	SourceExchange  Source = "exchange"
	SourceRecent    Source = "recent"
	SourceDiscv     Source = "discv"
	SourceDNS       Source = "dns"
	SourceRequested Source = "requested"
)

func (Closed) report()       {}
func (Offended) report()     {}
func (Found) report()        {}
func (Lost) report()         {}
func (Refused) report()      {}
func (Claimed) report()      {}
func (TopicChanged) report() {}
func (Dropped) report()      {}
func (Skewed) report()       {}
