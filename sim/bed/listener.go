package bed

import (
	"net"
	"os"
	"time"
)

// Listener accepts stream connections on a port of a host. At most 128 wait to
// be accepted; more are reset.
type Listener struct {
	host *Host
	port uint16
	mux  *muxListener // takes the connections of the light transport instead

	// Under the net's lock.
	queue    []*Conn
	closed   bool
	deadline time.Time
	wait     signal
}

// put hands over a connection that is set up.
func (l *Listener) put(c *Conn) {
	if l.closed || len(l.queue) >= backlog {
		l.host.end.traffic.Refused++
		c.kill(Break)
		return
	}
	l.queue = append(l.queue, c)
	l.wait.wake()
}

// Accept blocks until a connection has come, the listener is closed or its
// deadline has passed.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, w, err := l.accept()
		if w.ch == nil {
			if err != nil {
				return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
			}
			return c, nil
		}
		w.await()
	}
}

func (l *Listener) accept() (c *Conn, w waiting, err error) {
	l.host.net.lock()
	defer l.host.net.unlock()
	switch {
	case l.closed:
		return nil, w, net.ErrClosed
	case passed(l.deadline):
		return nil, w, os.ErrDeadlineExceeded
	case len(l.queue) > 0:
		c = l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		return c, w, nil
	}
	return nil, waiting{l.wait.wait(), l.deadline}, nil
}

// SetDeadline bounds Accept; the zero time: no bound.
func (l *Listener) SetDeadline(t time.Time) error {
	l.host.net.lock()
	defer l.host.net.unlock()
	l.deadline = t
	l.wait.wake()
	return nil
}

// Close stops listening and resets what nobody has accepted. Connections that
// were accepted live on.
func (l *Listener) Close() error {
	l.host.net.lock()
	defer l.host.net.unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.close()
	return nil
}

func (l *Listener) close() {
	if l.closed {
		return
	}
	l.closed = true
	delete(l.host.listeners, l.port)
	for _, c := range l.queue {
		c.kill(Break)
	}
	l.queue = nil
	l.wait.wake()
	if l.mux != nil {
		l.mux.close()
	}
}

// Addr is a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return l.host.tcpAddr(l.port) }
