package p2phost

import (
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

const someID = "12D3KooWSEcChLYvE9KLU6ipVyY1Ed4pY4d5GRA4xPnz5azFtCTF"

func TestParseAddrTakesWhatAWireDials(t *testing.T) {
	for _, s := range []string{
		"/ip4/1.2.3.4/tcp/4001/p2p/" + someID,
		"/ip6/2001:db8::1/tcp/4001/p2p/" + someID,
		"/ip4/1.2.3.4/udp/4001/quic-v1/p2p/" + someID,
		"/dns4/seed.example.org/tcp/4001/p2p/" + someID,
		"/dnsaddr/seed.example.org/p2p/" + someID,
	} {
		if a, err := ParseAddr(s); err != nil || a.Text != s {
			t.Errorf("ParseAddr(%q) = %v, %v", s, a, err)
		}
	}
	for _, s := range []string{
		"/ip4/1.2.3.4/tcp/4001", "/p2p/" + someID, "/ip4/1.2.3.4/p2p/" + someID, "/unix/sock/p2p/" + someID,
		"/ip4/1.2.3.4/tcp/4001/ws/p2p/" + someID, "/ip4/1.2.3.4/tcp/4001/p2p/" + someID + "/p2p-circuit/p2p/" + someID,
		"/dns4/a\x1b[2Jb/tcp/4001/p2p/" + someID, "/dnsaddr/a\nb/p2p/" + someID, "/dns/a b/tcp/4001/p2p/" + someID,
		"1.2.3.4:4001", "/ip4/1.2.3.4/tcp/4001/p2p/" + strings.Repeat("x", 600),
	} {
		if a, err := ParseAddr(s); err == nil {
			t.Errorf("ParseAddr(%q) = %v, want an error", s, a)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseAddr(%q): error has more than one line: %q", s, err)
		}
	}
}

// FuzzParseAddr checks that what is read is written the same and read again.
func FuzzParseAddr(f *testing.F) {
	f.Add("/ip4/1.2.3.4/tcp/4001/p2p/" + someID)
	f.Add("/dnsaddr/x/p2p/" + someID)
	f.Add("/ip6zone/a/ip6/fe80::1/tcp/1/p2p/" + someID)
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			return
		}
		if b, err := ParseAddr(a.Text); err != nil || b != a {
			t.Fatalf("ParseAddr(%q) = %v; again: %v, %v", s, a, b, err)
		}
	})
}

func TestPrivateAddressesPassOnlyWhereAllowed(t *testing.T) { // E-03
	for s, want := range map[string][2]bool{ // allowed by default, with AllowPrivate
		"/ip4/8.8.8.8/tcp/4001":      {true, true},
		"/ip4/10.0.0.1/tcp/4001":     {false, true},
		"/ip4/127.0.0.1/tcp/4001":    {false, true},
		"/ip4/169.254.1.1/tcp/4001":  {false, true},
		"/ip4/0.0.0.0/tcp/4001":      {false, false},
		"/ip4/224.0.0.1/udp/4001":    {false, false},
		"/ip4/8.8.8.8/tcp/0":         {false, false},
		"/dns4/a.example.org/tcp/80": {true, true},
	} {
		m := ma.StringCast(s)
		if got := [2]bool{keepAddr(false)(m), keepAddr(true)(m)}; got != want {
			t.Errorf("%s: kept %v, want %v", s, got, want)
		}
	}
}

func TestLimitsArePinned(t *testing.T) {
	m, err := Limits{Conns: 10, Handshakes: 4}.resourceManager()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	// Public-looking addresses of one machine: the library's own limits for each
	// address would refuse the ninth, and its rates the seventeenth.
	open := 0
	for i := range 20 {
		c, err := m.OpenConnection(network.DirInbound, true, ma.StringCast("/ip4/8.8.8.8/tcp/4001"))
		if err != nil {
			break
		}
		defer c.Done()
		open = i + 1
	}
	if open != 4 {
		t.Errorf("%d handshakes at once, want 4", open)
	}
}
