package swarm

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func TestStaticPeersConnectAndComeBack(t *testing.T) {
	for _, queue := range []int{-1, 1, 0} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(20 * time.Millisecond)
			b := n.join(t, "b", "2.0.0.2:30303", Config{Queue: queue})
			a := n.join(t, "a", "1.0.0.1:30303", Config{Queue: queue, Static: []peer.Addr{b.addr}})
			time.Sleep(time.Second)
			if got := a.ids(); !slices.Equal(got, []peer.ID{"b"}) {
				t.Fatalf("a's peers = %v, want [b]", got)
			}
			if got := b.ids(); !slices.Equal(got, []peer.ID{"a"}) {
				t.Fatalf("b's peers = %v, want [a]", got)
			}
			b.leave()
			time.Sleep(2 * time.Minute)
			if got := a.ids(); len(got) != 0 {
				t.Fatalf("a's peers after b left = %v, want none", got)
			}
			n.join(t, "b", "2.0.0.2:30303", Config{Queue: queue})
			time.Sleep(75 * time.Second)
			if got := a.ids(); !slices.Equal(got, []peer.ID{"b"}) {
				t.Errorf("a's peers after b came back = %v, want [b]", got)
			}
			if o, c := count[Opened](a), count[Closed](a); o != 2 || c != 1 {
				t.Errorf("a saw %d opened and %d closed, want 2 and 1", o, c)
			}
		})
	}
}

// Seeds that were gone for an hour are rejoined within 75 s, and nobody is banned.
func TestSeedsGoneAnHourAreRejoinedWithin75s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(50 * time.Millisecond)
		s := n.join(t, "s", "2.0.0.2:30303", Config{})
		var nodes []*node
		for i, id := range []peer.ID{"a", "b", "c"} {
			nodes = append(nodes, n.join(t, id, host(10+i, 0, 0, 1), Config{Seeds: []peer.Addr{s.addr}}))
		}
		time.Sleep(10 * time.Second)
		s.leave()
		time.Sleep(time.Hour)
		s = n.join(t, "s", "2.0.0.2:30303", Config{})
		time.Sleep(75 * time.Second)
		if got := s.ids(); len(got) != 3 {
			t.Errorf("the seed's peers 75 s after it came back = %v, want a, b, c", got)
		}
		for _, nd := range nodes {
			if got := count[Banned](nd); got != 0 {
				t.Errorf("%s banned %d peers", nd.id, got)
			}
		}
	})
}

// Threat G-01 at this layer, and the design's thresholds: two faults of ten
// points end the session, five within ten minutes ban.
func TestSecondHighFaultDisconnectsAndFifthBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(10 * time.Millisecond)
		b := n.join(t, "b", "2.0.0.2:30303", Config{})
		a := n.join(t, "a", "1.0.0.1:30303", Config{Static: []peer.Addr{b.addr}})
		time.Sleep(time.Second)
		fault := func() {
			b.Report(wire.Offended{Session: b.session("a"), Offense: peer.InvalidGossip})
			time.Sleep(50 * time.Millisecond)
		}
		fault()
		if got := len(b.ids()); got != 1 {
			t.Fatalf("after one fault b has %d peers, want 1", got)
		}
		fault()
		if got := len(b.ids()); got != 0 {
			t.Fatalf("after two faults b has %d peers, want 0", got)
		}
		for i := 3; i <= 5; i++ {
			time.Sleep(time.Minute + 30*time.Second)
			if b.session("a") == nil {
				t.Fatalf("a did not come back before fault %d: %v", i, b.Decisions())
			}
			fault()
			if got := len(b.ids()); got != 0 {
				t.Fatalf("after fault %d b has %d peers, want 0", i, got)
			}
		}
		if got := b.Bans(); len(got) != 1 || got[0].Target.ID != "a" {
			t.Fatalf("bans = %+v, want a", got)
		}
		if why := b.Admit(wire.Link{Direction: peer.Inbound, ID: "a", Endpoint: a.ep}); why != peer.Banned {
			t.Errorf("Admit of a banned peer = %q, want %q", why, peer.Banned)
		}
		time.Sleep(time.Hour + 2*time.Minute)
		if got := len(b.ids()); got != 1 {
			t.Errorf("after the ban b has %d peers, want 1", got)
		}
	})
}

func TestConnectAnswersWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(10 * time.Millisecond)
		b := n.join(t, "b", "2.0.0.2:30303", Config{})
		a := n.join(t, "a", "1.0.0.1:30303", Config{})
		ctx := t.Context()
		if err := a.Connect(ctx, at("x@2.0.0.2:30303")); !errors.Is(err, peer.Refuse(peer.WrongIdentity)) {
			t.Errorf("Connect to the wrong identity = %v", err)
		}
		if err := a.Connect(ctx, at("c@3.0.0.3:30303")); !errors.Is(err, peer.Refuse(peer.DialFailed)) {
			t.Errorf("Connect to nobody = %v", err)
		}
		if err := a.Connect(ctx, b.addr); err != nil {
			t.Errorf("Connect = %v", err)
		}
		if err := a.Connect(ctx, b.addr); err != nil {
			t.Errorf("Connect to a connected peer = %v", err)
		}
		if err := a.Ban(ctx, ByID("b"), 10*time.Minute, "test"); err != nil {
			t.Errorf("Ban = %v", err)
		}
		if got := a.ids(); len(got) != 0 {
			t.Errorf("peers after the ban = %v", got)
		}
		if err := a.Connect(ctx, b.addr); !errors.Is(err, peer.Refuse(peer.Banned)) {
			t.Errorf("Connect to a banned peer = %v", err)
		}
		if err := a.Unban(ctx, ByID("b")); err != nil {
			t.Errorf("Unban = %v", err)
		}
		if err := a.Connect(ctx, b.addr); err != nil {
			t.Errorf("Connect after Unban = %v", err)
		}
		if err := a.Ban(ctx, ByID("a"), 0, ""); err == nil {
			t.Error("banned ourselves")
		}
		if err := a.Disconnect(ctx, "b", peer.OK); err != nil {
			t.Errorf("Disconnect = %v", err)
		}
		if err := a.Disconnect(ctx, "b", peer.OK); err == nil {
			t.Error("disconnected nobody")
		}
	})
}

func TestBansScoresAndAddressesSurviveAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(10 * time.Millisecond)
		b := n.join(t, "b", "2.0.0.2:30303", Config{})
		n.join(t, "c", "3.0.0.3:30303", Config{})
		store := &MemStore{}
		a := n.join(t, "a", "1.0.0.1:30303", Config{Store: store})
		ctx := t.Context()
		for _, to := range []peer.Addr{b.addr, at("c@3.0.0.3:30303")} {
			if err := a.Connect(ctx, to); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		a.Report(wire.Offended{Session: a.session("c"), Offense: peer.EmptyAnswer})
		a.Report(wire.Offended{Session: a.session("b"), Offense: peer.WrongBlock})
		time.Sleep(10 * time.Second) // the most that may be lost
		crash := store.Clone()
		a.leave()
		time.Sleep(20 * time.Minute)
		a = n.join(t, "a", "1.0.0.1:30303", Config{Store: crash})
		time.Sleep(5 * time.Second)
		if got := a.Bans(); len(got) != 1 || got[0].Target.ID != "b" || got[0].Until.Sub(a.now()) > 40*time.Minute {
			t.Errorf("bans after the restart = %+v, want b for 40 min less", got)
		}
		if got := a.Score("c"); got > -1.1 || got < -1.3 {
			t.Errorf("score of c after 20 min = %v, want a quarter of -5", got)
		}
		if got := a.ids(); !slices.Equal(got, []peer.ID{"c"}) {
			t.Errorf("peers 5 s after the restart = %v, want c out of the book", got)
		}
		time.Sleep(41 * time.Minute)
		if got := a.Bans(); len(got) != 0 {
			t.Errorf("bans after an hour = %+v", got)
		}
	})
}

func TestWallClockThatLiesNeitherEndsNorProlongsBans(t *testing.T) {
	for _, skew := range []time.Duration{-56 * 365 * 24 * time.Hour, 400 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(10 * time.Millisecond)
			store := &MemStore{}
			wall := &env.SkewedWall{}
			a := n.join(t, "a", "1.0.0.1:30303", Config{Store: store, Wall: wall})
			if err := a.Ban(t.Context(), ByID("b"), 0, "test"); err != nil {
				t.Fatal(err)
			}
			wall.SetSkew(skew) // while it runs
			time.Sleep(10 * time.Minute)
			if len(a.Bans()) != 1 {
				t.Fatal("a jump ended the ban")
			}
			wall.SetSkew(0)
			time.Sleep(10 * time.Second)
			a.leave()
			wall.SetSkew(skew) // while it is off
			a = n.join(t, "a", "1.0.0.1:30303", Config{Store: store, Wall: wall})
			time.Sleep(time.Second)
			if bans := a.Bans(); len(bans) != 1 {
				t.Fatalf("bans after a restart with the clock off by %v: %v", skew, bans)
			}
			time.Sleep(time.Hour)
			if bans := a.Bans(); len(bans) != 0 {
				t.Fatalf("bans an hour later: %v", bans)
			}
		})
	}
}

// Threat T-05: from the very moment of a jump, before any peer could disagree,
// and for a minute after, nobody pays for what our clock says.
func TestClockIsDoubtfulFromTheMomentOfAJump(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, 8 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			wall := &env.SkewedWall{}
			n := newNetwork(20 * time.Millisecond)
			a := n.join(t, "a", "1.0.0.1:30303", Config{Wall: wall})
			time.Sleep(time.Minute + 300*time.Millisecond)
			if a.ClockDoubtful() {
				t.Error("a right clock is doubtful")
			}
			wall.SetSkew(by)
			if !a.ClockDoubtful() {
				t.Errorf("a clock that has just jumped by %v is not doubtful", by)
			}
			time.Sleep(time.Minute)
			if !a.ClockDoubtful() {
				t.Error("less than a minute after the jump was seen, the clock is not doubtful")
			}
			time.Sleep(3 * time.Second)
			if a.ClockDoubtful() {
				t.Error("a clock that nobody disagrees with is doubtful for more than a minute")
			}
		})
	}
}

func TestRunTwiceIsAnErrorAndStopEndsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _ peer.Addr) error { <-ctx.Done(); return ctx.Err() }
		s, err := New(Config{Dial: hang, DialTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		if err := s.Run(ctx); !errors.Is(err, ErrRunning) {
			t.Errorf("second Run = %v", err)
		}
		asked := make(chan error, 1)
		go func() { asked <- s.Connect(context.Background(), at("9.9.9.9:1")) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if err := <-asked; !errors.Is(err, peer.Refuse(peer.Stopping)) {
			t.Errorf("Connect at stop = %v", err)
		}
		if err := s.Connect(context.Background(), at("9.9.9.9:1")); !errors.Is(err, peer.Refuse(peer.Stopping)) {
			t.Errorf("Connect after stop = %v", err)
		}
		if why := s.Admit(wire.Link{}); why != peer.Stopping {
			t.Errorf("Admit after stop = %q", why)
		}
	})
}

func prefixes(s ...string) (out []netip.Prefix) {
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// No record of scores and bans holds an identity of any length, so no session
// does.
func TestAnIdentityOfAnyLengthIsRefused(t *testing.T) {
	w := newWorld(t, 1)
	u := w.unit("us", "9.0.0.9:1", Config{}, memory{})
	long := peer.ID(strings.Repeat("x", maxAddrText+1))
	if _, why := u.offer(peer.Info{ID: long, Endpoint: netip.MustParseAddrPort("2.0.0.2:1")}, nil); why != peer.HandshakeFailed {
		t.Errorf("a long identity = %q, want %q", why, peer.HandshakeFailed)
	}
	if _, why := u.offer(peer.Info{ID: long[1:], Endpoint: netip.MustParseAddrPort("2.0.0.2:2")}, nil); why != peer.OK {
		t.Errorf("one at the bound = %q", why)
	}
}
