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

	"github.com/starlingp2p/starling/internal/subnet"
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
// seconds and know no context. One is under way at a time; one that is when the
// node stops is waited for, for a second, and then ends by itself.
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
	cut      uint16 // the outer port of a call that we did not see the end of; 0: none
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
			if !warned[text] && n.ctx.Err() == nil {
				warned[text] = true
				n.w.cfg.Logger.Warn(text, "addr", is.ip.String())
			}
		}
	)
	_, given := r.(nat.ExtIP) // the operator's word, in a private network too
	calls := &routerCalls{busy: make(chan struct{}, 1)}
	for n.ctx.Err() == nil {
		now := time.Now()
		if !askAt.After(now) {
			ip, err := calls.address(n.ctx, r)
			askAt = now.Add(mapRenew)
			switch {
			case errors.Is(err, errRouterBusy): // that has been said
				is.ip, askAt = netip.Addr{}, now.Add(addressRetry)
			case err != nil:
				is.ip, askAt = netip.Addr{}, now.Add(addressRetry)
				warn("no router tells an address that others see; forward the port yourself and set advertise, or turn nat off")
			case !publicAddr(ip) && !given:
				is.ip = netip.Addr{}
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
				n.mapPort(calls, r, m, now, warn)
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
	late, cancel := context.WithTimeout(context.WithoutCancel(n.ctx), routerStop)
	defer cancel()
	calls.do(late, func() error { return nil }) // what is under way ends, or is left to
	for _, m := range wanted {
		if outer := max(m.outer, m.cut); outer != 0 { // one of them, or the same
			calls.do(late, func() error { return r.DeleteMapping(m.protocol, int(outer), int(m.inner)) })
		}
	}
}

const unmapped = "the router maps no port for us, so others may not reach us; forward it yourself and set advertise, or turn nat off"

// mapPort maps one port, or renews that.
func (n *node) mapPort(calls *routerCalls, r Router, m *mapping, now time.Time, warn func(string)) {
	outer := m.outer
	if outer == 0 {
		outer = m.inner
	}
	var got uint16
	err := calls.within(n.ctx, func() (err error) {
		got, err = r.AddMapping(m.protocol, int(outer), int(m.inner), mapName, mapFor)
		return err
	})
	if err != nil || got == 0 {
		switch {
		case m.outer != 0, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			m.cut = outer
		case !errors.Is(err, errRouterBusy):
			m.cut = 0
		}
		m.outer, m.next = 0, now.Add(mapRetry)
		warn(unmapped)
		return
	}
	m.cut = 0
	if m.outer != got {
		n.w.cfg.Logger.Info("a port is mapped", "addr", fmt.Sprintf("%s %d to %d", m.protocol, got, m.inner))
	}
	m.outer, m.next = got, now.Add(mapRenew)
}

// errRouterBusy is reported where the call before has not ended yet.
var errRouterBusy = errors.New("devp2p: the router has not answered the call before")

// routerCalls makes calls that know no context, one at a time.
type routerCalls struct{ busy chan struct{} }

// do makes a call and waits for it until ctx ends, and before that for the one
// under way. What the call writes may be read only where it returned nil or its
// own error. At most one goroutine is left behind, until its call has ended.
func (c *routerCalls) do(ctx context.Context, call func() error) error {
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		return errRouterBusy
	}
	done := make(chan error, 1)
	go func() {
		err := call()
		<-c.busy
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// within is do with the time that a router has to answer.
func (c *routerCalls) within(ctx context.Context, call func() error) error {
	ctx, cancel := context.WithTimeout(ctx, routerTime)
	defer cancel()
	return c.do(ctx, call)
}

func (c *routerCalls) address(ctx context.Context, r Router) (netip.Addr, error) {
	var ip net.IP
	if err := c.within(ctx, func() (err error) { ip, err = r.ExternalIP(); return err }); err != nil {
		return netip.Addr{}, err
	}
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return a, errors.New("devp2p: the router told no address")
	}
	return a.Unmap(), nil
}

// routerTime bounds the wait for a router; the library's own searches take some
// seconds. routerStop is what is left for it when the node stops.
const (
	routerTime = 15 * time.Second
	routerStop = time.Second
)

// publicAddr tells addresses that everybody can reach from those of a private
// network, or that providers share out behind routers of their own (RFC 6598).
func publicAddr(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !subnet.Shared(ip)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// tellOutside puts what a router does for us into our record and our addresses.
func (n *node) tellOutside(is outside) {
	was := n.outside.Load()
	now := &is
	if !is.ip.IsValid() || is.tcp == 0 && is.udp == 0 {
		now = nil // nobody reaches us there any more
	}
	if was == nil && now == nil || was != nil && now != nil && *was == is {
		return
	}
	n.outside.Store(now)
	if was != nil && now == nil {
		n.w.cfg.Logger.Warn("the router maps no port for us any more, so its address is not told to others until it does", "addr", was.ip.String())
		is = outside{}
	}
	if p := n.finder.pair; p != nil {
		p.SetOutside(is.ip, is.tcp, is.udp)
	}
}
