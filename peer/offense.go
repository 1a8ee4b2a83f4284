package peer

// Severity is how grave a fault is, in points that are taken off the score of
// the peer that committed it.
type Severity int

// The severities. A score runs from -100 to 100 and starts at 0.
const (
	None  Severity = 0
	Low   Severity = -1
	Mid   Severity = -5
	High  Severity = -10
	Fatal Severity = -100
)

// String is the name of the severity.
func (s Severity) String() string {
	switch s {
	case None:
		return "none"
	case Low:
		return "low"
	case Mid:
		return "mid"
	case High:
		return "high"
	case Fatal:
		return "fatal"
	}
	return "unknown"
}

// Offense names a checkable fault of a peer. Only the peer that delivered the
// fault is charged: never a relay for what it could not check, never a peer
// for being slow once, for churn, or for what its protocol allows.
type Offense string

// The offenses, by what the peer did.
const (
	BadFrame        Offense = "bad-frame"        // a length or a checksum that cannot be
	TruncatedFrame  Offense = "truncated-frame"  // ended in the middle of a frame
	BadEncoding     Offense = "bad-encoding"     // does not decode, or not canonically
	Bomb            Offense = "bomb"             // decompresses past its bound
	UnknownMessage  Offense = "unknown-message"  // a kind that nobody offered
	BrokeHandler    Offense = "broke-handler"    // its message made a handler panic
	InvalidGossip   Offense = "invalid-gossip"   // failed a check that a relay must make
	DeadGossip      Offense = "dead-gossip"      // far too much that was stale on arrival
	WrongBlock      Offense = "wrong-block"      // not the block that was asked for
	ShortAnswer     Offense = "short-answer"     // a gap, or less than it has
	EmptyAnswer     Offense = "empty-answer"     // nothing of a range that it claimed
	UnorderedAnswer Offense = "unordered-answer" // out of order, or the same twice
	UnlinkedAnswer  Offense = "unlinked-answer"  // does not link to its own parent
	InvalidBlock    Offense = "invalid-block"    // fails verification
	FalseHead       Offense = "false-head"       // claimed a head and never delivered it
	Unasked         Offense = "unasked"          // an answer to nothing
	RequestFlood    Offense = "request-flood"    // went on after "rate limited"
	StreamFlood     Offense = "stream-flood"     // more streams than the protocol allows
	PingFlood       Offense = "ping-flood"       // more pings than one a second
	SubscribeFlood  Offense = "subscription-flood"
	GraftFlood      Offense = "graft-flood"    // pressed into a mesh, or promised gossip and kept it back
	ProtocolFlood   Offense = "protocol-flood" // claims to speak more protocols than anybody does
	NotReading      Offense = "not-reading"    // our send queue to it stayed full
	SlowFrame       Offense = "slow-frame"     // a frame past its deadline
	NoAnswer        Offense = "no-answer"      // the third request in a row without an answer
	AddressFlood    Offense = "address-flood"
	AnnounceFlood   Offense = "announce-flood" // announced more than may wait
	FalseAnnounce   Offense = "false-announce" // delivered other than it announced itself
)

// severities is the one table of what an offense costs.
var severities = map[Offense]Severity{
	BadFrame:        Fatal,
	TruncatedFrame:  Low,
	BadEncoding:     Fatal,
	Bomb:            Fatal,
	UnknownMessage:  Low,
	BrokeHandler:    High,
	InvalidGossip:   High,
	DeadGossip:      Low,
	WrongBlock:      Fatal,
	ShortAnswer:     Mid,
	EmptyAnswer:     Mid,
	UnorderedAnswer: High,
	UnlinkedAnswer:  High,
	InvalidBlock:    High,
	FalseHead:       Mid,
	Unasked:         Low,
	RequestFlood:    Low,
	StreamFlood:     Mid,
	PingFlood:       Low,
	SubscribeFlood:  High,
	GraftFlood:      Mid,
	ProtocolFlood:   High,
	NotReading:      Low,
	SlowFrame:       Mid,
	NoAnswer:        Mid,
	AddressFlood:    Low,
	AnnounceFlood:   Low,
	FalseAnnounce:   Mid,
}

// Severity is what the offense costs; an offense outside the table costs None.
func (o Offense) Severity() Severity { return severities[o] }

// Offenses lists every offense of the table, in no order.
func Offenses() []Offense {
	all := make([]Offense, 0, len(severities))
	for o := range severities {
		all = append(all, o)
	}
	return all
}
