package bed

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	synRetry = time.Second // doubling
	synTries = 7           // and then the dial has timed out: 127 s
)

// resolve turns "host:port" into what may be dialled.
func (h *Host) resolve(address string) ([]netip.AddrPort, error) {
	name, p, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("bed: port out of range: %q", p)
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), uint16(port))}, nil
	}
	h.net.lock()
	defer h.net.unlock()
	addrs := h.net.names[name]
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	var all []netip.AddrPort
	for _, a := range addrs {
		all = append(all, netip.AddrPortFrom(a.Unmap(), uint16(port)))
	}
	return all, nil
}

// Dial connects to "IP:port", or to "name:port" of a name that was set. It
// takes a round trip. A host that does not exist or is behind a silent fault
// is a black hole: Dial tries for 127 s unless ctx ends before.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := wantNetwork(network, "tcp"); err != nil {
		return nil, err
	}
	targets, err := h.resolve(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	for _, to := range targets {
		var c *Conn
		if c, err = h.dialTCP(ctx, to); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func (h *Host) dialTCP(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	var c *Conn
	err := h.connect(ctx, to, func() error {
		l := h.net.hosts[to.Addr()].listeners[to.Port()]
		if l == nil || l.mux != nil {
			return syscall.ECONNREFUSED
		}
		c = newConnPair(h, l, h.ephemeral())
		return nil
	})
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	return c, nil
}

// connect does the first round trip to a listener: up is called when the
// answer is back, with the net's lock held, and says whether it is a refusal.
func (h *Host) connect(ctx context.Context, to netip.AddrPort, up func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n := h.net
	n.lock()
	if n.closed {
		n.unlock()
		return net.ErrClosed
	}
	d := &dialling{h: h, to: to, up: up}
	n.dials = append(n.dials, d)
	d.knock()
	done := d.done.wait()
	n.unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
	n.lock()
	defer n.unlock()
	d.finish(ctx.Err()) // unless it is over
	return d.err
}

// dialling is a connection that is being made. Its fields are under the net's
// lock.
type dialling struct {
	h     *Host
	to    netip.AddrPort
	up    func() error
	tries int
	done  signal
	over  bool
	err   error
}

func (d *dialling) finish(err error) {
	if d.over {
		return
	}
	d.over, d.err = true, err
	if i := slices.Index(d.h.net.dials, d); i >= 0 {
		d.h.net.dials = slices.Delete(d.h.net.dials, i, i+1)
	}
	d.done.wake()
}

// knock sends a first segment and comes back to see whether it was answered.
func (d *dialling) knock() {
	f, q := d.h.net.fabric, &d.h.net.q
	if d.over {
		return
	}
	if d.tries == synTries {
		d.finish(errTimedOut{})
		return
	}
	wait := synRetry << d.tries
	d.tries++
	q.at(q.now+int64(wait), d.knock)
	out := f.path(d.h.addr, d.to.Addr())
	if out.block == Break {
		q.at(q.now+1, func() { d.finish(syscall.EHOSTUNREACH) })
		return
	}
	f.Datagram(d.h.addr, d.to.Addr(), 0, func() {
		host := d.h.net.hosts[d.to.Addr()]
		if host == nil || d.over {
			return
		}
		refused := host.listeners[d.to.Port()] == nil
		if refused {
			host.end.traffic.Refused++
		}
		f.Datagram(d.to.Addr(), d.h.addr, 0, func() {
			switch {
			case d.over:
			case refused:
				d.finish(syscall.ECONNREFUSED)
			case out.block != 0: // between the answer and its arrival
			default:
				d.finish(d.up())
			}
		})
	})
}

// errTimedOut is a net.Error, as that of a real dial is.
type errTimedOut struct{}

func (errTimedOut) Error() string   { return errTimeout.Error() }
func (errTimedOut) Timeout() bool   { return true }
func (errTimedOut) Temporary() bool { return true }
func (errTimedOut) Unwrap() error   { return errTimeout }
