package discv

import (
	"net/netip"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
)

// A record tells the address of a router while that maps our ports, and then
// what it told before.
func TestTheRecordFollowsTheRouter(t *testing.T) {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	p, err := ListenPair(PairConfig{Config: Config{Key: key, Listen: netip.MustParseAddrPort("127.0.0.1:0"), TCP: 30303}, NoV5: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	own := p.Self().UDP()
	told := func(what, ip string, tcp, udp int) {
		t.Helper()
		if n := p.Self(); n.IPAddr().String() != ip || n.TCP() != tcp || n.UDP() != udp {
			t.Errorf("%s: the record has %v, TCP %d, UDP %d, want %s, %d, %d", what, n.IPAddr(), n.TCP(), n.UDP(), ip, tcp, udp)
		}
	}
	told("at first", "127.0.0.1", 30303, own)
	p.SetOutside(netip.MustParseAddr("7.7.7.7"), 1001, 1002)
	told("mapped", "7.7.7.7", 1001, 1002)
	p.SetOutside(netip.MustParseAddr("7.7.7.7"), 0, 1002)
	told("TCP lost", "7.7.7.7", 30303, 1002)
	p.SetOutside(netip.Addr{}, 0, 0)
	told("lost", "127.0.0.1", 30303, own)
	p.SetOutside(netip.MustParseAddr("8.8.8.8"), 1001, 1002)
	told("mapped again", "8.8.8.8", 1001, 1002)
}

// Where we listen everywhere, no address is told until another is known.
func TestWithoutARouterNoAddressIsTold(t *testing.T) {
	for _, tt := range []struct{ listen, was, want string }{
		{"0.0.0.0:1", "7.7.7.7", "0.0.0.0"},
		{"[::]:1", "7.7.7.7", "0.0.0.0"},
		{"[::]:1", "2a00::1", "::"},
		{"192.168.1.5:1", "7.7.7.7", "192.168.1.5"},
	} {
		p := &Pair{cfg: PairConfig{Config: Config{Listen: netip.MustParseAddrPort(tt.listen)}}}
		if got := p.inner(netip.MustParseAddr(tt.was)); got.String() != tt.want {
			t.Errorf("listening on %s, after %s: %v, want %s", tt.listen, tt.was, got, tt.want)
		}
	}
	if got := (&Pair{}).inner(netip.Addr{}); got.IsValid() {
		t.Errorf("without a mapping before: %v", got)
	}
}
