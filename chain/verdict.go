package chain

import "github.com/starlingp2p/starling/peer"

// Action is what to do with a message that was checked.
type Action uint8

// Ignore drops a message without a charge, Accept relays it, Reject drops it
// and charges its deliverer. The zero Action is Ignore.
const (
	Ignore Action = iota
	Accept
	Reject
)

// String is "ignore", "accept" or "reject".
func (a Action) String() string {
	switch a {
	case Accept:
		return "accept"
	case Reject:
		return "reject"
	}
	return "ignore"
}

// Verdict is the outcome of a check. Reason is a fixed text, fit for a metric
// label. The zero Verdict ignores.
type Verdict struct {
	Action   Action
	Reason   string
	Severity peer.Severity // what the deliverer of a rejected message pays
	// Clock marks a rejection that rests on the wall clock. While ours is
	// suspect, the node ignores instead.
	Clock bool
}

// Unchecked is the reason with which a TxPool ignores a transaction whose
// authenticity it has not looked at, since it does not want it: see
// TxPool.Add. Such a transaction may be forged.
const Unchecked = "unchecked"

// Accepted is the verdict on a valid message.
func Accepted() Verdict { return Verdict{Action: Accept} }

// Ignored is the verdict on a message that is not wanted, through nobody's fault.
func Ignored(reason string) Verdict { return Verdict{Action: Ignore, Reason: reason} }

// Rejected is the verdict on a message that an honest relay would not have
// sent. It costs its deliverer peer.High.
func Rejected(reason string) Verdict {
	return Verdict{Action: Reject, Reason: reason, Severity: peer.High}
}

// RejectedAt is Rejected with a severity of its own, for what an honest relay
// may pass on now and then.
func RejectedAt(s peer.Severity, reason string) Verdict {
	return Verdict{Action: Reject, Reason: reason, Severity: s}
}

// String is the action and its reason.
func (v Verdict) String() string {
	if v.Reason == "" {
		return v.Action.String()
	}
	return v.Action.String() + ": " + v.Reason
}
