package devp2p

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/rlpx"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

// Dial implements wire.Wire.
func (w *Wire) Dial(ctx context.Context, a peer.Addr) error {
	n := w.node.Load()
	if n == nil {
		return wire.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, sessionTime)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	id, host, port, ok := parts(a)
	remote := keyOf(id)
	if !ok || remote == nil {
		return &peer.RefusedError{Reason: peer.BadAddr, Detail: peer.Clean(a.Scheme + " " + a.Text)}
	}
	if id == n.self {
		return peer.Refuse(peer.Self)
	}
	ep, _, _ := w.Locate(a)
	link := wire.Link{Direction: peer.Outbound, Addr: a, Endpoint: ep, ID: "", Asked: true}
	if why := n.host.Admit(link); why != peer.OK {
		return peer.Refuse(why)
	}
	d, why := n.beginDial(id)
	if why != peer.OK {
		return peer.Refuse(why)
	}
	defer n.endDial(id, d)
	c, err := n.connect(ctx, host, port)
	if err != nil {
		return err
	}
	letGo, ok := n.hold(c)
	if !ok {
		c.Close()
		return peer.Refuse(peer.Stopping)
	}
	defer letGo()
	k := &knock{n: n, raw: c, link: link, outbound: true}
	k.link.Endpoint = endpointOf(c)
	if err := k.run(ctx, func() (*rlpx.Codec, error) { return rlpx.Initiate(c, n.key, remote) }); err != nil {
		return err
	}
	return nil
}

// connect opens the link.
func (n *node) connect(ctx context.Context, host string, port uint16) (net.Conn, error) {
	hosts := []string{host}
	if _, err := netip.ParseAddr(host); err != nil {
		ips, err := n.w.cfg.LookupIP(ctx, host)
		if err != nil || len(ips) == 0 {
			return nil, &peer.RefusedError{Reason: peer.NameUnresolved, Detail: peer.Clean(host)}
		}
		hosts = hosts[:0]
		for _, ip := range ips[:min(len(ips), maxResolved)] {
			hosts = append(hosts, ip.Unmap().String())
		}
	}
	var err error
	for _, h := range hosts {
		var c net.Conn
		if c, err = n.w.cfg.Net.Dial(ctx, "tcp", net.JoinHostPort(h, strconv.Itoa(int(port)))); err == nil {
			return c, nil
		}
	}
	if ctx.Err() != nil || intake.IsTimeout(err) {
		return nil, &peer.RefusedError{Reason: peer.DialTimeout, Detail: peer.Clean(err.Error())}
	}
	return nil, &peer.RefusedError{Reason: peer.DialFailed, Detail: peer.Clean(err.Error())}
}

// welcome takes a link in that somebody dialled. place gives its place among
// the handshakes back, and may be called again.
func (n *node) welcome(c net.Conn, place func()) {
	ep := endpointOf(c)
	// Who it is shows in the handshake, where it listens in Hello.
	link := wire.Link{Direction: peer.Inbound, Addr: peer.Addr{Scheme: "tcp", Text: ep.String()}, Endpoint: ep}
	letGo, ok := n.hold(c)
	if !ok {
		c.Close()
		return
	}
	defer letGo()
	why := peer.HandshakeRate
	if n.throttle.enter(ep.Addr(), time.Now()) {
		why = n.host.Admit(link)
	}
	if why != peer.OK {
		c.Close()
		n.host.Report(wire.Refused{Link: link, Reason: why})
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, sessionTime)
	defer cancel()
	k := &knock{n: n, raw: c, link: link, done: place}
	k.run(ctx, func() (*rlpx.Codec, error) { return rlpx.Respond(c, n.key) })
}
