package swarm

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func inbound(ep string) wire.Link {
	return wire.Link{Direction: peer.Inbound, Endpoint: netip.MustParseAddrPort(ep), Addr: at(ep)}
}

// table makes a swarm that nobody runs: Admit needs no owner.
func table(t *testing.T, cfg Config) *Swarm {
	t.Helper()
	cfg.Dial = noDial
	cfg.ProvenIdentity = true
	cfg.Seed = 1
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Threats H-12 and C-01: thirty thousand links of one address. It gets sixteen
// handshakes and one more each five seconds; an honest peer is let in at once.
func TestHandshakeFloodOfOneAddressIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := table(t, Config{})
		taken := 0
		for i := range 30_000 {
			l := inbound(fmt.Sprintf("6.6.6.6:%d", 1+i))
			if s.Admit(l) == peer.OK {
				taken++
				s.Report(wire.Refused{Link: l, Reason: peer.LinkLost, Remote: true}) // closed by RST
			}
			time.Sleep(10 * time.Millisecond)
			if i%1000 == 0 {
				if why := s.Admit(inbound(fmt.Sprintf("7.%d.7.7:1", i/1000))); why != peer.OK {
					t.Fatalf("honest peer after %d links: %q", i, why)
				}
			}
		}
		if want := 16 + 300/5; taken > want {
			t.Errorf("%d handshakes of one address in 300 s, want at most %d", taken, want)
		}
		if n := len(s.gate.callers); n > 64 {
			t.Errorf("%d addresses remembered", n)
		}
	})
}

// Threat H-01 at this layer: handshakes that nobody ends hold at most 64
// places, 16 for one prefix, and for 15 s.
func TestHalfOpenHandshakesHoldABoundedNumberOfPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := table(t, Config{})
		for i := range 40 {
			s.Admit(inbound(fmt.Sprintf("6.6.6.%d:1", i)))
		}
		if n := s.gate.underWay(); n != pendingPerNet {
			t.Errorf("%d handshakes of one prefix under way, want %d", n, pendingPerNet)
		}
		for i := range 500 {
			s.Admit(inbound(fmt.Sprintf("%d.%d.1.1:1", 7+i/200, i%200)))
		}
		if n := s.gate.underWay(); n != 64 {
			t.Errorf("%d handshakes under way, want 64", n)
		}
		if why := s.Admit(inbound("99.1.1.1:1")); why != peer.HandshakesFull {
			t.Errorf("one more: %q", why)
		}
		time.Sleep(handshakeFor)
		if why := s.Admit(inbound("99.1.1.1:1")); why != peer.OK {
			t.Errorf("15 s later: %q", why)
		}
	})
}

// Threat M-01: more than twenty bad handshakes in a minute close the gate to an
// address for ten minutes; nobody's identity is charged.
func TestBadHandshakesBlockTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := table(t, Config{})
		l := inbound("6.6.6.6:1")
		for range 21 {
			s.Report(wire.Refused{Link: l, Reason: peer.HandshakeFailed})
			time.Sleep(2 * time.Second)
		}
		if why := s.Admit(l); why != peer.HandshakeRate {
			t.Errorf("after 21 bad handshakes: %q", why)
		}
		if why := s.Admit(inbound("6.6.6.7:1")); why != peer.OK {
			t.Errorf("its neighbour: %q", why)
		}
		time.Sleep(blockFor)
		if why := s.Admit(l); why != peer.OK {
			t.Errorf("ten minutes later: %q", why)
		}
		for range 15 { // slowly: no block
			s.Report(wire.Refused{Link: l, Reason: peer.HandshakeFailed})
			time.Sleep(4 * time.Second)
		}
		if why := s.Admit(l); why != peer.OK {
			t.Errorf("after 15 in a minute: %q", why)
		}
	})
}

func TestLoopbackIsExemptUnlessCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, counted := range []bool{false, true} {
			s := table(t, Config{CountLoopback: counted})
			refused := 0
			for i := range 60 {
				if s.Admit(inbound(fmt.Sprintf("127.0.0.1:%d", 1000+i))) != peer.OK {
					refused++
				}
			}
			if (refused > 0) != counted {
				t.Errorf("CountLoopback %v: %d of 60 refused", counted, refused)
			}
		}
	})
}

func TestAdmitHoldsTheRules(t *testing.T) {
	only := []netip.Prefix{netip.MustParsePrefix("9.0.0.0/8")}
	out := wire.Link{Direction: peer.Outbound, Endpoint: netip.MustParseAddrPort("9.1.1.1:1")}
	tests := []struct {
		name string
		cfg  Config
		link wire.Link
		want peer.Reason
	}{
		{"inside", Config{NetRestrict: only}, inbound("9.1.1.1:1"), peer.OK},
		{"outside", Config{NetRestrict: only}, inbound("8.1.1.1:1"), peer.NetRestricted},
		{"mapped", Config{NetRestrict: only}, inbound("[::ffff:9.1.1.1]:1"), peer.OK},
		{"no listening", Config{NoListen: true}, inbound("9.1.1.1:1"), peer.ListeningOff},
		{"no dialling", Config{NoDial: true}, out, peer.DiallingOff},
		{"dialling", Config{}, out, peer.OK},
		{"no address", Config{NetRestrict: only}, wire.Link{Direction: peer.Inbound}, peer.OK},
	}
	for _, tt := range tests {
		if got := table(t, tt.cfg).Admit(tt.link); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func BenchmarkAdmitFlood(b *testing.B) {
	s, err := New(Config{Dial: noDial, ProvenIdentity: true, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	l := inbound("6.6.6.6:1")
	b.ReportAllocs()
	for b.Loop() {
		s.Admit(l)
	}
}
