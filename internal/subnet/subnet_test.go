package subnet_test

import (
	"net/netip"
	"testing"

	"github.com/starlingp2p/starling/internal/subnet"
)

func TestAddressesBelongToTheirRanges(t *testing.T) {
	for _, tt := range []struct {
		ip, of, subscriber string
		operator           string
		local, shared      bool
	}{
		{"192.0.2.77", "192.0.2.0/24", "192.0.2.77", "192.0.0.0/16", false, false},
		{"::ffff:192.0.2.77", "192.0.2.0/24", "192.0.2.77", "192.0.0.0/16", false, false},
		{"::ffff:10.1.2.3", "10.1.2.0/24", "10.1.2.3", "10.1.0.0/16", true, false},
		{"127.0.0.1", "127.0.0.0/24", "127.0.0.1", "127.0.0.0/16", true, false},
		{"2001:db8:1:2ff:3::4", "2001:db8:1:200::/56", "2001:db8:1:2ff::", "2001:db8::/32", false, false},
		{"fe80::1%eth0", "fe80::/56", "fe80::", "fe80::/32", true, false},
		{"100.63.255.255", "100.63.255.0/24", "100.63.255.255", "100.63.0.0/16", false, false},
		{"100.64.0.0", "100.64.0.0/24", "100.64.0.0", "100.64.0.0/16", true, true},
		{"::ffff:100.127.255.255", "100.127.255.0/24", "100.127.255.255", "100.127.0.0/16", true, true},
		{"100.128.0.0", "100.128.0.0/24", "100.128.0.0", "100.128.0.0/16", false, false},
	} {
		ip := netip.MustParseAddr(tt.ip)
		of, subscriber, shared := subnet.Of(ip), subnet.Subscriber(ip), subnet.Shared(ip)
		if of.String() != tt.of || subscriber.String() != tt.subscriber || shared != tt.shared {
			t.Errorf("%v: of %v, subscriber %v, shared %v; want %v, %v, %v", ip, of, subscriber, shared, tt.of, tt.subscriber, tt.shared)
		}
		if operator, local := subnet.Operator(ip), subnet.Local(ip); operator.String() != tt.operator || local != tt.local {
			t.Errorf("%v: operator %v, local %v; want %v, %v", ip, operator, local, tt.operator, tt.local)
		}
	}
	var none netip.Addr
	if subnet.Of(none).IsValid() || subnet.Operator(none).IsValid() || subnet.Subscriber(none).IsValid() || subnet.Local(none) || subnet.Shared(none) {
		t.Error("no address is of a range")
	}
}
