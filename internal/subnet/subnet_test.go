package subnet_test

import (
	"net/netip"
	"testing"

	"github.com/starlingp2p/starling/internal/subnet"
)

func TestAddressesBelongToTheirRanges(t *testing.T) {
	for _, tt := range []struct {
		ip, of, subscriber string
		shared             bool
	}{
		{"192.0.2.77", "192.0.2.0/24", "192.0.2.77", false},
		{"::ffff:192.0.2.77", "192.0.2.0/24", "192.0.2.77", false},
		{"2001:db8:1:2ff:3::4", "2001:db8:1:200::/56", "2001:db8:1:2ff::", false},
		{"fe80::1%eth0", "fe80::/56", "fe80::", false},
		{"100.63.255.255", "100.63.255.0/24", "100.63.255.255", false},
		{"100.64.0.0", "100.64.0.0/24", "100.64.0.0", true},
		{"::ffff:100.127.255.255", "100.127.255.0/24", "100.127.255.255", true},
		{"100.128.0.0", "100.128.0.0/24", "100.128.0.0", false},
	} {
		ip := netip.MustParseAddr(tt.ip)
		of, subscriber, shared := subnet.Of(ip), subnet.Subscriber(ip), subnet.Shared(ip)
		if of.String() != tt.of || subscriber.String() != tt.subscriber || shared != tt.shared {
			t.Errorf("%v: of %v, subscriber %v, shared %v; want %v, %v, %v", ip, of, subscriber, shared, tt.of, tt.subscriber, tt.shared)
		}
	}
	var none netip.Addr
	if subnet.Of(none).IsValid() || subnet.Subscriber(none).IsValid() || subnet.Shared(none) {
		t.Error("no address is of a range")
	}
}
