package bed

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/starlingp2p/starling/env"
)

var _ env.Network = (*Host)(nil)

// Host is a machine of one address in a Net. It implements env.Network. It is
// safe for concurrent use.
type Host struct {
	net  *Net
	addr netip.Addr
	end  *endpoint

	// Under the net's lock.
	port      uint16 // the last ephemeral one
	listeners map[uint16]*Listener
	packets   map[uint16]*PacketConn
	conns     map[*Conn]struct{}
	mux       map[*muxConn]struct{}
	serial    uint64 // orders conns
}

const (
	firstPort = 32768 // of the ephemeral ones
	backlog   = 128   // connections that nobody has accepted yet, per listener
)

// Addr is the host's address.
func (h *Host) Addr() netip.Addr { return h.addr }

// Net is the network that the host is in.
func (h *Host) Net() *Net { return h.net }

// Traffic tells what the host sent and received.
func (h *Host) Traffic() Traffic {
	h.net.lock()
	defer h.net.unlock()
	return h.end.traffic
}

// SetRates sets the host's uplink and downlink in bytes per second; 0: no
// limit.
func (h *Host) SetRates(up, down int64) {
	h.net.do(func(f *Fabric) { f.SetRates(h.addr, up, down) })
}

// Cut takes the host off the network: its connections break or fall silent.
func (h *Host) Cut(mode Mode) { h.net.do(func(f *Fabric) { f.Cut(h.addr, mode) }) }

// Restore ends a Cut.
func (h *Host) Restore() { h.net.do(func(f *Fabric) { f.Restore(h.addr) }) }

// Kill ends the host's process: connections, listeners and sockets are closed,
// what they had not sent is lost. Break: the kernel lives and resets the other
// sides, as after kill -9. Silent: nobody is told, as when the power fails;
// whoever sends later is reset. The host may be used again at once.
func (h *Host) Kill(mode Mode) {
	h.net.lock()
	defer h.net.unlock()
	h.shut(mode)
}

// shut closes all that is open. The net's lock is held.
func (h *Host) shut(mode Mode) {
	for _, port := range sortedKeys(h.listeners) {
		h.listeners[port].close()
	}
	for _, port := range sortedKeys(h.packets) {
		h.packets[port].close()
	}
	for _, c := range bySerial(h.conns, func(c *Conn) uint64 { return c.serial }) {
		c.kill(mode)
	}
	for _, c := range bySerial(h.mux, func(c *muxConn) uint64 { return c.serial }) {
		c.kill(mode)
	}
	for _, d := range slices.Clone(h.net.dials) {
		if d.h == h {
			d.finish(net.ErrClosed)
		}
	}
}

func sortedKeys[V any](m map[uint16]V) []uint16 {
	keys := make([]uint16, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func bySerial[C comparable](m map[C]struct{}, serial func(C) uint64) []C {
	all := make([]C, 0, len(m))
	for c := range m {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b C) int {
		if serial(a) < serial(b) {
			return -1
		}
		return 1
	})
	return all
}

// ephemeral returns a port that is not in use. The net's lock is held.
func (h *Host) ephemeral() uint16 {
	for {
		if h.port++; h.port < firstPort {
			h.port = firstPort
		}
		if h.listeners[h.port] == nil && h.packets[h.port] == nil {
			return h.port
		}
	}
}

// Listen listens on a port of the host: the address is "IP:port" with the
// host's own or an unspecified IP, or ":port"; port 0 takes a free one.
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if err := wantNetwork(network, "tcp"); err != nil {
		return nil, err
	}
	return h.ListenTCP(ctx, address)
}

// ListenTCP is Listen with its own type.
func (h *Host) ListenTCP(ctx context.Context, address string) (*Listener, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.net.lock()
	defer h.net.unlock()
	port, err := h.bind(address, "tcp", func(p uint16) bool { return h.listeners[p] != nil })
	if err != nil {
		return nil, err
	}
	l := &Listener{host: h, port: port}
	h.listeners[port] = l
	return l, nil
}

// ListenPacket opens a datagram socket; the address is as for Listen.
func (h *Host) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := wantNetwork(network, "udp"); err != nil {
		return nil, err
	}
	h.net.lock()
	defer h.net.unlock()
	port, err := h.bind(address, "udp", func(p uint16) bool { return h.packets[p] != nil })
	if err != nil {
		return nil, err
	}
	c := &PacketConn{host: h, port: port}
	h.packets[port] = c
	return c, nil
}

func (h *Host) bind(address, network string, used func(uint16) bool) (uint16, error) {
	if h.net.closed {
		return 0, net.ErrClosed
	}
	name, p, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("bed: port out of range: %q", p)
	}
	if name != "" {
		ip, err := netip.ParseAddr(name)
		if err != nil {
			return 0, fmt.Errorf("bed: listen address is not an IP: %q", name)
		}
		if ip = ip.Unmap(); !ip.IsUnspecified() && ip != h.addr {
			return 0, &net.OpError{
				Op: "listen", Net: network, Addr: h.tcpAddr(uint16(port)),
				Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL),
			}
		}
	}
	if port == 0 {
		return h.ephemeral(), nil
	}
	if used(uint16(port)) {
		return 0, &net.OpError{
			Op: "listen", Net: network, Addr: h.tcpAddr(uint16(port)),
			Err: os.NewSyscallError("bind", syscall.EADDRINUSE),
		}
	}
	return uint16(port), nil
}

func (h *Host) tcpAddr(port uint16) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.addr, port))
}

func wantNetwork(network, want string) error {
	if network == want || network == want+"4" || network == want+"6" {
		return nil
	}
	return net.UnknownNetworkError(network)
}
