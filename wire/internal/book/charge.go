package book

import (
	"errors"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
)

// Charger reports the faults of whoever is at the other end of a connection.
type Charger struct {
	report  func(wire.Report)
	session func(network.Conn) wire.Session
}

// NewCharger makes one. session tells who pays: the session that a connection
// serves, or did a moment ago; nil: there is none.
func NewCharger(report func(wire.Report), session func(network.Conn) wire.Session) Charger {
	return Charger{report, session}
}

// Charge reports a fault. A frame that was cut by the end of its connection is
// none: multiplexers give some readers a bare end of file for that.
func (g Charger) Charge(c network.Conn, o peer.Offense, detail string) {
	if o == peer.TruncatedFrame && c.IsClosed() {
		return
	}
	g.report(wire.Offended{Offense: o, Detail: peer.Clean(detail), Link: p2phost.LinkOf(c), Session: g.session(c)})
}

// Fault is Charge for an error, if it is one that the remote caused.
func (g Charger) Fault(c network.Conn, err error) {
	var f *wire.Fault
	if errors.As(err, &f) {
		g.Charge(c, f.Offense, f.Err.Error())
	}
}
