package subnet

import "net/netip"

// Of is the range that one site has: the /24 of an IPv4 address, the /56 of an
// IPv6 address (RFC 6177 §2). An IPv4 address in IPv6 is one of IPv4, and a zone
// does not count. The zero Addr is in none, the zero Prefix.
func Of(ip netip.Addr) netip.Prefix { return cut(ip, 24, 56) }

// Operator is the range that one operator can be thought to own: the /16 of an IPv4
// address, the /32 of an IPv6 address, otherwise as Of.
func Operator(ip netip.Addr) netip.Prefix { return cut(ip, 16, 32) }

// Subscriber is the address that stands for a subscriber: an IPv4 address itself,
// of an IPv6 address the first of its /64, all of which one host may have
// (RFC 4291 §2.5.1). The zero Addr stands for itself.
func Subscriber(ip netip.Addr) netip.Addr { return cut(ip, 32, 64).Addr() }

func cut(ip netip.Addr, four, six int) netip.Prefix {
	ip = ip.Unmap()
	bits := four
	if ip.Is6() {
		bits = six
	}
	p, _ := ip.Prefix(bits) // no error: the bits fit
	return p
}

// Local reports whether an address is of no use on the open internet: loopback,
// private, of one link, or Shared.
func Local(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || Shared(ip)
}

// Shared reports whether an address is of those that providers share out behind
// routers of their own, 100.64.0.0/10 (RFC 6598).
func Shared(ip netip.Addr) bool {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(ip.Unmap())
}
