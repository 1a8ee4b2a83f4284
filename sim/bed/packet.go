package bed

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

var _ net.PacketConn = (*PacketConn)(nil)

const (
	maxDatagram  = 65507
	packetBuffer = 256 << 10 // bytes that nobody has read, per socket; more is dropped
)

// PacketConn is a datagram socket of a host. Datagrams may be lost, dropped
// and overtaken; none is ever sent again. It is safe for concurrent use.
type PacketConn struct {
	host *Host
	port uint16

	// Under the net's lock.
	queue        []datagram
	size         int
	closed       bool
	rdead, wdead time.Time
	wait         signal
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

// ReadFrom blocks for the next datagram. What does not fit into b is cut off.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromUDPAddrPort is ReadFrom without a net.Addr.
func (c *PacketConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		d, w, err := c.next()
		if w.ch == nil {
			if err != nil {
				return 0, netip.AddrPort{}, c.wrap("read", err)
			}
			return copy(b, d.data), d.from, nil
		}
		w.await()
	}
}

func (c *PacketConn) next() (d datagram, w waiting, err error) {
	c.host.net.lock()
	defer c.host.net.unlock()
	switch {
	case c.closed:
		return d, w, net.ErrClosed
	case passed(c.rdead):
		return d, w, os.ErrDeadlineExceeded
	case len(c.queue) > 0:
		d = c.queue[0]
		c.queue[0] = datagram{}
		c.queue = c.queue[1:]
		c.size -= len(d.data)
		return d, w, nil
	}
	return d, waiting{c.wait.wait(), c.rdead}, nil
}

// WriteTo sends a datagram. It never blocks, and keeps no part of b.
func (c *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if u, ok := to.(*net.UDPAddr); ok {
		return c.WriteToUDPAddrPort(b, u.AddrPort())
	}
	ap, err := netip.ParseAddrPort(to.String())
	if err != nil {
		return 0, c.wrap("write", err)
	}
	return c.WriteToUDPAddrPort(b, ap)
}

// WriteToUDPAddrPort is WriteTo without a net.Addr.
func (c *PacketConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if len(b) > maxDatagram {
		return 0, c.wrap("write", fmt.Errorf("bed: datagram too long: %d bytes of at most %d", len(b), maxDatagram))
	}
	n := c.host.net
	n.lock()
	defer n.unlock()
	if c.closed {
		return 0, c.wrap("write", net.ErrClosed)
	}
	if passed(c.wdead) {
		return 0, c.wrap("write", os.ErrDeadlineExceeded)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	data := bytes.Clone(b)
	from := netip.AddrPortFrom(c.host.addr, c.port)
	n.fabric.datagram(from.Addr(), to.Addr(), len(data), func(corrupt bool) {
		if corrupt && len(data) > 0 {
			data[n.fabric.path(from.Addr(), to.Addr()).gram.rand().IntN(len(data))] ^= 0xff
		}
		if h := n.hosts[to.Addr()]; h != nil && h.packets[to.Port()] != nil {
			h.packets[to.Port()].take(datagram{from, data})
		}
	})
	return len(b), nil
}

func (c *PacketConn) take(d datagram) {
	if c.size+len(d.data) > packetBuffer || len(c.queue) >= packetBuffer/64 {
		c.host.end.traffic.Dropped++
		return
	}
	c.queue = append(c.queue, d)
	c.size += len(d.data)
	c.wait.wake()
}

// Close closes the socket and wakes all who wait.
func (c *PacketConn) Close() error {
	c.host.net.lock()
	defer c.host.net.unlock()
	if c.closed {
		return c.wrap("close", net.ErrClosed)
	}
	c.close()
	return nil
}

func (c *PacketConn) close() {
	c.closed = true
	c.queue = nil
	delete(c.host.packets, c.port)
	c.wait.wake()
}

// LocalAddr is a *net.UDPAddr.
func (c *PacketConn) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.host.addr, c.port))
}

// SetDeadline sets both deadlines.
func (c *PacketConn) SetDeadline(t time.Time) error { return c.setDeadlines(&t, &t) }

// SetReadDeadline sets that of ReadFrom; the zero time: none.
func (c *PacketConn) SetReadDeadline(t time.Time) error { return c.setDeadlines(&t, nil) }

// SetWriteDeadline sets that of WriteTo, which never waits.
func (c *PacketConn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(nil, &t) }

func (c *PacketConn) setDeadlines(r, w *time.Time) error {
	c.host.net.lock()
	defer c.host.net.unlock()
	if c.closed {
		return c.wrap("set", net.ErrClosed)
	}
	if r != nil {
		c.rdead = *r
		c.wait.wake()
	}
	if w != nil {
		c.wdead = *w
	}
	return nil
}

func (c *PacketConn) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Err: err}
}
