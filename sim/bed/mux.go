package bed

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	frameHeader  = 12      // bytes before each frame, as yamux has them
	helloBytes   = 300     // of each of the three messages of the handshake
	streamWindow = 1 << 20 // bytes that a stream's reader has not read
	streamQueue  = 256     // streams that nobody has accepted yet, per connection; more are reset
)

var _ transport.CapableConn = (*muxConn)(nil)

// muxConn is one end of a connection of the light transport: frames are
// messages of a pipe, which the other end's streams take as they arrive. No
// goroutine reads or writes. The frames of all its streams share the pipe in
// the order of writing, as those of yamux share a connection.
type muxConn struct {
	net           *Net
	host          *Host
	peer          *muxConn
	local, remote netip.AddrPort
	out           *Pipe
	serial        uint64

	// Set before the connection is handed over.
	tpt       *lightTransport
	remoteID  peer.ID
	remoteKey crypto.PubKey
	scope     network.ConnManagementScope
	done      sync.Once // of scope

	// Under the net's lock.
	up      bool // the handshake is done
	err     error
	dead    bool // the process is gone
	streams map[*muxStream]struct{}
	opened  uint64
	queue   []*muxStream // to be accepted
	wait    signal       // for up, err and queue
	room    signal       // for OpenStream, when the pipe's queue has room
	starved []*muxStream // whose writers wait for that
}

// newMuxPair makes the two ends of a connection. The first message brings the
// server's to the listener, whose answer completes the client's. The net's
// lock is held.
func newMuxPair(from *lightTransport, l *muxListener, port uint16) *muxConn {
	client, server := from.host, l.host
	n := client.net
	a, b := netip.AddrPortFrom(client.addr, port), netip.AddrPortFrom(server.addr, l.port)
	c := newMuxConn(n, from, a, b)
	s := newMuxConn(n, l.tpt, b, a)
	c.peer, s.peer = s, c
	c.remoteID, c.remoteKey = l.tpt.id, l.tpt.key.GetPublic()
	s.remoteID, s.remoteKey = from.id, from.key.GetPublic()
	c.send(helloBytes, func() { l.put(s) })
	return c
}

func newMuxConn(n *Net, t *lightTransport, local, remote netip.AddrPort) *muxConn {
	c := &muxConn{
		net: n, host: t.host, tpt: t, local: local, remote: remote,
		out: n.fabric.Pipe(local.Addr(), remote.Addr()), streams: map[*muxStream]struct{}{},
	}
	c.host.serial++
	c.serial = c.host.serial
	c.host.mux[c] = struct{}{}
	c.out.onRoom = c.feed
	c.out.onBreak = func() {
		c.fail(&network.ConnError{TransportError: syscall.ECONNRESET}, true)
		c.peer.fail(&network.ConnError{TransportError: syscall.ECONNRESET}, true)
	}
	return c
}

// feed wakes all who wait for room in the pipe's queue.
func (c *muxConn) feed() {
	c.room.wake()
	for _, s := range c.starved {
		s.wwait.wake()
	}
	clear(c.starved)
	c.starved = c.starved[:0]
}

// send queues a frame for the other end. A flipped byte would not pass the
// check of a secure channel: it ends the connection.
func (c *muxConn) send(size int, fn func()) {
	c.out.push(segment{size: size, fn: func(corrupt bool) {
		switch p := c.peer; {
		case p.dead:
			p.sendReset()
		case corrupt:
			err := &network.ConnError{TransportError: errCorrupt}
			p.fail(err, true)
			p.sendReset()
		default:
			fn()
		}
	}})
}

// sendReset tells the other side that there is nobody here.
func (c *muxConn) sendReset() {
	path := c.out.path
	c.net.q.at(c.net.q.now+int64(path.link.Latency), func() {
		if path.block == 0 {
			c.peer.fail(&network.ConnError{Remote: true, TransportError: syscall.ECONNRESET}, true)
		}
	})
}

// fail ends the connection at this end: hard drops what was queued and what was
// not read.
func (c *muxConn) fail(err error, hard bool) {
	if hard {
		c.out.Close()
	}
	if c.err != nil {
		return
	}
	c.err = err
	for _, s := range bySerial(c.streams, func(s *muxStream) uint64 { return s.serial }) {
		s.fail(err, hard)
	}
	c.streams, c.queue = nil, nil
	delete(c.host.mux, c)
	c.wait.wake()
	c.feed()
}

// kill closes this end as the end of its process does.
func (c *muxConn) kill(mode Mode) {
	c.dead = true
	if mode == Break {
		c.sendReset()
	}
	c.fail(&network.ConnError{TransportError: net.ErrClosed}, true)
}

// Close closes the connection after what was written. It does not block.
func (c *muxConn) Close() error { return c.CloseWithError(network.ConnNoError) }

// CloseWithError is Close with a code for the other side.
func (c *muxConn) CloseWithError(code network.ConnErrorCode) error {
	c.net.lock()
	if c.err == nil {
		c.send(frameHeader, func() {
			c.out.Close()
			c.peer.fail(&network.ConnError{Remote: true, ErrorCode: code}, false)
			c.peer.out.Close()
		})
		c.fail(&network.ConnError{ErrorCode: code}, false)
	}
	c.net.unlock()
	c.done.Do(func() { // outside the lock: it is somebody else's code
		if c.scope != nil {
			c.scope.Done()
		}
	})
	return nil
}

// IsClosed tells whether either side has closed the connection.
func (c *muxConn) IsClosed() bool {
	c.net.lock()
	defer c.net.unlock()
	return c.err != nil
}

// OpenStream blocks while the link's queue is full.
func (c *muxConn) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	for {
		s, ch, err := c.open()
		if ch == nil {
			return s, err
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *muxConn) open() (network.MuxedStream, <-chan struct{}, error) {
	c.net.lock()
	defer c.net.unlock()
	if c.err != nil {
		return nil, nil, c.err
	}
	if c.out.room() == 0 {
		return nil, c.room.wait(), nil
	}
	ours, theirs := c.newStream(), c.peer.newStream()
	ours.peer, theirs.peer = theirs, ours
	c.send(frameHeader, func() { c.peer.accept(theirs) })
	return ours, nil, nil
}

// newStream is called for both ends, the remote one before it is known there.
func (c *muxConn) newStream() *muxStream {
	c.opened++
	s := &muxStream{conn: c, serial: c.opened, credit: streamWindow}
	if c.streams != nil {
		c.streams[s] = struct{}{}
	} else {
		s.fail(c.err, true)
	}
	return s
}

func (c *muxConn) accept(s *muxStream) {
	if c.err != nil {
		return
	}
	if len(c.queue) >= streamQueue {
		s.reset(network.StreamResourceLimitExceeded)
		return
	}
	c.queue = append(c.queue, s)
	c.wait.wake()
}

// AcceptStream blocks until the other side has opened a stream or the
// connection is closed.
func (c *muxConn) AcceptStream() (network.MuxedStream, error) {
	for {
		s, ch, err := c.next()
		if ch == nil {
			return s, err
		}
		<-ch
	}
}

func (c *muxConn) next() (network.MuxedStream, <-chan struct{}, error) {
	c.net.lock()
	defer c.net.unlock()
	if len(c.queue) > 0 {
		s := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		return s, nil, nil
	}
	if c.err != nil {
		return nil, nil, c.err
	}
	return nil, c.wait.wait(), nil
}

// As finds nothing: there is nothing below.
func (c *muxConn) As(any) bool { return false }

func (c *muxConn) LocalPeer() peer.ID             { return c.tpt.id }
func (c *muxConn) RemotePeer() peer.ID            { return c.remoteID }
func (c *muxConn) RemotePublicKey() crypto.PubKey { return c.remoteKey }
func (c *muxConn) Transport() transport.Transport { return c.tpt }
func (c *muxConn) Scope() network.ConnScope       { return c.scope }
func (c *muxConn) LocalMultiaddr() ma.Multiaddr   { return multiaddr(c.local) }
func (c *muxConn) RemoteMultiaddr() ma.Multiaddr  { return multiaddr(c.remote) }
func (c *muxConn) ConnState() network.ConnectionState {
	return network.ConnectionState{StreamMultiplexer: "/bed/mux", Security: "/bed/plain", Transport: "bed"}
}
