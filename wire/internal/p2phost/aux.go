package p2phost

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Connections that are no session: opened by Kademlia on either side, or by a
// peer that never shook hands.
const (
	MaxAuxiliary  = 16
	AuxiliaryTime = 30 * time.Second
	// SessionTime is how long a connection may take to become a session; one
	// that takes longer counts as auxiliary.
	SessionTime = 10 * time.Second
)

// auxiliary keeps the connections that are no session, in the order in which
// they were opened, and closes what overstays.
type auxiliary struct {
	judge Judge

	mu    sync.Mutex
	conns []auxConn
}

type auxConn struct {
	conn    network.Conn
	since   time.Time
	pending bool // a dial of ours that is becoming a session
}

func newAuxiliary(judge Judge) *auxiliary { return &auxiliary{judge: judge} }

// room reports whether discovery may open one more connection.
func (x *auxiliary) room() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.count(time.Now()) < MaxAuxiliary
}

// count is how many connections are auxiliary. The lock is held.
func (x *auxiliary) count(now time.Time) int {
	n := 0
	for _, c := range x.conns {
		if c.is(now) {
			n++
		}
	}
	return n
}

// is reports whether a connection counts: an inbound one may still become a
// session, an outbound one was opened by discovery unless a dial has taken it.
func (c auxConn) is(now time.Time) bool {
	if c.pending {
		return false
	}
	return c.conn.Stat().Direction == network.DirOutbound || now.Sub(c.since) > SessionTime
}

// take keeps a connection from counting while a dial of ours makes it a
// session; the returned func gives it back.
func (x *auxiliary) take(c network.Conn) (giveBack func()) {
	x.mark(c, true)
	return func() { x.mark(c, false) }
}

func (x *auxiliary) mark(c network.Conn, pending bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.conns {
		if x.conns[i].conn == c {
			x.conns[i].pending = pending
		}
	}
}

// promote takes a connection out: it is a session now, or gone.
func (x *auxiliary) promote(c network.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.conns {
		if x.conns[i].conn == c {
			x.conns = append(x.conns[:i], x.conns[i+1:]...)
			return
		}
	}
}

// sweep closes what is over its time, and the oldest of what is too many.
func (x *auxiliary) sweep(now time.Time) {
	var end []network.Conn
	x.mu.Lock()
	over := x.count(now) - MaxAuxiliary
	for _, c := range x.conns {
		late := !c.pending && now.Sub(c.since) > AuxiliaryTime
		if c.is(now) && over > 0 || late {
			end = append(end, c.conn)
			over--
		}
	}
	x.mu.Unlock()
	for _, c := range end {
		inbound := c.Stat().Direction == network.DirInbound
		c.CloseWithError(network.ConnGarbageCollected)
		if inbound {
			x.judge.Report(wire.Refused{Link: linkOf(network.DirInbound, c.RemotePeer(), c.RemoteMultiaddr(), false), Reason: peer.Auxiliary})
		}
	}
}

// Connected implements network.Notifiee.
func (x *auxiliary) Connected(_ network.Network, c network.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conns = append(x.conns, auxConn{conn: c, since: time.Now()})
}

// Disconnected implements network.Notifiee.
func (x *auxiliary) Disconnected(_ network.Network, c network.Conn) { x.promote(c) }

// Listen implements network.Notifiee.
func (x *auxiliary) Listen(network.Network, ma.Multiaddr) {}

// ListenClose implements network.Notifiee.
func (x *auxiliary) ListenClose(network.Network, ma.Multiaddr) {}

// Promote tells that a connection has become a session: it does not count as
// auxiliary any more.
func (h *Host) Promote(c network.Conn) { h.aux.promote(c) }
