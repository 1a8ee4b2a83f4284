package devp2p

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Threat H-12: an address that comes again within 30 s is refused before the
// handshake, whatever identity it has; loopback and the local network may come
// as often as the Host lets them. Who keeps the pause that we keep ourselves is
// always let in.
func TestAnAddressIsThrottled(t *testing.T) {
	for _, tt := range []struct {
		from  string
		pause time.Duration // between two links
		in    int           // of 10
	}{
		{"8.8.4.4", time.Second, 1},
		{"8.8.4.4", 16 * time.Second, 5},
		{"8.8.4.4", redialTime, 10},
		{"2001:4860::1", time.Second, 1},
		{"192.168.1.9", time.Second, 10},
		{"10.1.2.3", time.Second, 10},
		{"127.0.0.9", time.Second, 10},
		{"fe80::1", time.Second, 10},
	} {
		synctest.Test(t, func(t *testing.T) {
			th := newThrottle(inboundPause)
			in := 0
			for range 10 {
				if th.enter(netip.MustParseAddr(tt.from), time.Now()) {
					in++
				}
				time.Sleep(tt.pause)
			}
			if in != tt.in {
				t.Errorf("%s every %v: %d of 10 were let in, want %d", tt.from, tt.pause, in, tt.in)
			}
		})
	}
}

// What a throttle remembers is bounded, and addresses that find no room are let in.
func TestAThrottleForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(inboundPause)
		ip := netip.MustParseAddr("20.0.0.1")
		for range 3 {
			for range 2 * maxCallers {
				if !th.enter(ip, time.Now()) {
					t.Fatalf("%v was refused at its first attempt", ip)
				}
				ip = ip.Next()
			}
			if len(th.last) != maxCallers {
				t.Errorf("%d addresses are remembered, want %d", len(th.last), maxCallers)
			}
			time.Sleep(inboundPause)
		}
	})
}

// Whoever owns a /64 of IPv6 has one address here, and a full memory is not
// searched for each caller.
func TestAPrefixIsOneCaller(t *testing.T) {
	th := newThrottle(inboundPause)
	now := time.Now()
	if !th.enter(netip.MustParseAddr("2001:db8::1"), now) || th.enter(netip.MustParseAddr("2001:db8::ffff:2"), now) {
		t.Error("two addresses of a /64 are two callers")
	}
	if !th.enter(netip.MustParseAddr("2001:db8:0:1::1"), now) {
		t.Error("the next /64 is refused")
	}
	ip := netip.MustParseAddr("20.0.0.1")
	for range maxCallers {
		th.enter(ip, now)
		ip = ip.Next()
	}
	if later := now.Add(sweepEvery / 2); !th.swept.Equal(now) || !th.enter(ip, later) || !th.swept.Equal(now) {
		t.Errorf("searched at %v", th.swept.Sub(now))
	}
}

// A dialler that is throttled has no session, and its refusal has a reason.
func TestAThrottledDialIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, func(c *Config) { c.InboundPause = 0 })
		b := start(t, n, 2, nil)
		// Another identity behind the same address.
		d := start(t, n, 3, nil, func(c *Config) { c.Net, c.NoListen = n.Host(hostAddr(2)), true })
		if err := b.Dial(t.Context(), a.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := d.Dial(ctx, a.Addrs()[0]); err == nil {
			t.Error("a second link from the same address became a session")
		}
		refused := false
		for _, r := range wiretest.Reports[wire.Refused](a.host) {
			refused = refused || r.Reason == peer.HandshakeRate
		}
		if !refused {
			t.Errorf("the refusals are %+v, want one of %v", wiretest.Reports[wire.Refused](a.host), peer.HandshakeRate)
		}
		time.Sleep(redialTime)
		if err := d.Dial(t.Context(), a.Addrs()[0]); err != nil {
			t.Errorf("after %v: %v", redialTime, err)
		}
		for _, x := range []*running{a, b, d} {
			x.stop(t)
		}
	})
}
