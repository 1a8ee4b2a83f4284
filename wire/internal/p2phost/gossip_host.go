package p2phost

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/starlingp2p/starling/peer"
)

// maxHeld bounds the inbound gossip streams of one connection that wait for
// its session: one is what the protocol needs, two what a restart leaves.
const maxHeld = 2

var errNoSession = errors.New("p2phost: no session with the peer")

// sessionHost is the host as pubsub sees it: its peers are those with a
// session, on the session's connection, and no others. pubsub starts to speak
// to a peer when an identify event comes, so it gets a bus of its own where
// that event means "the session is open".
type sessionHost struct {
	host.Host
	h    *Host
	bus  event.Bus
	ctx  context.Context
	wrap func(network.Stream) *grantedStream

	identified event.Emitter
	connected  event.Emitter

	mu    sync.Mutex
	gates map[network.Conn]*gate
	peers map[libpeer.ID]network.Conn // those with a session
	past  []pastConn                  // whose session ended lately, in that order
}

// What a peer told just before its session ended is judged after all: pubsub
// has marked it as seen, so if it were dropped it would be lost from every
// other peer too.
const (
	pastTime = 5 * time.Second
	maxPast  = 256 // the oldest goes first
)

// pastConn is a session's connection that has ended.
type pastConn struct {
	id    libpeer.ID
	conn  network.Conn
	until time.Time
}

// gate holds what comes early on a connection.
type gate struct {
	open chan struct{} // closed when the session is open
	gone chan struct{} // closed when the connection has ended
	held int
}

func newSessionHost(ctx context.Context, h *Host, wrap func(network.Stream) *grantedStream) (*sessionHost, error) {
	s := &sessionHost{
		Host: h.host, h: h, bus: eventbus.NewBus(), ctx: ctx, wrap: wrap,
		gates: map[network.Conn]*gate{}, peers: map[libpeer.ID]network.Conn{},
	}
	var err1, err2 error
	s.identified, err1 = s.bus.Emitter(new(event.EvtPeerIdentificationCompleted))
	s.connected, err2 = s.bus.Emitter(new(event.EvtPeerConnectednessChanged))
	return s, errors.Join(err1, err2)
}

// EventBus implements host.Host.
func (s *sessionHost) EventBus() event.Bus { return s.bus }

// Network implements host.Host.
func (s *sessionHost) Network() network.Network { return sessionNetwork{s.Host.Network(), s} }

// Connect implements host.Host: gossip opens no connections.
func (s *sessionHost) Connect(context.Context, libpeer.AddrInfo) error { return errNoSession }

// NewStream implements host.Host: on the session's connection, without dialling.
func (s *sessionHost) NewStream(ctx context.Context, id libpeer.ID, protos ...protocol.ID) (network.Stream, error) {
	c := s.conn(id)
	if c == nil {
		return nil, errNoSession
	}
	return s.h.OpenStream(ctx, c, protos...)
}

// SetStreamHandler implements host.Host.
func (s *sessionHost) SetStreamHandler(pid protocol.ID, handle network.StreamHandler) {
	s.Host.SetStreamHandler(pid, func(st network.Stream) {
		if !s.await(st.Conn()) {
			st.Reset()
			return
		}
		g := s.wrap(st)
		defer g.giveBack()
		handle(g)
	})
}

// await blocks until the connection's session is open, and reports whether it
// is. pubsub's one hello comes before that and must not be lost.
func (s *sessionHost) await(c network.Conn) bool {
	s.mu.Lock()
	g := s.gate(c)
	if g == nil || g.held == maxHeld {
		s.mu.Unlock()
		return false
	}
	g.held++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		g.held--
	}()
	select { // an open gate wins over one that is gone as well
	case <-g.open:
		return true
	default:
	}
	late := time.NewTimer(SessionTime)
	defer late.Stop()
	select {
	case <-g.open:
		return true
	case <-g.gone:
	case <-late.C:
	case <-s.ctx.Done():
	}
	return false
}

// gate finds or makes the gate of a live connection. The lock is held.
func (s *sessionHost) gate(c network.Conn) *gate {
	g := s.gates[c]
	if g == nil && !c.IsClosed() {
		g = &gate{open: make(chan struct{}), gone: make(chan struct{})}
		s.gates[c] = g
	}
	return g
}

// opened lets pubsub see a peer. What identify told of it may be older than its
// gossip handlers; pubsub would then never speak to it, so it is told that the
// peer speaks gossip, and finds out when it opens its stream.
func (s *sessionHost) opened(c network.Conn, protos []protocol.ID) {
	id := c.RemotePeer()
	s.mu.Lock()
	g := s.gate(c)
	if g == nil {
		s.mu.Unlock()
		return
	}
	s.peers[id] = c
	close(g.open)
	s.mu.Unlock()
	if !slices.ContainsFunc(protos, func(p protocol.ID) bool { return slices.Contains(pubsub.GossipSubDefaultProtocols, p) }) {
		protos = append(slices.Clone(protos), pubsub.GossipSubDefaultProtocols...)
	}
	s.identified.Emit(event.EvtPeerIdentificationCompleted{Peer: id, Conn: c, Protocols: protos})
}

// Disconnected forgets a connection: part of network.Notifiee.
func (s *sessionHost) disconnected(c network.Conn) {
	id := c.RemotePeer()
	s.mu.Lock()
	g := s.gates[c]
	delete(s.gates, c)
	was := s.peers[id] == c
	if was {
		delete(s.peers, id)
		now := time.Now()
		s.past = slices.DeleteFunc(s.past, func(p pastConn) bool { return now.After(p.until) })
		if len(s.past) == maxPast {
			s.past = slices.Delete(s.past, 0, 1)
		}
		s.past = append(s.past, pastConn{id, c, now.Add(pastTime)})
	}
	s.mu.Unlock()
	if g != nil {
		close(g.gone)
	}
	if was {
		s.connected.Emit(event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.NotConnected})
	}
}

func (s *sessionHost) conn(id libpeer.ID) network.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[id]
}

// judged is conn for a message that was received: its session may have ended
// a moment ago.
func (s *sessionHost) judged(id libpeer.ID) network.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.peers[id]; c != nil {
		return c
	}
	now := time.Now()
	for _, p := range slices.Backward(s.past) {
		if p.id == id && now.Before(p.until) {
			return p.conn
		}
	}
	return nil
}

// charge finds the session's connection for what pubsub knows by peer.
func (s *sessionHost) charge(id libpeer.ID, o peer.Offense, detail string, to func(network.Conn, peer.Offense, string)) {
	if c := s.conn(id); c != nil {
		to(c, o, detail)
	}
}

// sessionNetwork shows the connections of sessions only.
type sessionNetwork struct {
	network.Network
	s *sessionHost
}

// Peers implements network.Network.
func (n sessionNetwork) Peers() []libpeer.ID {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	out := make([]libpeer.ID, 0, len(n.s.peers))
	for id := range n.s.peers {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// Connectedness implements network.Network.
func (n sessionNetwork) Connectedness(id libpeer.ID) network.Connectedness {
	if c := n.s.conn(id); c != nil && !c.IsClosed() {
		return network.Connected
	}
	return network.NotConnected
}

// ConnsToPeer implements network.Network.
func (n sessionNetwork) ConnsToPeer(id libpeer.ID) []network.Conn {
	if c := n.s.conn(id); c != nil {
		return []network.Conn{c}
	}
	return nil
}
