package p2phost

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Judge is the part of a wire.Host that decides about links: the node.
type Judge interface {
	Admit(wire.Link) peer.Reason
	Report(wire.Report)
}

// maxUnsecured bounds the inbound links whose handshake is watched, so that
// one that fails can be reported; what comes on top is not watched.
const maxUnsecured = 512

// gater hands the library's questions to the Judge and keeps the answers: the
// library tells a dialler only that "the gater" refused.
type gater struct {
	judge Judge
	room  func() bool // for one more auxiliary connection
	pace  *pacer

	mu        sync.Mutex
	asked     map[libpeer.ID]*ask
	unsecured map[string]unsecured // by remote address
}

// ask is a dial of ours that is under way.
type ask struct {
	addrs  map[string]bool // where we were told to dial
	reason peer.Reason     // why the Judge refused, if it did
	refs   int
}

type unsecured struct {
	link  wire.Link
	since time.Time
}

var _ connmgr.ConnectionGater = (*gater)(nil)

func newGater(judge Judge, room func() bool) *gater {
	return &gater{judge: judge, room: room, pace: newPacer(), asked: map[libpeer.ID]*ask{}, unsecured: map[string]unsecured{}}
}

// ask marks a peer as dialled on purpose until the returned func is called,
// which tells why the Judge refused it, if it did.
func (g *gater) ask(id libpeer.ID, addrs []ma.Multiaddr) (done func() peer.Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.asked[id]
	if a == nil {
		a = &ask{addrs: map[string]bool{}}
		g.asked[id] = a
	}
	a.refs++
	for _, m := range addrs {
		a.addrs[m.String()] = true
	}
	return func() peer.Reason {
		g.mu.Lock()
		defer g.mu.Unlock()
		if a.refs--; a.refs == 0 {
			delete(g.asked, id)
		}
		return a.reason
	}
}

func (g *gater) asking(id libpeer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked[id] != nil
}

// admit asks the Judge and keeps a refusal where it will be looked for.
func (g *gater) admit(id libpeer.ID, l wire.Link) bool {
	why := g.judge.Admit(l)
	if why == peer.OK {
		return true
	}
	g.mu.Lock()
	a := g.asked[id]
	if l.Direction == peer.Outbound && a != nil {
		a.reason = why
		g.mu.Unlock()
		return false
	}
	g.mu.Unlock()
	g.judge.Report(wire.Refused{Link: l, Reason: why})
	return false
}

// InterceptPeerDial is asked before anybody dials a peer.
func (g *gater) InterceptPeerDial(id libpeer.ID) bool {
	return g.asking(id) || g.room()
}

// InterceptAddrDial is asked for each address of a dial. A dial of ours goes
// where we were told and nowhere else, whatever the library remembers.
func (g *gater) InterceptAddrDial(id libpeer.ID, m ma.Multiaddr) bool {
	g.mu.Lock()
	a := g.asked[id]
	elsewhere := a != nil && !a.addrs[m.String()]
	g.mu.Unlock()
	if elsewhere {
		return false
	}
	l := wire.Link{Direction: peer.Outbound, Addr: addrOf(id, m), Endpoint: endpointOf(m), Asked: a != nil}
	if !g.admit(id, l) {
		return false
	}
	if a != nil {
		return true
	}
	// Discovery knows whom it dials: a peer that would be refused once it is
	// known is not dialled.
	l.ID = peer.ID(id.String())
	return g.judge.Admit(l) == peer.OK && g.pace.may(time.Now(), l.Endpoint)
}

// InterceptAccept is asked before an inbound handshake.
func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	remote := c.RemoteMultiaddr()
	l := wire.Link{Direction: peer.Inbound, Addr: addrOf("", remote), Endpoint: endpointOf(remote)}
	if !g.admit("", l) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.unsecured) < maxUnsecured {
		g.unsecured[remote.String()] = unsecured{l, time.Now()}
	}
	return true
}

// InterceptSecured is asked when the identity is proven.
func (g *gater) InterceptSecured(dir network.Direction, id libpeer.ID, c network.ConnMultiaddrs) bool {
	if dir == network.DirInbound {
		g.mu.Lock()
		delete(g.unsecured, c.RemoteMultiaddr().String())
		g.mu.Unlock()
	}
	if acceptedKey(id) {
		return true
	}
	l := linkOf(dir, id, c.RemoteMultiaddr(), g.asking(id))
	g.mu.Lock()
	a := g.asked[id]
	if dir == network.DirOutbound && a != nil {
		a.reason = peer.KeyType
		g.mu.Unlock()
		return false
	}
	g.mu.Unlock()
	g.judge.Report(wire.Refused{Link: l, Reason: peer.KeyType})
	return false
}

// InterceptUpgraded is asked when streams can be opened: the identity is
// judged here and not earlier, so that the other side is told that it was
// refused, and not just cut off.
func (g *gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	dir, id := c.Stat().Direction, c.RemotePeer()
	if dir == network.DirOutbound {
		g.pace.reached(time.Now(), endpointOf(c.RemoteMultiaddr()))
	}
	return g.admit(id, linkOf(dir, id, c.RemoteMultiaddr(), dir == network.DirOutbound && g.asking(id))), 0
}

// sweep reports inbound links that were accepted and never secured. A
// handshake that failed leaves no other trace.
func (g *gater) sweep(now time.Time) {
	var failed []wire.Link
	g.mu.Lock()
	for k, u := range g.unsecured {
		if now.Sub(u.since) > HandshakeTimeout+time.Second {
			failed = append(failed, u.link)
			delete(g.unsecured, k)
		}
	}
	g.mu.Unlock()
	for _, l := range failed {
		g.judge.Report(wire.Refused{Link: l, Reason: peer.HandshakeFailed})
	}
}

func linkOf(dir network.Direction, id libpeer.ID, m ma.Multiaddr, asked bool) wire.Link {
	l := wire.Link{Direction: peer.Inbound, Addr: addrOf(id, m), Endpoint: endpointOf(m), ID: peer.ID(id.String()), Asked: asked}
	if dir == network.DirOutbound {
		l.Direction = peer.Outbound
	}
	return l
}

// LinkOf describes a connection that is secured.
func LinkOf(c network.Conn) wire.Link {
	return linkOf(c.Stat().Direction, c.RemotePeer(), c.RemoteMultiaddr(), false)
}
