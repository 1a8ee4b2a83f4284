package opstack

import (
	"fmt"
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// at is what of an address matters to whoever dials it.
type at struct {
	text string
	ip   netip.Addr // invalid for a name
	port string
}

func ats(ms []ma.Multiaddr) (out []at) {
	for _, m := range ms {
		a := at{text: m.String()}
		a.port, _ = m.ValueForProtocol(ma.P_TCP) // addrs has seen that it is there
		if ip, err := manet.ToIP(m); err == nil {
			a.ip, _ = netip.AddrFromSlice(ip)
			a.ip = a.ip.Unmap()
		}
		out = append(out, a)
	}
	return out
}

// reach compares what others are told with what is listened on. bad is what
// nobody could dial; odd what is only right where a router in between maps one
// to the other.
func reach(listen, advertise []ma.Multiaddr) (bad, odd []string) {
	ls := ats(listen)
	for _, a := range ats(advertise) {
		say := func(to *[]string, format string, args ...any) {
			*to = append(*to, fmt.Sprintf("you advertise %s but listen on "+format, append([]any{a.text}, args...)...))
		}
		if len(ls) == 0 {
			bad = append(bad, fmt.Sprintf("you advertise %s but listen on nothing: leave it out", a.text))
			continue
		}
		one, family, beyond, port := "", false, false, false
		for _, l := range ls {
			one = l.text
			family = family || !a.ip.IsValid() || !l.ip.IsValid() || a.ip.Is4() == l.ip.Is4() || l.ip.Is6() && l.ip.IsUnspecified()
			beyond = beyond || !l.ip.IsLoopback()
			port = port || l.port == a.port || l.port == "0" && a.port != "0"
		}
		switch {
		case !family:
			say(&bad, "%s, which is of the other IP version: listen on that too, or advertise this one", one)
		case !beyond && !a.ip.IsLoopback():
			say(&bad, "%s, which nobody else can reach: listen on an address of the network, or leave it out", one)
		case beyond && a.ip.IsLoopback():
			say(&bad, "%s: nobody else can dial the first; leave it out, or name the address at which others reach you", one)
		case !port:
			say(&odd, "%s, another port: others reach you only if a router maps the one to the other", one)
		case a.ip.IsValid() && elsewhere(a.ip, ls):
			say(&odd, "%s, another address: others reach you only if a router maps the one to the other", one)
		}
	}
	return bad, odd
}

// elsewhere reports whether all that is listened on are public addresses, and
// none of them is this one.
func elsewhere(ip netip.Addr, ls []at) bool {
	for _, l := range ls {
		if !l.ip.IsValid() || l.ip.IsUnspecified() || l.ip.IsPrivate() || l.ip.IsLoopback() || l.ip == ip {
			return false
		}
	}
	return true
}

// notLoopback names the first address that is not of loopback; empty: all are.
func notLoopback(ms []ma.Multiaddr) string {
	for _, a := range ats(ms) {
		if !a.ip.IsLoopback() {
			return a.text
		}
	}
	return ""
}
