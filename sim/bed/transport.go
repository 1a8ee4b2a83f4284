package bed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// errRefused is what a dial ends with that the other side's gater or resource
// manager refuses before the handshake.
var errRefused = errors.New("bed: connection refused by the other side")

// lightTransport is a go-libp2p transport over a Net, without cryptography: the
// two ends tell each other their public keys, and believe it.
type lightTransport struct {
	host  *Host
	key   crypto.PrivKey
	id    peer.ID
	gater connmgr.ConnectionGater
	rcmgr network.ResourceManager
}

// LightTransport makes the light transport for this host; go-libp2p calls it:
//
//	libp2p.Transport(host.LightTransport)
//
// A dial takes two round trips: one as on TCP, one for the handshake. The
// gater and the resource manager are asked where a real transport asks them.
// Either may be nil.
func (h *Host) LightTransport(key crypto.PrivKey, gater connmgr.ConnectionGater, rcmgr network.ResourceManager) (transport.Transport, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	if rcmgr == nil {
		rcmgr = &network.NullResourceManager{}
	}
	return &lightTransport{host: h, key: key, id: id, gater: gater, rcmgr: rcmgr}, nil
}

func (t *lightTransport) CanDial(a ma.Multiaddr) bool { _, err := addrPort(a); return err == nil }
func (t *lightTransport) Protocols() []int            { return []int{ma.P_TCP} }
func (t *lightTransport) Proxy() bool                 { return false }
func (t *lightTransport) String() string              { return "bed" }

// Dial connects to the peer p at a and blocks until the handshake is done.
func (t *lightTransport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	to, scope, err := outbound(t.rcmgr, a, p)
	if err != nil {
		return nil, err
	}
	c, err := t.dial(ctx, to, p, scope)
	if err != nil {
		scope.Done()
		return nil, fmt.Errorf("bed: dial %s: %w", a, err)
	}
	return c, nil
}

func (t *lightTransport) dial(ctx context.Context, to netip.AddrPort, p peer.ID, scope network.ConnManagementScope) (*muxConn, error) {
	var c *muxConn
	err := t.host.connect(ctx, to, func() error {
		l := t.host.net.hosts[to.Addr()].listeners[to.Port()]
		if l == nil || l.mux == nil {
			return syscall.ECONNREFUSED
		}
		c = newMuxPair(t, l.mux, t.host.ephemeral())
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := c.handshake(ctx); err != nil {
		c.Close()
		return nil, err
	}
	if c.remoteID != p {
		c.Close()
		return nil, fmt.Errorf("peer id mismatch: expected %s, but remote key matches %s", p, c.remoteID)
	}
	if t.gater != nil && !t.gater.InterceptSecured(network.DirOutbound, p, c) {
		c.CloseWithError(network.ConnGated)
		return nil, fmt.Errorf("gater refused %s", p)
	}
	c.scope = scope
	return c, nil
}

// handshake waits for the listener's answer.
func (c *muxConn) handshake(ctx context.Context) error {
	for {
		c.net.lock()
		up, err, ch := c.up, c.err, c.wait.wait()
		c.net.unlock()
		if up { // even if it was closed since: a dialler sees that later
			return nil
		}
		if err != nil {
			return errors.Join(errRefused, err)
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Listen listens on the TCP port of a; an unspecified IP means the host's.
func (t *lightTransport) Listen(a ma.Multiaddr) (transport.Listener, error) {
	at, err := addrPort(a)
	if err != nil {
		return nil, err
	}
	l, err := t.host.ListenTCP(context.Background(), at.String())
	if err != nil {
		return nil, err
	}
	m := &muxListener{Listener: l, tpt: t}
	t.host.net.lock()
	defer t.host.net.unlock()
	l.mux = m
	return m, nil
}

// muxListener accepts connections of the light transport.
type muxListener struct {
	*Listener
	tpt *lightTransport

	// Under the net's lock.
	heard []*muxConn // whose hello has come; at most backlog
}

// put takes a connection whose hello has come.
func (m *muxListener) put(c *muxConn) {
	if m.closed || len(m.heard) >= backlog {
		m.host.end.traffic.Refused++
		c.kill(Break)
		return
	}
	m.heard = append(m.heard, c)
	m.wait.wake()
}

// close is called by the Listener's, with the net's lock held.
func (m *muxListener) close() {
	for _, c := range m.heard {
		c.kill(Break)
	}
	m.heard = nil
}

// Multiaddr is where the listener can be dialled: never an unspecified IP.
func (m *muxListener) Multiaddr() ma.Multiaddr {
	return multiaddr(netip.AddrPortFrom(m.host.addr, m.port))
}

// Accept blocks until a peer has connected whom the gater and the resource
// manager let in, or the listener is closed.
func (m *muxListener) Accept() (transport.CapableConn, error) {
	for {
		c, w := m.hear()
		if w.ch != nil {
			w.await()
			continue
		}
		if c == nil {
			return nil, transport.ErrListenerClosed
		}
		if m.admit(c) {
			return c, nil
		}
	}
}

func (m *muxListener) hear() (*muxConn, waiting) {
	m.host.net.lock()
	defer m.host.net.unlock()
	switch {
	case m.closed:
		return nil, waiting{}
	case len(m.heard) > 0:
		c := m.heard[0]
		m.heard[0] = nil
		m.heard = m.heard[1:]
		return c, waiting{}
	}
	return nil, waiting{ch: m.wait.wait()}
}

// admit asks those who have a say. As with a real transport, a refusal by
// address is seen by the dialler, while one by identity comes after a
// handshake that has succeeded there.
func (m *muxListener) admit(c *muxConn) bool {
	t := m.tpt
	if t.gater != nil && !t.gater.InterceptAccept(c) {
		c.CloseWithError(network.ConnGated)
		return false
	}
	scope, err := t.rcmgr.OpenConnection(network.DirInbound, true, c.RemoteMultiaddr())
	if err != nil {
		c.CloseWithError(network.ConnResourceLimitExceeded)
		return false
	}
	c.scope = scope
	m.host.net.lock()
	c.up = true
	c.send(helloBytes, func() {
		c.peer.up = true
		c.peer.wait.wake()
	})
	m.host.net.unlock()
	if t.gater != nil && !t.gater.InterceptSecured(network.DirInbound, c.remoteID, c) {
		c.CloseWithError(network.ConnGated)
		return false
	}
	if err := scope.SetPeer(c.remoteID); err != nil {
		c.CloseWithError(network.ConnResourceLimitExceeded)
		return false
	}
	return true
}

// upgraded is a go-libp2p transport over a Net's connections that leaves
// security and multiplexing to go-libp2p.
type upgraded struct {
	host  *Host
	up    transport.Upgrader
	rcmgr network.ResourceManager
}

// UpgradedTransport makes a transport for this host on which go-libp2p's real
// security and multiplexer run, Noise and yamux say; go-libp2p calls it:
//
//	libp2p.Transport(host.UpgradedTransport)
//
// It costs what cryptography costs, in real time.
func (h *Host) UpgradedTransport(up transport.Upgrader, rcmgr network.ResourceManager) (transport.Transport, error) {
	if rcmgr == nil {
		rcmgr = &network.NullResourceManager{}
	}
	return &upgraded{host: h, up: up, rcmgr: rcmgr}, nil
}

func (t *upgraded) CanDial(a ma.Multiaddr) bool { _, err := addrPort(a); return err == nil }
func (t *upgraded) Protocols() []int            { return []int{ma.P_TCP} }
func (t *upgraded) Proxy() bool                 { return false }
func (t *upgraded) String() string              { return "bed-upgraded" }

func (t *upgraded) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	to, scope, err := outbound(t.rcmgr, a, p)
	if err != nil {
		return nil, err
	}
	c, err := t.host.dialTCP(ctx, to)
	if err != nil {
		scope.Done()
		return nil, err
	}
	m, err := manet.WrapNetConn(c)
	if err != nil {
		c.Close()
		scope.Done()
		return nil, err
	}
	return t.up.Upgrade(ctx, t, m, network.DirOutbound, p, scope) // ends the scope itself
}

func (t *upgraded) Listen(a ma.Multiaddr) (transport.Listener, error) {
	at, err := addrPort(a)
	if err != nil {
		return nil, err
	}
	l, err := t.host.ListenTCP(context.Background(), at.String())
	if err != nil {
		return nil, err
	}
	m, err := manet.WrapNetListener(l)
	if err != nil {
		l.Close()
		return nil, err
	}
	return t.up.UpgradeGatedMaListener(t, t.up.GateMaListener(m)), nil
}

// outbound begins a dial: the address, and the resource manager's leave.
func outbound(rcmgr network.ResourceManager, a ma.Multiaddr, p peer.ID) (netip.AddrPort, network.ConnManagementScope, error) {
	to, err := addrPort(a)
	if err != nil {
		return to, nil, err
	}
	scope, err := rcmgr.OpenConnection(network.DirOutbound, true, a)
	if err != nil {
		return to, nil, err
	}
	if err := scope.SetPeer(p); err != nil {
		scope.Done()
		return to, nil, err
	}
	return to, scope, nil
}

// DialUnder connects to the TCP address that a multiaddr begins with, below what
// else it names.
func (h *Host) DialUnder(ctx context.Context, multiaddr string) (net.Conn, error) {
	a, err := ma.NewMultiaddr(multiaddr)
	if err != nil {
		return nil, err
	}
	a, _ = peer.SplitAddr(a)
	to, err := addrPort(a)
	if err != nil {
		return nil, err
	}
	return h.Dial(ctx, "tcp", to.String())
}

// addrPort reads /ip4|ip6/…/tcp/… and nothing else.
func addrPort(a ma.Multiaddr) (netip.AddrPort, error) {
	if len(a) != 2 || a[1].Code() != ma.P_TCP || a[0].Code() != ma.P_IP4 && a[0].Code() != ma.P_IP6 {
		return netip.AddrPort{}, fmt.Errorf("bed: not an address of this transport: %s", a)
	}
	ip, err := netip.ParseAddr(a[0].Value())
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(a[1].Value(), 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
}

func multiaddr(ap netip.AddrPort) ma.Multiaddr {
	a, err := manet.FromNetAddr(net.TCPAddrFromAddrPort(ap))
	if err != nil { // an IP and a port always make one
		panic(err)
	}
	return a
}
