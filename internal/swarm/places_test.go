package swarm

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// guests meets a table with peers of given capabilities.
type guests struct {
	t *testing.T
	u *unit
	n int
}

func newGuests(t *testing.T, cfg Config) *guests {
	cfg.Feelers, cfg.NoDiscovery = -1, true
	return &guests{t: t, u: newWorld(t, 3).unit("me", "1.0.0.1:1000", cfg, memory{})}
}

// meet offers a session with a new peer, at an address far from all others.
func (g *guests) meet(dir peer.Direction, speaks ...string) (peer.ID, peer.Reason) {
	g.t.Helper()
	g.n++
	ep := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(11 + g.n), byte(g.n), 0, 1}), 4001)
	id := peer.ID(fmt.Sprintf("p%02d", g.n))
	_, why := g.u.offer(peer.Info{ID: id, Addr: addrOf(id, ep.String()), Endpoint: ep, Direction: dir, Proven: true, Protocols: speaks}, nil)
	return id, why
}

func (g *guests) want(dir peer.Direction, want peer.Reason, speaks ...string) {
	g.t.Helper()
	if _, why := g.meet(dir, speaks...); why != want {
		g.t.Errorf("%s peer %d that speaks %v: %q, want %q", dir, g.n, speaks, why, want)
	}
}

// When only the places are left that are kept for a capability, a peer without
// it is too many, whoever dialled, and one with it is not; the last decision
// says for what the places are kept.
func TestPlacesAreKeptForWhatPeersSpeak(t *testing.T) {
	g := newGuests(t, Config{MaxPeers: 9, MaxInbound: 6, Grace: time.Hour, Places: []wire.Places{{Capability: "snap/1", Count: 2}, {Capability: "les", Count: 1}}})
	for range 3 {
		g.want(peer.Inbound, peer.OK, "eth/68")
	}
	g.want(peer.Inbound, peer.TooManyPeers, "eth/68", "snap/2", "snap")
	for range 3 {
		g.want(peer.Outbound, peer.OK, "eth/68")
	}
	g.want(peer.Outbound, peer.TooManyPeers, "eth/68")
	d := eventsOf[Refused](g.u)
	if got := d[len(d)-1].Detail; !strings.HasSuffix(got, "2 kept for snap/1, 1 kept for les") {
		t.Errorf("the refusal says %q", got)
	}
	g.want(peer.Inbound, peer.OK, "eth/68", "snap/1")
	g.want(peer.Outbound, peer.OK, "les/4")
	g.want(peer.Inbound, peer.TooManyPeers, "les/4") // its only place is taken, and the other is not for it
	g.want(peer.Inbound, peer.OK, "snap/1")
	g.want(peer.Outbound, peer.TooManyPeers, "snap/1")

	o := g.u.c.outlook(g.u.w.now)
	if len(o.Places) != 2 || o.Places[0].Taken != 2 || o.Places[1].Taken != 1 || o.Sessions != 9 {
		t.Errorf("the outlook is %+v of %d sessions", o.Places, o.Sessions)
	}
}

// A peer in a kept place is not let go for one without the capability, while one
// that found an ordinary place is.
func TestAKeptPlaceIsNotGivenAway(t *testing.T) {
	g := newGuests(t, Config{MaxPeers: 5, MaxInbound: 4, OutboundFloor: 0.2, Places: []wire.Places{{Capability: "snap", Count: 1}}})
	kept, why := g.meet(peer.Inbound, "snap/1")
	if why != peer.OK {
		t.Fatal(why)
	}
	for range 3 {
		g.want(peer.Inbound, peer.OK, "eth/68")
	}
	g.u.w.run(time.Hour)
	for range 5 {
		g.want(peer.Inbound, peer.OK, "eth/68") // in the stead of another
		g.u.w.run(time.Minute)
	}
	if _, here := g.u.c.byID[kept]; !here {
		t.Error("the peer that speaks snap was let go")
	}
	// Its place is free when it goes, and no other takes it.
	g.u.lose(g.u.c.byID[kept], peer.LinkLost)
	g.want(peer.Outbound, peer.OK, "eth/68")
	g.want(peer.Outbound, peer.TooManyPeers, "eth/68")
	g.want(peer.Inbound, peer.OK, "snap/1")
}

// Callers are let in up to their handshake while only kept places are left,
// since before it nobody knows what they speak.
func TestTheGateLetsInForKeptPlaces(t *testing.T) {
	g := newGuests(t, Config{MaxPeers: 3, MaxInbound: 2, OutboundFloor: 1.0 / 3, Grace: time.Hour, Places: []wire.Places{{Capability: "snap", Count: 1}}})
	g.want(peer.Inbound, peer.OK, "eth/68")
	g.want(peer.Outbound, peer.OK, "eth/68")
	knock := func() peer.Reason {
		v := g.u.c.publish(g.u.w.now, nil, "me")
		why, _ := v.admit(&g.u.c.cfg, g.u.w.now, wire.Link{Direction: peer.Inbound, Endpoint: netip.MustParseAddrPort("99.1.1.1:5")})
		return why
	}
	if why := knock(); why != peer.OK {
		t.Errorf("a caller before its handshake: %q", why)
	}
	g.want(peer.Inbound, peer.OK, "snap/1")
	if why := knock(); why == peer.OK {
		t.Error("a caller is let in where nothing is left")
	}
}

// A test dial stays connected where it found somebody for a kept place.
func TestAFeelerThatFindsAKeptCapabilityStays(t *testing.T) {
	for speaks, want := range map[string]peer.Reason{"snap/1": peer.OK, "eth/68": peer.TooManyPeers} {
		g := newGuests(t, Config{MaxPeers: 9, MaxInbound: 6, Places: []wire.Places{{Capability: "snap", Count: 1}}})
		for range 3 {
			g.want(peer.Outbound, peer.OK, "eth/68")
		}
		for range 5 { // so that no more outbound ones are wanted
			g.want(peer.Inbound, peer.OK, "eth/68")
		}
		s := &session{speaks: g.u.c.cfg.speaks([]string{speaks}), info: peer.Info{ID: "feeler"}}
		if why, _ := g.u.c.makeRoom(g.u.w.now, s, &dial{why: whyFeeler}, false); why != want {
			t.Errorf("a test dial that found %s: %q, want %q", speaks, why, want)
		}
	}
}

// A peer that comes back without what its place is kept for does not take it.
func TestAReplacementDoesNotTakeAKeptPlace(t *testing.T) {
	g := newGuests(t, Config{MaxPeers: 3, MaxInbound: 2, OutboundFloor: 1.0 / 3, Grace: time.Hour, Places: []wire.Places{{Capability: "snap", Count: 1}}})
	id, _ := g.meet(peer.Inbound, "snap/1")
	g.want(peer.Inbound, peer.OK, "eth/68")
	g.want(peer.Outbound, peer.OK, "eth/68")
	g.u.w.run(time.Minute)
	ep := netip.MustParseAddrPort("12.1.0.1:4002")
	if _, why := g.u.offer(peer.Info{ID: id, Endpoint: ep, Direction: peer.Inbound, Proven: true, Protocols: []string{"eth/68"}}, nil); why != peer.TooManyPeers {
		t.Errorf("it comes back without snap: %q", why)
	}
	if _, why := g.u.offer(peer.Info{ID: id, Endpoint: ep, Direction: peer.Inbound, Proven: true, Protocols: []string{"snap/1"}}, nil); why != peer.OK {
		t.Errorf("it comes back with snap: %q", why)
	}
}

func TestPlacesThatDoNotFitAreRefused(t *testing.T) {
	for want, places := range map[string][]wire.Places{
		"names no capability":                 {{Count: 1}},
		"keeps 0 for":                         {{Capability: "snap"}},
		"twice":                               {{Capability: "snap", Count: 1}, {Capability: "snap", Count: 1}},
		"keeps 11 places, but MaxPeers 10":    {{Capability: "snap", Count: 10}, {Capability: "les", Count: 1}},
		"Places has 17 entries, want at most": make([]wire.Places, 17),
	} {
		if _, err := New(Config{Dial: noDial, MaxPeers: 10, Places: places}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", places, err, want)
		}
	}
}
