package peer

import "fmt"

// Reason says why a peer was refused, dropped, banned or not dialled. It is a
// fixed text, fit for a metric label; what varies goes into the Detail of a
// RefusedError. The zero Reason, OK, means that nothing stood in the way.
type Reason string

// OK is the absence of a reason against something.
const OK Reason = ""

// Reasons against a dial, a link or a session. The remote's own words, where a
// wire has them, are mapped to these too.
const (
	Banned          Reason = "banned"           // by us, until its ban ends
	PrefixBanned    Reason = "prefix-banned"    // its address prefix is banned
	LowScore        Reason = "low-score"        // below min_score
	NetRestricted   Reason = "net-restricted"   // outside net_restrict
	AddrUnwanted    Reason = "address-unwanted" // private, loopback, multicast, port 0, 22 or 25
	TooManyPeers    Reason = "too-many-peers"   // no free session slot
	TooManyInbound  Reason = "too-many-inbound" // no free inbound slot
	TooManyFromAddr Reason = "too-many-from-address"
	TooManyInPrefix Reason = "too-many-in-prefix"
	HandshakeRate   Reason = "handshake-rate"  // its address opens links too fast
	HandshakesFull  Reason = "handshakes-full" // too many handshakes under way
	ListeningOff    Reason = "listening-off"
	DiallingOff     Reason = "dialling-off"
	Stopping        Reason = "quitting" // the side that says so is shutting down
	Self            Reason = "self"     // we reached ourselves
	Duplicate       Reason = "duplicate"
	AlreadyDialling Reason = "already-dialling"
	BackOff         Reason = "back-off" // dialled too recently
	WrongNetwork    Reason = "wrong-network"
	WrongGenesis    Reason = "wrong-genesis"
	WrongIdentity   Reason = "wrong-identity" // another peer answered at that address
	KeyType         Reason = "key-type"       // identity key of a kind that we do not take
	NoCommonProto   Reason = "no-common-protocol"
	HandshakeFailed Reason = "handshake-failed"
	HandshakeSlow   Reason = "handshake-timeout"
	DialFailed      Reason = "dial-failed"  // refused or unreachable
	DialTimeout     Reason = "dial-timeout" // nothing answered
	BadAddr         Reason = "bad-address"
	NameUnresolved  Reason = "name-unresolved" // DNS gave no address
	BadScore        Reason = "bad-score"       // its faults add up to a disconnect
	Useless         Reason = "useless"         // evicted for a more useful peer
	Idle            Reason = "idle"            // no answer to keep-alive
	Slow            Reason = "slow"            // does not read what we send
	LinkLost        Reason = "link-lost"       // the link ended without a word
	Requested       Reason = "requested"       // by the operator or the embedder
	Auxiliary       Reason = "auxiliary"       // a link of discovery's, not promoted in time
	ByRemote        Reason = "closed-by-remote"
	Internal        Reason = "internal-error" // our fault
)

// RefusedError says that something about a peer was refused, why, and by which
// side. Callers find it with errors.As.
type RefusedError struct {
	Reason Reason
	Remote bool   // the other side refused
	Detail string // the value and the bound, for people; may be empty
}

func (e *RefusedError) Error() string {
	who := "refused"
	if e.Remote {
		who = "refused by the peer"
	}
	if e.Detail == "" {
		return fmt.Sprintf("peer: %s: %s", who, e.Reason)
	}
	return fmt.Sprintf("peer: %s: %s: %s", who, e.Reason, e.Detail)
}

// Is reports whether target is a RefusedError with the same Reason, so that
// errors.Is(err, peer.Refuse(peer.Banned)) reads as it says.
func (e *RefusedError) Is(target error) bool {
	t, ok := target.(*RefusedError)
	return ok && t.Reason == e.Reason
}

// Refuse is a RefusedError of ours, without a detail.
func Refuse(r Reason) error { return &RefusedError{Reason: r} }
