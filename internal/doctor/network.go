package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxLooks bounds how many addresses or names one check looks at.
const maxLooks = 16

func (e Endpoint) hostPort() string { return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))) }

// bind tries a port, and lets it go at once.
func bind(ctx context.Context, network, addr string) error {
	var lc net.ListenConfig
	if network == "udp" {
		c, err := lc.ListenPacket(ctx, network, addr)
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// checkPorts looks whether the ports are free, or the node's own.
func checkPorts(ctx context.Context, in Input, env Env) (out []Result) {
	if in.NoListen {
		return []Result{{CheckPorts, Warn, "listening is off: nobody can call this node", "take network.no_listen out of the config, if others are to reach it"}}
	}
	for _, e := range in.Listen[:min(len(in.Listen), maxLooks)] {
		if e.Port == 0 && in.Node != nil {
			out = append(out, Result{Check: CheckPorts, Level: OK, Detail: e.Text + " is any free port, and the node has one"})
			continue
		}
		if e.Port == 0 {
			out = append(out, Result{CheckPorts, Warn, fmt.Sprintf("%s takes any free port: another one at each start", e.Text), "choose a fixed port, so that others find the node again"})
			continue
		}
		err := env.Bind(ctx, e.Net, e.hostPort())
		switch {
		case in.Node != nil && err == nil:
			out = append(out, Result{CheckPorts, Fail, fmt.Sprintf("the node that runs does not listen on %s", e.Text), "restart it: the config was changed since it started"})
		case in.Node != nil && errors.Is(err, unix.EADDRINUSE):
			out = append(out, Result{Check: CheckPorts, Level: OK, Detail: e.Text + " is taken, by the node that runs"})
		case err == nil:
			out = append(out, Result{Check: CheckPorts, Level: OK, Detail: e.Text + " is free"})
		case errors.Is(err, unix.EADDRINUSE):
			out = append(out, Result{CheckPorts, Fail, fmt.Sprintf("%s is in use by another process", e.Text), "choose another port in network.listen, 0 for any free one; or stop that process (ss -lptu names it)"})
		case errors.Is(err, unix.EACCES):
			out = append(out, Result{CheckPorts, Fail, fmt.Sprintf("%s: this user may not listen there", e.Text), "choose a port from 1024 on, or give the program CAP_NET_BIND_SERVICE"})
		case errors.Is(err, unix.EADDRNOTAVAIL):
			out = append(out, Result{CheckPorts, Fail, fmt.Sprintf("%s: this machine does not have that address", e.Text), "listen on an address that it has, or on 0.0.0.0"})
		default:
			out = append(out, Result{CheckPorts, Fail, fmt.Sprintf("%s: %v", e.Text, err), "choose another address in network.listen"})
		}
	}
	return out
}

// checkAdvertise holds what others are told against where the node listens.
func checkAdvertise(in Input, env Env) (out []Result) {
	if in.NoListen {
		return nil
	}
	told := in.Advertise
	if len(told) == 0 && in.Node != nil {
		told = in.Node.Told
	}
	warn := func(detail, remedy string, args ...any) {
		out = append(out, Result{CheckAdvertise, Warn, fmt.Sprintf(detail, args...), remedy})
	}
	listens := in.Listen
	if len(in.Advertise) == 0 {
		if len(told) == 0 || allLoopback(told) && everywhere(listens) { // what it will give: the machine's own addresses
			told = guessed(in, env)
		}
		if ip, all := allPrivate(told); all && !in.Private {
			warn("others are told %s, a private address that they cannot reach", "set network.advertise to the public address, and forward its port to this machine", ip)
		}
	}
	for _, a := range in.Advertise[:min(len(in.Advertise), maxLooks)] {
		if ip, ok := a.IP(); ok {
			switch {
			case ip.IsUnspecified() || ip.IsMulticast():
				out = append(out, Result{CheckAdvertise, Fail, fmt.Sprintf("you advertise %s, which is no address of a machine", a.Text), "advertise the address under which others reach this node"})
				continue
			case ip.IsLoopback() && !in.Private:
				out = append(out, Result{CheckAdvertise, Fail, fmt.Sprintf("you advertise %s: others would call themselves", a.Text), "advertise the address under which others reach this node"})
				continue
			case (ip.IsPrivate() || ip.IsLinkLocalUnicast()) && !in.Private:
				warn("you advertise %s, a private address that others cannot reach", "advertise the public address, and forward its port to this machine", a.Text)
				continue
			}
		}
		if !slices.ContainsFunc(listens, func(l Endpoint) bool { return l.Net == a.Net }) {
			out = append(out, Result{CheckAdvertise, Fail, fmt.Sprintf("you advertise %s but listen on no %s port", a.Text, a.Net), "listen on it too, or take it out of network.advertise"})
			continue
		}
		if !slices.ContainsFunc(listens, func(l Endpoint) bool { return l.Net == a.Net && l.Port == a.Port }) {
			warn("you advertise %s but listen on %s", fmt.Sprintf("forward port %d to this node's port on your router, or advertise the port that it listens on", a.Port), a.Text, texts(listens, a.Net))
			continue
		}
		if ip, ok := a.IP(); ok && !slices.ContainsFunc(listens, func(l Endpoint) bool { return l.Net == a.Net && sameFamily(l, ip) }) {
			warn("you advertise %s but listen on %s, which is of the other IP version", "listen on that version too (/ip6/::/… or /ip4/0.0.0.0/…)", a.Text, texts(listens, a.Net))
		}
	}
	if out == nil {
		out = []Result{{Check: CheckAdvertise, Level: OK, Detail: "what others are told fits where the node listens"}}
	}
	return out
}

func sameFamily(l Endpoint, ip netip.Addr) bool {
	have, ok := l.IP()
	return !ok || have.Is4() == ip.Is4() || have.Is6() && have.IsUnspecified()
}

func texts(es []Endpoint, network string) string {
	var out []string
	for _, e := range es {
		if e.Net == network {
			out = append(out, e.Text)
		}
	}
	return strings.Join(out, " and ")
}

// guessed are the addresses that a node with no advertised ones will give.
func guessed(in Input, env Env) (out []Endpoint) {
	ips, err := env.LocalIP()
	if err != nil {
		return nil
	}
	for _, l := range in.Listen {
		if ip, ok := l.IP(); !ok || !ip.IsUnspecified() {
			out = append(out, l)
			continue
		}
		for _, ip := range ips {
			if !ip.IsLoopback() {
				out = append(out, Endpoint{Text: ip.String(), Net: l.Net, Host: ip.String(), Port: l.Port})
			}
		}
	}
	return out
}

// allLoopback reports whether a node knows no address of its own yet, and
// everywhere whether it listens on all that there are.
func allLoopback(es []Endpoint) bool {
	return !slices.ContainsFunc(es, func(e Endpoint) bool { ip, ok := e.IP(); return !ok || !ip.IsLoopback() })
}

func everywhere(es []Endpoint) bool {
	return slices.ContainsFunc(es, func(e Endpoint) bool { ip, ok := e.IP(); return ok && ip.IsUnspecified() })
}

// allPrivate gives one of the addresses if none is public.
func allPrivate(es []Endpoint) (string, bool) {
	one := ""
	for _, e := range es {
		ip, ok := e.IP()
		if !ok || !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			return "", false
		}
		one = ip.String()
	}
	return one, one != ""
}

func localIPs() (out []netip.Addr, err error) {
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, perr := netip.ParsePrefix(a.String()); perr == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out, err
}

// checkReach calls the running node at the addresses that it gives to others.
func checkReach(ctx context.Context, in Input, env Env) (out []Result) {
	if in.Node == nil || in.NoListen {
		return nil
	}
	targets := in.Advertise
	if len(targets) == 0 {
		targets = in.Node.Told
	}
	var tcp []Endpoint
	for _, t := range targets {
		if t.Net == "tcp" && len(tcp) < 4 {
			tcp = append(tcp, t)
		}
	}
	results := make([]Result, len(tcp))
	var wg sync.WaitGroup
	for i, t := range tcp {
		wg.Go(func() { results[i] = reach(ctx, t, env) })
	}
	wg.Wait()
	out = results
	if in.Node.Knocks > 0 {
		out = append(out, Result{Check: CheckReachability, Level: OK, Detail: fmt.Sprintf("others have opened %d links to this node", in.Node.Knocks)})
	}
	return out
}

func reach(ctx context.Context, t Endpoint, env Env) Result {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	began := time.Now()
	c, err := env.Dial(ctx, "tcp", t.hostPort())
	if err == nil {
		c.Close()
		return Result{Check: CheckReachability, Level: OK, Detail: fmt.Sprintf("%s takes connections, seen from this machine (%v)", t.Text, time.Since(began).Round(time.Millisecond))}
	}
	ip, isIP := t.IP()
	if isIP && (ip.IsLoopback() || ip.IsPrivate()) {
		return Result{CheckReachability, Fail, fmt.Sprintf("%s cannot be reached, even from this machine: %v", t.Text, err), "correct network.advertise, or look at the machine's firewall"}
	}
	return Result{CheckReachability, Warn, fmt.Sprintf("%s cannot be reached from this machine: %v", t.Text, err), `forward its port to this machine and open the firewall; some routers do not let one call oneself, so try "starling probe" from another machine too`}
}

// checkNames asks DNS for the names in the lists of peers.
func checkNames(ctx context.Context, in Input, env Env) []Result {
	names := in.Names[:min(len(in.Names), maxLooks)]
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTime)
			defer cancel()
			ips, err := env.Lookup(ctx, name)
			if err == nil && len(ips) == 0 {
				err = errors.New("no address")
			}
			errs[i] = err
		})
	}
	wg.Wait()
	failed, text := 0, ""
	for i, err := range errs {
		if err != nil {
			failed++
			if text == "" {
				text = fmt.Sprintf("%q: %v", names[i], err)
			}
		}
	}
	const remedy = "check the names for errors, and this machine's DNS (resolv.conf); an address with an IP in it needs no DNS"
	switch {
	case len(names) == 0:
		return nil
	case failed == len(names):
		return []Result{{CheckDNS, Fail, fmt.Sprintf("none of the %d names of peers resolves; %s", len(names), text), remedy}}
	case failed > 0:
		return []Result{{CheckDNS, Warn, fmt.Sprintf("%d of %d names of peers do not resolve; %s", failed, len(names), text), remedy}}
	}
	return []Result{{Check: CheckDNS, Level: OK, Detail: fmt.Sprintf("the names of peers resolve (%d)", len(names))}}
}
