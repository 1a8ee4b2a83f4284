package opstack

import (
	"net/netip"
	"testing"
)

// Threat R-02: the memory of prefixes is bounded, and loopback has none.
func TestPrefixesAreBounded(t *testing.T) {
	p := newPrefixes(8, 32)
	for _, ip := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.9"} {
		if p.limiter(netip.MustParseAddr(ip)) != nil {
			t.Errorf("%s has a limiter", ip)
		}
	}
	if p.limiter(netip.Addr{}) != nil {
		t.Error("no address has a limiter")
	}
	one := p.limiter(netip.MustParseAddr("203.0.113.1"))
	if one != p.limiter(netip.MustParseAddr("::ffff:203.0.113.200")) || one == p.limiter(netip.MustParseAddr("203.0.112.1")) {
		t.Error("a /24 is not one prefix")
	}
	if p.limiter(netip.MustParseAddr("2001:db8::1")) != p.limiter(netip.MustParseAddr("2001:db8:0:ff::1")) {
		t.Error("a /56 is not one prefix")
	}
	for i := range 3 * maxPrefixes {
		l := p.limiter(netip.AddrFrom4([4]byte{11, byte(i >> 8), byte(i), 1}))
		if i%2 == 0 {
			l.Allow() // it is in use
		}
		if len(p.of) > maxPrefixes {
			t.Fatalf("%d prefixes are remembered", len(p.of))
		}
	}
}
