package swarm

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func noDial(context.Context, peer.Addr) error { return nil }

// addrOf is the test wire's address of a peer.
func addrOf(id peer.ID, ep string) peer.Addr { return at(string(id) + "@" + ep) }

// Threat H-08: both sides dial at once; one link is left within 2 s, the one
// that the lower identity dialled, and both sides agree about it.
func TestSimultaneousDialsLeaveTheLowerIdentitysLink(t *testing.T) {
	for seed := range uint64(1000) {
		w := newWorld(t, seed)
		a := w.unit("aaa", "1.0.0.1:1000", Config{Feelers: -1}, memory{})
		b := w.unit("bbb", "2.0.0.2:1000", Config{Feelers: -1}, memory{})
		w.after(time.Duration(w.rng.IntN(200))*time.Millisecond, func() { a.step(inConnect{Req: 1, Addr: addrOf("bbb", "2.0.0.2:1000"), Self: "aaa"}) })
		w.after(time.Duration(w.rng.IntN(200))*time.Millisecond, func() { b.step(inConnect{Req: 1, Addr: addrOf("aaa", "1.0.0.1:1000"), Self: "bbb"}) })
		w.run(2 * time.Second)
		if len(a.halves) != 1 || len(b.halves) != 1 || len(a.c.order) != 1 || len(b.c.order) != 1 {
			t.Fatalf("seed %d: a has %d links, b %d; want 1 and 1", seed, len(a.halves), len(b.halves))
		}
		ha, hb := a.halves[a.c.order[0]], b.halves[b.c.order[0]]
		if ha == nil || hb == nil || ha.link != hb.link {
			t.Fatalf("seed %d: the sides keep different links", seed)
		}
		both := len(w.dials) == 2
		if both && a.c.sessions[ha.id].info.Direction != peer.Outbound {
			t.Fatalf("seed %d: the link of the higher identity stayed", seed)
		}
		for _, u := range []*unit{a, b} {
			if n := len(eventsOf[Opened](u)) - len(eventsOf[Closed](u)); n != 1 {
				t.Fatalf("seed %d: %s saw %d more Opened than Closed, want 1", seed, u.id, n)
			}
			if len(u.c.dials) != 0 || len(u.c.slots.out) != 0 {
				t.Fatalf("seed %d: %s has %d dial slots out", seed, u.id, len(u.c.slots.out))
			}
		}
	}
}

// Threat H-08, for the other rules: never two links. By first-finished one is
// left within 2 s; by address (as Ontology v1.0.0 does it) the sides may keep
// different links and lose both, but they meet again.
func TestSimultaneousDialsByOtherRulesNeverLeaveTwoLinks(t *testing.T) {
	for _, rule := range []wire.Duplicate{wire.FirstFinished, wire.PerAddress} {
		lost := 0
		for seed := range runs(300) {
			w := newWorld(t, seed)
			a := w.unit("aaa", "1.0.0.1:1000", Config{Feelers: -1, Duplicate: rule}, memory{})
			b := w.unit("bbb", "2.0.0.2:1000", Config{Feelers: -1, Duplicate: rule}, memory{})
			w.after(time.Duration(w.rng.IntN(200))*time.Millisecond, func() { a.step(inConnect{Req: 1, Addr: addrOf("bbb", "2.0.0.2:1000"), Self: "aaa"}) })
			w.after(time.Duration(w.rng.IntN(200))*time.Millisecond, func() { b.step(inConnect{Req: 1, Addr: addrOf("aaa", "1.0.0.1:1000"), Self: "bbb"}) })
			w.run(2 * time.Second)
			if len(a.halves) > 1 || len(b.halves) > 1 {
				t.Fatalf("rule %d, seed %d: %d and %d links", rule, seed, len(a.halves), len(b.halves))
			}
			if len(a.halves) == 0 {
				lost++
			}
			w.run(3 * time.Minute)
			if len(a.halves) != 1 || len(b.halves) != 1 {
				t.Errorf("rule %d, seed %d: %d and %d links three minutes later", rule, seed, len(a.halves), len(b.halves))
			}
		}
		if rule == wire.FirstFinished && lost > 0 {
			t.Errorf("both links were lost in %d runs", lost)
		}
	}
}

// Threat H-07: an address that turns out to be ours is not dialled for a day;
// a stranger that copies our identity spoils nothing.
func TestOwnAddressIsNotedForADay(t *testing.T) {
	w := newWorld(t, 1)
	self := addrOf("me", "9.0.0.9:1000") // reached through our NAT
	w.hosts[netip.MustParseAddrPort("9.0.0.9:1000")] = &remote{id: "me"}
	u := w.unit("me", "1.0.0.1:1000", Config{Seeds: []peer.Addr{at("9.0.0.9:1000")}}, memory{})
	u.step(inFound{Source: wire.SourceKademlia, Peers: []wire.FoundPeer{{Addrs: []peer.Addr{at("9.0.0.9:1000"), self}}}})
	w.run(23 * time.Hour)
	if n := len(w.dials); n != 1 {
		t.Errorf("%d dials of our own address in 23 h, want 1", n)
	}
	w.run(2 * time.Hour)
	if n := len(w.dials); n != 2 {
		t.Errorf("%d dials of our own address in 25 h, want 2", n)
	}
	if _, why := u.call("me", "5.0.0.5:999"); why != peer.Self {
		t.Errorf("a stranger with our identity: %q, want %q", why, peer.Self)
	}
	if _, noted := u.c.own[netip.MustParseAddrPort("5.0.0.5:999")]; noted {
		t.Error("a stranger's address was noted as ours")
	}
}

// Threat H-05: another network is not dialled again for a day; the address is
// kept, marked.
func TestForeignNetworkIsNotRedialledForADay(t *testing.T) {
	for _, why := range []peer.Reason{peer.WrongNetwork, peer.WrongGenesis} {
		w := newWorld(t, 2)
		w.hosts[netip.MustParseAddrPort("2.0.0.2:1000")] = &remote{id: "x", refuse: why}
		w.hosts[netip.MustParseAddrPort("3.0.0.3:1")] = &remote{id: "s", refuse: why}
		u := w.unit("me", "1.0.0.1:1000", Config{Static: []peer.Addr{addrOf("s", "3.0.0.3:1")}}, memory{})
		u.step(inFound{Source: wire.SourceKademlia, Peers: []wire.FoundPeer{{ID: "x", Addrs: []peer.Addr{addrOf("x", "2.0.0.2:1000")}}}})
		w.run(23*time.Hour + 30*time.Minute)
		if n := len(w.dials); n != 2 {
			t.Errorf("%s: %d dials in a day, want one of each", why, n)
		}
		if e := u.c.book.by[addrOf("x", "2.0.0.2:1000")]; e == nil || e.marked != why {
			t.Errorf("%s: the address is not kept with its mark: %+v", why, e)
		}
		w.run(2 * time.Hour)
		if n := len(w.dials); n < 4 {
			t.Errorf("%s: %d dials in 25 h, want another of each", why, n)
		}
		if len(eventsOf[Banned](u)) != 0 {
			t.Errorf("%s: somebody was banned", why)
		}
	}
}

// Threat H-06: the address is blamed, not the identity.
func TestWrongIdentityBlamesTheAddress(t *testing.T) {
	w := newWorld(t, 3)
	u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
	w.hosts[netip.MustParseAddrPort("2.0.0.2:1000")] = &remote{id: "other"}
	a := addrOf("x", "2.0.0.2:1000")
	u.step(inFound{Source: wire.SourceKademlia, Peers: []wire.FoundPeer{{ID: "x", Addrs: []peer.Addr{a}}}})
	w.run(time.Minute)
	if u.c.book.by[a] != nil {
		t.Error("the address is still in the book")
	}
	if len(u.c.board.by) != 0 {
		t.Errorf("somebody was charged: %v", u.c.board.by)
	}
}

// Threat E-02: however many identities are said to live at a victim's address,
// it is dialled at most once a minute.
func TestVictimIsDialledAtMostOnceAMinute(t *testing.T) {
	for _, alive := range []bool{false, true} {
		w := newWorld(t, 4)
		u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
		victim := "8.8.4.4:443"
		if alive {
			w.hosts[netip.MustParseAddrPort(victim)] = &remote{id: "web", refuse: peer.HandshakeFailed}
		}
		for i := range 2000 {
			from := peer.ID(fmt.Sprintf("liar%d", i%50))
			u.step(inFound{Source: wire.SourceExchange, From: from, Peers: []wire.FoundPeer{{Addrs: []peer.Addr{addrOf(peer.ID(fmt.Sprintf("id%d", i)), victim)}}}})
			w.run(3 * time.Second)
		}
		var last time.Time
		for _, d := range w.dials {
			if !last.IsZero() && d.at.Sub(last) < time.Minute {
				t.Fatalf("two dials of the victim within %v", d.at.Sub(last))
			}
			last = d.at
		}
	}
}

// Threat E-03.
func TestAddressesThatCannotBePeersAreDropped(t *testing.T) {
	bad := []string{
		"10.0.0.1:1000", "192.168.3.4:1000", "172.16.0.1:1000", "127.0.0.1:1000", "169.254.1.1:1000", "100.64.0.1:1000",
		"224.0.0.1:1000", "255.255.255.255:1000", "0.0.0.0:1000", "0.1.2.3:1000", "8.8.8.8:0", "8.8.8.8:22", "8.8.8.8:25",
		"[::1]:1000", "[fe80::1]:1000", "[fc00::1]:1000", "[ff02::1]:1000", "[::]:1000", "[::ffff:10.0.0.1]:1000",
	}
	never := map[string]bool{
		"224.0.0.1:1000": true, "255.255.255.255:1000": true, "0.0.0.0:1000": true, "0.1.2.3:1000": true,
		"8.8.8.8:0": true, "8.8.8.8:22": true, "8.8.8.8:25": true, "[ff02::1]:1000": true, "[::]:1000": true,
	}
	for _, private := range []bool{false, true} {
		w := newWorld(t, 5)
		u := w.unit("me", "1.0.0.1:1000", Config{AllowPrivate: private}, memory{})
		for _, s := range bad {
			u.step(inFound{Source: wire.SourceExchange, Peers: []wire.FoundPeer{{Addrs: []peer.Addr{at(s)}}}})
			if got, want := u.c.book.by[at(s)] != nil, private && !never[s]; got != want {
				t.Errorf("AllowPrivate %v: %s kept = %v, want %v", private, s, got, want)
			}
		}
		u.step(inFound{Source: wire.SourceExchange, Peers: []wire.FoundPeer{{Addrs: []peer.Addr{at("8.8.8.8:1000"), at("[2001:db8::1]:1000")}}}})
		if u.c.book.by[at("8.8.8.8:1000")] == nil || u.c.book.by[at("[2001:db8::1]:1000")] == nil {
			t.Error("public addresses were dropped")
		}
	}
}

// Threat E-04: a thousand identities in one /24.
func TestOnePrefixGetsFiveSessionsAndTenAddresses(t *testing.T) {
	w := newWorld(t, 6)
	u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
	for i := range 1000 {
		id := peer.ID(fmt.Sprintf("id%d", i))
		ep := fmt.Sprintf("7.7.7.%d:%d", i%250+1, 1000+i)
		u.call(id, ep)
		u.step(inFound{Source: wire.SourceKademlia, Peers: []wire.FoundPeer{{ID: id, Addrs: []peer.Addr{addrOf(id, ep)}}}})
		w.hosts[netip.MustParseAddrPort(ep)] = &remote{id: id}
		w.run(500 * time.Millisecond)
	}
	w.run(10 * time.Minute)
	if n := len(u.c.order); n > 5 {
		t.Errorf("%d sessions with one /24, want at most 5", n)
	}
	if n := u.c.book.len(); n > 10 {
		t.Errorf("%d addresses of one /24, want at most 10", n)
	}
	for _, b := range u.c.book.fresh {
		if len(b) > 2 {
			t.Errorf("%d addresses of one /24 in one bucket, want at most 2", len(b))
		}
	}
	for _, b := range u.c.book.proven {
		if len(b) > 2 {
			t.Errorf("%d addresses of one /24 in one tried bucket, want at most 2", len(b))
		}
	}
	if _, why := u.call("honest", "6.6.6.6:1000"); why != peer.OK {
		t.Errorf("an honest peer elsewhere: %q", why)
	}
}

// Threats E-12 and E-14: one noisy identity gets itself banned and not its
// neighbours; after five, the prefix is refused for an hour, except for whom we
// dial and whom the operator names.
func TestPrefixPaysForFiveBannedIdentities(t *testing.T) {
	w := newWorld(t, 7)
	static := addrOf("static", "7.7.7.200:1000")
	u := w.unit("me", "1.0.0.1:1000", Config{Static: []peer.Addr{static}}, memory{})
	w.run(time.Second)
	bad := func(i int) peer.Reason {
		id := peer.ID(fmt.Sprintf("bad%d", i))
		s, why := u.call(id, fmt.Sprintf("7.7.7.%d:1000", i+1))
		if why == peer.OK {
			u.step(inOffended{Sid: s, ID: id, Offense: peer.WrongBlock})
		}
		w.run(time.Minute)
		return why
	}
	for i := range 4 {
		if why := bad(i); why != peer.OK {
			t.Fatalf("identity %d: %q", i, why)
		}
	}
	if s, why := u.call("neighbour", "7.7.7.100:1000"); why != peer.OK {
		t.Errorf("a neighbour of four banned ones: %q", why)
	} else {
		defer func() {
			if u.c.sessions[s] == nil {
				t.Error("the neighbour's session was ended by the prefix ban")
			}
		}()
	}
	bad(4)
	if why := bad(5); why != peer.PrefixBanned {
		t.Errorf("the sixth identity: %q, want %q", why, peer.PrefixBanned)
	}
	if _, why := u.call("static", "7.7.7.200:1000"); why != peer.OK {
		t.Errorf("the static peer in that prefix: %q", why)
	}
	w.hosts[netip.MustParseAddrPort("7.7.7.150:1000")] = &remote{id: "dialled"}
	u.step(inConnect{Req: 9, Addr: addrOf("dialled", "7.7.7.150:1000"), Self: "me"})
	w.run(time.Second)
	if err, ok := u.replies[9]; !ok || err != nil {
		t.Errorf("dialling into that prefix: %v, %v", err, ok)
	}
	w.run(time.Hour)
	if _, why := u.call("later", "7.7.7.50:1000"); why != peer.OK {
		t.Errorf("an hour later: %q", why)
	}
}

// Threat E-11: a score outlives reconnects, and only time heals it.
func TestScoreOutlivesReconnectAndRestart(t *testing.T) {
	w := newWorld(t, 8)
	u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
	s, _ := u.call("p", "5.5.5.5:1000")
	u.step(inOffended{Sid: s, ID: "p", Offense: peer.InvalidGossip})
	for range 5 {
		u.lose(s, peer.LinkLost)
		w.run(time.Minute)
		s, _ = u.call("p", "5.5.5.5:1000")
	}
	score := func(u *unit) float64 { return u.c.board.by["id:p"].faults(w.now) }
	if got := score(u); got != -10 {
		t.Errorf("score after reconnects = %v, want -10", got)
	}
	m := u.memory()
	w.run(5 * time.Minute)
	u = w.unit("me", "1.0.0.1:1001", Config{}, m)
	if got := score(u); got < -5.1 || got > -4.9 {
		t.Errorf("score at one half-life, after a restart = %v, want -5", got)
	}
	u.call("p", "5.5.5.5:1000")
	w.run(23 * time.Hour)
	if u.c.board.by["id:p"] == nil {
		t.Error("the score was forgotten within a day")
	}
}

// The ladder of bans: 1 h, 4 h, 24 h, 24 h, across a restart.
func TestBansGrowByTheLadder(t *testing.T) {
	w := newWorld(t, 9)
	u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
	for i, want := range []time.Duration{time.Hour, 4 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
		s, why := u.call("p", "5.5.5.5:1000")
		if why != peer.OK {
			t.Fatalf("before ban %d: %q", i+1, why)
		}
		u.step(inOffended{Sid: s, ID: "p", Offense: peer.WrongBlock})
		if got := u.c.bans.by["id:p"].until.Sub(w.now); got != want {
			t.Errorf("ban %d lasts %v, want %v", i+1, got, want)
		}
		w.run(want - time.Minute)
		if _, why := u.call("p", "5.5.5.5:1000"); why != peer.Banned {
			t.Errorf("a minute before the end of ban %d: %q", i+1, why)
		}
		if i == 1 {
			m := u.memory()
			u = w.unit("me", fmt.Sprintf("1.0.0.1:%d", 2000+i), Config{}, m)
		}
		w.run(2 * time.Minute)
	}
}

// Static, trusted and protected peers are never banned: a fatal fault ends the
// session and raises an alarm.
func TestExemptPeersAreDisconnectedAndAlarmedNotBanned(t *testing.T) {
	w := newWorld(t, 10)
	u := w.unit("me", "1.0.0.1:1000", Config{Static: []peer.Addr{addrOf("s", "2.2.2.2:1")}, Trusted: []peer.Addr{addrOf("t", "3.3.3.3:1")}}, memory{})
	u.step(inProtect{Peers: map[peer.ID]bool{"v": true}})
	for _, id := range []peer.ID{"s", "t", "v"} {
		s, why := u.call(id, "5.5.5.5:1000")
		if why != peer.OK {
			t.Fatalf("%s: %q", id, why)
		}
		u.step(inOffended{Sid: s, ID: id, Offense: peer.WrongBlock})
		if u.c.sessions[s] != nil {
			t.Errorf("%s is still connected", id)
		}
		if _, why := u.call(id, "5.5.5.5:1000"); why != peer.OK {
			t.Errorf("%s may not come back: %q", id, why)
		}
	}
	if n := len(eventsOf[Banned](u)); n != 0 {
		t.Errorf("%d bans", n)
	}
	if n := len(eventsOf[Alarm](u)); n != 3 {
		t.Errorf("%d alarms, want 3", n)
	}
}
