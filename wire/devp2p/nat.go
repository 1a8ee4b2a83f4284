package devp2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/p2p/nat"
)

// How ports are mapped (go-ethereum p2p, server_nat.go): for ten minutes,
// renewed after eight, tried again after five where it failed; the address of
// the router is asked for again after two.
const (
	mapFor       = 10 * time.Minute
	mapRenew     = 8 * time.Minute
	mapRetry     = 5 * time.Minute
	addressRetry = 2 * time.Minute
	mapName      = "starling devp2p"
)

// Router maps ports: what go-ethereum's p2p/nat offers. Its calls may take
// seconds and know no context: one that is under way when the node stops ends
// by itself.
type Router = nat.Interface

// ParseNAT reads how to find a router, as geth's --nat has it: any, none, upnp,
// pmp, pmp:IP, extip:IP, stun or stun:HOST:PORT. The result may be nil: none.
func ParseNAT(spec string) (Router, error) {
	r, err := nat.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("devp2p: nat %.80q: %w; want any, none, upnp, pmp, pmp:IP, extip:IP, stun or stun:HOST:PORT", spec, err)
	}
	return r, nil
}

// outside is how others reach us through a router.
type outside struct {
	ip       netip.Addr // invalid: not known
	tcp, udp uint16     // 0: not mapped
}

// mapping is one port that is to be mapped.
type mapping struct {
	protocol string
	inner    uint16
	outer    uint16 // 0: not mapped
	next     time.Time
}

// mapPorts keeps the ports mapped until the node ends. Ports that only this
// machine can reach are not.
func (n *node) mapPorts(r Router) {
	var wanted []*mapping
	if n.listener != nil {
		if at, err := netip.ParseAddrPort(n.listener.Addr().String()); err == nil && !at.Addr().IsLoopback() {
			wanted = append(wanted, &mapping{protocol: "TCP", inner: at.Port()})
		}
	}
	if n.finder.pair != nil && !n.w.cfg.Discovery.Listen.Addr().IsLoopback() {
		wanted = append(wanted, &mapping{protocol: "UDP", inner: uint16(n.finder.pair.Self().UDP())})
	}
	if len(wanted) == 0 {
		return
	}
	var (
		is     outside
		askAt  time.Time
		warned = map[string]bool{}
		warn   = func(text string) {
			if !warned[text] {
				warned[text] = true
				n.w.cfg.Logger.Warn(text, "addr", is.ip.String())
			}
		}
	)
	_, given := r.(nat.ExtIP) // the operator's word, in a private network too
	for n.ctx.Err() == nil {
		now := time.Now()
		if !askAt.After(now) {
			ip, err := n.routerAddr(r)
			askAt = now.Add(mapRenew)
			switch {
			case err != nil:
				askAt = now.Add(addressRetry)
				warn("no router tells an address that others see; forward the port yourself and set advertise, or turn nat off")
			case !publicAddr(ip) && !given:
				warn("the router has a private address itself, so nobody reaches us through it; forward the port on the outer router too, and set advertise")
			default:
				is.ip = ip
				if own := n.w.cfg.Advertise; len(own) > 0 && !slices.ContainsFunc(own, func(a netip.AddrPort) bool { return a.Addr() == ip }) {
					warn("the router has another address than what is advertised; correct advertise, or leave it out")
				}
			}
		}
		next := askAt
		for _, m := range wanted {
			if !m.next.After(now) {
				n.mapPort(r, m, now, warn)
			}
			next = earlier(next, m.next)
			if m.protocol == "TCP" {
				is.tcp = m.outer
			} else {
				is.udp = m.outer
			}
		}
		n.tellOutside(is)
		t := time.NewTimer(time.Until(next))
		select {
		case <-t.C:
		case <-n.ctx.Done():
			t.Stop()
		}
	}
	for _, m := range wanted {
		if m.outer != 0 {
			within(context.WithoutCancel(n.ctx), stopTime, func() error { return r.DeleteMapping(m.protocol, int(m.outer), int(m.inner)) })
		}
	}
}

// mapPort maps one port, or renews that.
func (n *node) mapPort(r Router, m *mapping, now time.Time, warn func(string)) {
	outer := m.outer
	if outer == 0 {
		outer = m.inner
	}
	var got uint16
	err := within(n.ctx, routerTime, func() (err error) {
		got, err = r.AddMapping(m.protocol, int(outer), int(m.inner), mapName, mapFor)
		return err
	})
	if err != nil || got == 0 {
		m.outer, m.next = 0, now.Add(mapRetry)
		warn("the router maps no port for us, so others may not reach us; forward it yourself and set advertise, or turn nat off")
		return
	}
	if m.outer != got {
		n.w.cfg.Logger.Info("a port is mapped", "addr", fmt.Sprintf("%s %d to %d", m.protocol, got, m.inner))
	}
	m.outer, m.next = got, now.Add(mapRenew)
}

func (n *node) routerAddr(r Router) (netip.Addr, error) {
	var ip net.IP
	if err := within(n.ctx, routerTime, func() (err error) { ip, err = r.ExternalIP(); return err }); err != nil {
		return netip.Addr{}, err
	}
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return a, errors.New("devp2p: the router told no address")
	}
	return a.Unmap(), nil
}

// within waits for a call that knows no context. What the call writes may be
// read only where it returned nil or its own error.
func within(ctx context.Context, most time.Duration, call func() error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// routerTime bounds the wait for a router; the library's own searches take some
// seconds.
const routerTime = 15 * time.Second

// publicAddr tells addresses that everybody can reach from those of a private
// network, or that providers share out behind routers of their own (RFC 6598).
func publicAddr(ip netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !shared.Contains(ip)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// tellOutside puts what a router does for us into our record and our addresses.
func (n *node) tellOutside(is outside) {
	if !is.ip.IsValid() || is.tcp == 0 && is.udp == 0 {
		n.outside.Store(nil)
		return
	}
	if was := n.outside.Load(); was != nil && *was == is {
		return
	}
	n.outside.Store(&is)
	if p := n.finder.pair; p != nil {
		p.SetOutside(is.ip, is.tcp, is.udp)
	}
}
