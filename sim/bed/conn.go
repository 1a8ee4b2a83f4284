package bed

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

var _ net.Conn = (*Conn)(nil)

// Conn is one end of a stream connection of a Net. As on TCP, Close sends what
// was written and then the end of the stream; the reader of the other side
// sees the rest first. It is safe for concurrent use.
type Conn struct {
	net           *Net
	host          *Host
	peer          *Conn
	local, remote netip.AddrPort
	out, in       *Pipe
	serial        uint64

	// Under the net's lock.
	buf          [][]byte // arrived, not read
	size         int      // bytes in buf
	eof          bool     // the other side has ended its stream
	rerr, werr   error
	finished     bool // we have ended ours
	arrivedFin   bool // and the other side knows
	closed       bool // by Close or Kill
	dead         bool // the process is gone: nothing is sent any more
	owesReset    bool // data came after Close
	rdead, wdead time.Time
	rwait, wwait signal
}

// newConnPair makes the two ends of a connection, of which the client's may be
// used at once; its first segment brings the server's to the listener. The
// net's lock is held.
func newConnPair(client *Host, l *Listener, port uint16) *Conn {
	n, server := client.net, l.host
	a := netip.AddrPortFrom(client.addr, port)
	b := netip.AddrPortFrom(server.addr, l.port)
	there, back := n.fabric.Pipe(a.Addr(), b.Addr()), n.fabric.Pipe(b.Addr(), a.Addr())
	c := &Conn{net: n, host: client, local: a, remote: b, out: there, in: back}
	s := &Conn{net: n, host: server, local: b, remote: a, out: back, in: there}
	c.peer, s.peer = s, c
	for _, x := range []*Conn{c, s} {
		x.host.serial++
		x.serial = x.host.serial
		x.host.conns[x] = struct{}{}
		x.out.onRoom = x.wwait.wake
		x.out.onBreak = func() {
			x.reset(syscall.ECONNRESET)
			x.peer.reset(syscall.ECONNRESET)
		}
	}
	there.push(segment{fn: func(bool) { l.put(s) }})
	return c
}

// Read blocks until there is something to read, the stream has ended, the
// connection is closed or reset, or the read deadline has passed.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		n, w, err := c.read(b)
		if w.ch == nil {
			return n, c.wrap("read", err)
		}
		w.await()
	}
}

func (c *Conn) read(b []byte) (n int, w waiting, err error) {
	c.net.lock()
	defer c.net.unlock()
	switch {
	case c.closed:
		return 0, w, net.ErrClosed
	case passed(c.rdead):
		return 0, w, os.ErrDeadlineExceeded
	case c.size > 0 && len(b) > 0:
		for n < len(b) && len(c.buf) > 0 {
			k := copy(b[n:], c.buf[0])
			n += k
			if c.buf[0] = c.buf[0][k:]; len(c.buf[0]) == 0 {
				c.buf[0] = nil
				c.buf = c.buf[1:]
			}
		}
		c.size -= n
		c.in.consumed(n)
		return n, w, nil
	case c.rerr != nil:
		return 0, w, c.rerr
	case len(b) == 0:
		return 0, w, nil
	case c.eof:
		return 0, w, io.EOF
	}
	return 0, waiting{c.rwait.wait(), c.rdead}, nil
}

// Write blocks while the link's queue is full. It keeps no part of b.
func (c *Conn) Write(b []byte) (int, error) {
	sent := 0
	for {
		n, w, err := c.write(b[sent:])
		sent += n
		if err != nil {
			return sent, c.wrap("write", err)
		}
		if sent == len(b) {
			return sent, nil
		}
		if w.ch != nil {
			w.await()
		}
	}
}

func (c *Conn) write(b []byte) (n int, w waiting, err error) {
	c.net.lock()
	defer c.net.unlock()
	switch {
	case c.closed:
		return 0, w, net.ErrClosed
	case c.werr != nil:
		return 0, w, c.werr
	case c.finished:
		return 0, w, syscall.EPIPE
	case passed(c.wdead):
		return 0, w, os.ErrDeadlineExceeded
	}
	n = min(len(b), c.out.room())
	if n == 0 && len(b) > 0 {
		return 0, waiting{c.wwait.wait(), c.wdead}, nil
	}
	rest := bytes.Clone(b[:n])
	for len(rest) > 0 {
		part := rest[:min(len(rest), maxSegment)]
		rest = rest[len(part):]
		c.out.push(segment{size: len(part), fn: func(corrupt bool) { c.peer.take(part, corrupt) }})
	}
	return n, w, nil
}

// take is a segment's arrival at this end.
func (c *Conn) take(part []byte, corrupt bool) {
	switch {
	case c.dead:
		c.sendReset()
		return
	case c.closed:
		c.owesReset = true
		c.repay()
		return
	case c.rerr != nil:
		return
	}
	if corrupt {
		part[c.in.rand().IntN(len(part))] ^= 0xff
	}
	c.in.arrived(len(part))
	c.buf = append(c.buf, part)
	c.size += len(part)
	c.rwait.wake()
}

// Close ends the stream after what was written and wakes all who wait. It does
// not block.
func (c *Conn) Close() error {
	c.net.lock()
	defer c.net.unlock()
	if c.closed {
		return c.wrap("close", net.ErrClosed)
	}
	c.closed = true
	c.drop()
	c.finish()
	c.rwait.wake()
	c.wwait.wake()
	return nil
}

// CloseWrite ends the stream after what was written; reading goes on.
func (c *Conn) CloseWrite() error {
	c.net.lock()
	defer c.net.unlock()
	if c.closed {
		return c.wrap("close", net.ErrClosed)
	}
	c.finish()
	c.wwait.wake()
	return nil
}

// drop gives back what was not read.
func (c *Conn) drop() {
	n := c.size
	c.buf, c.size = nil, 0
	c.in.consumed(n)
}

// finish sends the end of the stream, once.
func (c *Conn) finish() {
	if c.finished || c.werr != nil {
		c.forget()
		return
	}
	c.finished = true
	c.out.push(segment{fn: func(bool) {
		c.out.Close()
		c.arrivedFin = true
		c.peer.eof = true
		c.peer.rwait.wake()
		c.repay()
		c.forget()
		c.peer.forget()
	}})
}

// repay answers data that came after Close, once our end of stream is there:
// the other side can write no more, but reads to the end.
func (c *Conn) repay() {
	if !c.owesReset || !c.arrivedFin {
		return
	}
	c.owesReset = false
	c.later(func() {
		p := c.peer
		if p.werr == nil {
			p.werr = syscall.ECONNRESET
			p.out.Close()
			p.wwait.wake()
		}
		p.forget()
		c.forget()
	})
}

// later runs fn when something sent now would arrive at the other side; in a
// fault it never does.
func (c *Conn) later(fn func()) {
	path := c.out.path
	c.net.q.at(c.net.q.now+int64(path.link.Latency), func() {
		if path.block == 0 {
			fn()
		}
	})
}

// sendReset tells the other side that there is nobody here.
func (c *Conn) sendReset() {
	c.later(func() { c.peer.reset(syscall.ECONNRESET) })
}

// reset ends the connection at this end: what was not read is lost.
func (c *Conn) reset(err error) {
	if c.rerr == nil {
		c.rerr = err
	}
	if c.werr == nil {
		c.werr = err
	}
	c.buf, c.size = nil, 0
	c.out.Close()
	c.rwait.wake()
	c.wwait.wake()
	delete(c.host.conns, c)
}

// kill closes this end as the end of its process does.
func (c *Conn) kill(mode Mode) {
	c.closed, c.dead = true, true
	if mode == Break {
		c.sendReset()
	}
	c.reset(net.ErrClosed)
}

// forget takes the connection off the host's list when both streams have
// ended.
func (c *Conn) forget() {
	ours := c.arrivedFin || c.werr != nil
	theirs := c.eof || c.rerr != nil
	if c.closed && ours && theirs {
		delete(c.host.conns, c)
	}
}

// LocalAddr is a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr is a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline sets both deadlines. Calls that wait notice.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadlines(&t, &t) }

// SetReadDeadline sets that of Read; the zero time: none.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(&t, nil) }

// SetWriteDeadline sets that of Write; the zero time: none.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(nil, &t) }

func (c *Conn) setDeadlines(r, w *time.Time) error {
	c.net.lock()
	defer c.net.unlock()
	if c.closed {
		return c.wrap("set", net.ErrClosed)
	}
	if r != nil {
		c.rdead = *r
		c.rwait.wake()
	}
	if w != nil {
		c.wdead = *w
		c.wwait.wake()
	}
	return nil
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
