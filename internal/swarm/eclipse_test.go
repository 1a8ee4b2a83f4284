package swarm

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// runs is how often a Monte-Carlo test repeats.
func runs(full int) uint64 {
	if testing.Short() {
		return uint64(max(1, full/10))
	}
	return uint64(full)
}

// honest puts n peers into the world, each in a group of its own, whose
// sessions last about life.
func (w *world) honest(n int, life time.Duration) (addrs []peer.Addr) {
	for i := range n {
		id, ep := peer.ID(fmt.Sprintf("honest%d", i)), fmt.Sprintf("%d.%d.%d.1:30303", 20+i%60, i/60, i%250)
		r := &remote{id: id}
		if life > 0 {
			r.life = func() time.Duration { return life/2 + time.Duration(w.rng.Int64N(int64(life))) }
		}
		w.hosts[netip.MustParseAddrPort(ep)] = r
		addrs = append(addrs, addrOf(id, ep))
	}
	return addrs
}

func isHonest(id peer.ID) bool { return len(id) > 6 && id[:6] == "honest" }

func found(src wire.Source, from peer.ID, addrs ...peer.Addr) inFound {
	in := inFound{Source: src, From: from}
	for _, a := range addrs {
		_, id, _ := endpointOfAddr(a)
		in.Peers = append(in.Peers, wire.FoundPeer{ID: id, Addrs: []peer.Addr{a}})
	}
	return in
}

// Threat E-01: one source tells 100,000 fake addresses. It is believed a tenth
// of an address a second, reaches at most 64 buckets, and less than a tenth of
// our dials go to what it told.
func TestOneLiarGetsLessThanATenthOfTheDials(t *testing.T) {
	for seed := range runs(5) {
		w := newWorld(t, seed)
		w.delay = func() time.Duration { return 50 * time.Millisecond }
		addrs := w.honest(300, 30*time.Minute)
		u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
		for i := range 20 { // twenty honest peers tell fifteen addresses each
			u.call(peer.ID(fmt.Sprintf("teller%d", i)), fmt.Sprintf("%d.1.1.1:1", 100+i))
			u.step(found(wire.SourceExchange, peer.ID(fmt.Sprintf("teller%d", i)), addrs[15*i:15*i+15]...))
		}
		u.call("liar", "200.1.1.1:1")
		told := 0
		for told < 100_000 {
			var lies []peer.Addr
			for range 500 {
				lies = append(lies, at(fmt.Sprintf("fake%d@%d.%d.%d.%d:30303", told, 128+told%60, told/60%256, told/15360, 9)))
				told++
			}
			u.step(found(wire.SourceExchange, "liar", lies...))
			w.run(100 * time.Second)
		}
		fakes, buckets := 0, 0
		for _, b := range u.c.book.fresh {
			if n := slices.IndexFunc(b, func(e *entry) bool { return !isHonest(e.id) }); n >= 0 {
				buckets++
			}
			for _, e := range b {
				if !isHonest(e.id) {
					fakes++
				}
			}
		}
		if elapsed := w.now.Sub(epoch).Seconds(); float64(fakes) > creditBurst+creditRate*elapsed {
			t.Errorf("seed %d: %d fakes in the book after %.0f s", seed, fakes, elapsed)
		}
		if buckets > newPerGroup {
			t.Errorf("seed %d: the liar's addresses are in %d buckets, want at most %d", seed, buckets, newPerGroup)
		}
		dead := 0
		for _, d := range w.dials {
			if _, id, _ := endpointOfAddr(d.addr); !isHonest(id) {
				dead++
			}
		}
		if share := float64(dead) / float64(len(w.dials)); share >= 0.1 || len(w.dials) < 100 {
			t.Errorf("seed %d: %d of %d dials went to fakes", seed, dead, len(w.dials))
		}
	}
}

// Threat E-05: attackers from everywhere fill the inbound slots. The outbound
// floor stays free and 28 honest inbound peers stay.
func TestInboundFloodLeavesTheFloorAndTheUseful(t *testing.T) {
	for seed := range runs(20) {
		w := newWorld(t, seed)
		u := w.unit("me", "1.0.0.1:1000", Config{MaxPeers: 150, NoDiscovery: true}, memory{})
		for i := range 28 {
			id := peer.ID(fmt.Sprintf("honest%d", i))
			s, why := u.call(id, fmt.Sprintf("%d.1.1.1:1", 20+i))
			if why != peer.OK {
				t.Fatal(why)
			}
			note := Usefulness{RTT: time.Duration(5+i) * time.Millisecond}
			u.step(inUseful{ID: id, Note: note})
			_ = s
			w.run(time.Minute)
		}
		for i := range 3000 {
			id := peer.ID(fmt.Sprintf("evil%d", i))
			ep := fmt.Sprintf("%d.%d.%d.1:1", 60+w.rng.IntN(150), w.rng.IntN(256), w.rng.IntN(256))
			if _, why := u.call(id, ep); why == peer.OK && i%5 == 0 {
				u.step(inUseful{ID: id, Note: Usefulness{RTT: 40 * time.Millisecond, Txs: 1}})
			}
			if i%7 == 0 { // the honest relay what there is
				u.step(inUseful{ID: peer.ID(fmt.Sprintf("honest%d", w.rng.IntN(28))), Note: Usefulness{Blocks: 1, Txs: 1}})
			}
			w.run(time.Second)
		}
		n := u.c.counts()
		if n.inbound > 100 || n.all > 150 {
			t.Fatalf("seed %d: %+v", seed, n)
		}
		honest := 0
		for _, id := range u.c.order {
			if isHonest(u.c.sessions[id].info.ID) {
				honest++
			}
		}
		if honest < 20 {
			t.Errorf("seed %d: %d of 28 honest inbound peers are left", seed, honest)
		}
		for i := range 50 { // the floor is free
			id, ep := peer.ID(fmt.Sprintf("out%d", i)), fmt.Sprintf("%d.7.7.7:1", 20+i)
			w.hosts[netip.MustParseAddrPort(ep)] = &remote{id: id}
			u.step(inConnect{Req: uint64(i), Addr: addrOf(id, ep), Self: "me"})
			w.run(time.Second)
			if err := u.replies[uint64(i)]; err != nil {
				t.Fatalf("seed %d: outbound peer %d of 50: %v", seed, i, err)
			}
		}
	}
}

// Threat E-06: a restart with a book of which nine tenths are the attacker's,
// who answers every dial. The anchors are dialled first, and an honest link is
// there in every run, also where half of the anchors are gone.
func TestRestartWithAPoisonedBookFindsAnHonestPeer(t *testing.T) {
	for seed := range runs(100) {
		w := newWorld(t, seed)
		addrs := w.honest(100, 0)
		u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
		u.step(found(wire.SourceKademlia, "", addrs...))
		w.run(20 * time.Minute)
		m := u.memory()
		m.Entries = slices.DeleteFunc(m.Entries, func(e entryRecord) bool { return !isHonest(e.ID) })
		honest := len(m.Entries)
		for i := range 9 * honest {
			id, ep := peer.ID(fmt.Sprintf("evil%d", i)), fmt.Sprintf("%d.%d.%d.7:30303", 128+w.rng.IntN(70), w.rng.IntN(256), w.rng.IntN(256))
			w.hosts[netip.MustParseAddrPort(ep)] = &remote{id: id, evil: true}
			m.Entries = append(m.Entries, entryRecord{Addr: addrOf(id, ep), ID: id, Source: wire.SourceKademlia, Group: fmt.Sprintf("net:%d.0.0.0/16", i), Tried: true, OK: time.Minute})
		}
		if len(m.Anchors) != maxAnchors {
			t.Fatalf("seed %d: %d anchors, want %d", seed, len(m.Anchors), maxAnchors)
		}
		for _, a := range m.Anchors[:2] {
			ep, _, _ := endpointOfAddr(a)
			delete(w.hosts, ep)
		}
		w.dials = nil
		u = w.unit("me", "1.0.0.1:1001", Config{}, m)
		for i := range m.Anchors {
			if !slices.Contains(m.Anchors, w.dials[i].addr) {
				t.Errorf("seed %d: dial %d goes to %v, want an anchor", seed, i, w.dials[i].addr)
			}
		}
		w.run(2 * time.Minute)
		if !slices.ContainsFunc(u.outbound(), func(s *session) bool { return isHonest(s.info.ID) }) {
			t.Errorf("seed %d: no honest outbound session", seed)
		}
	}
}

// Threat E-07: two hosts in two /24s invent identities for a day. They hold few
// sessions and buckets, and most of ours stay with honest peers.
func TestTwoHostsWithEndlessIdentitiesDoNotEclipse(t *testing.T) {
	for seed := range runs(3) {
		w := newWorld(t, seed)
		addrs := w.honest(100, 2*time.Hour)
		u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
		u.step(found(wire.SourceKademlia, "", addrs...))
		for i := range 24 * 60 {
			for h := range 2 {
				id, ep := peer.ID(fmt.Sprintf("evil%d-%d", h, i)), fmt.Sprintf("6.%d.6.6:%d", h, 1000+i)
				w.hosts[netip.MustParseAddrPort(ep)] = &remote{id: id, evil: true}
				u.call(id, fmt.Sprintf("6.%d.6.6:%d", h, 20000+i))
				u.step(found(wire.SourceExchange, id, addrOf(id, ep)))
				u.step(found(wire.SourceKademlia, "", addrOf(id, ep)))
			}
			w.run(time.Minute)
		}
		evil, good := 0, 0
		for _, s := range u.c.sessions {
			if isHonest(s.info.ID) {
				good++
			} else {
				evil++
			}
		}
		if evil > 10 || good < 8 {
			t.Errorf("seed %d: %d evil and %d honest sessions after a day", seed, evil, good)
		}
		tried := map[int]bool{}
		for _, e := range u.c.book.tried {
			if !isHonest(e.id) {
				tried[e.bucket] = true
			}
		}
		if len(tried) > 2 {
			t.Errorf("seed %d: two hosts hold %d tried buckets, want at most 2", seed, len(tried))
		}
	}
}

// Threat E-08: every seed and all that the DNS list names is the attacker's.
// At most half of the outbound slots go to peers that only they vouch for.
func TestBootnodesGetAtMostHalfOfTheOutboundSlots(t *testing.T) {
	for seed := range runs(20) {
		w := newWorld(t, seed)
		var seeds, listed []peer.Addr
		for i := range 200 {
			id, ep := peer.ID(fmt.Sprintf("evil%d", i)), fmt.Sprintf("%d.%d.6.6:1000", 60+i%100, i/100)
			w.hosts[netip.MustParseAddrPort(ep)] = &remote{id: id, evil: true}
			if i < 20 {
				seeds = append(seeds, addrOf(id, ep))
			} else {
				listed = append(listed, addrOf(id, ep))
			}
		}
		u := w.unit("me", "1.0.0.1:1000", Config{Seeds: seeds}, memory{})
		u.step(found(wire.SourceDNS, "", listed...))
		want := u.c.outboundWanted(u.c.counts())
		for range 60 {
			w.run(10 * time.Second)
			if n := u.c.counts(); 2*n.seededOut > want {
				t.Fatalf("seed %d: %d of %d outbound slots with bootnode-only peers", seed, n.seededOut, want)
			}
		}
		addrs := w.honest(50, 0)
		u.step(found(wire.SourceKademlia, "", addrs...))
		w.run(2 * time.Minute)
		good := 0
		for _, s := range u.outbound() {
			if isHonest(s.info.ID) {
				good++
			}
		}
		if 2*good < want {
			t.Errorf("seed %d: %d honest of %d wanted", seed, good, want)
		}
	}
}

// Threat E-09: of a thousand addresses, 95 % are dead.
func TestMostlyDeadBookFindsEightPeersInTwoMinutes(t *testing.T) {
	for seed := range runs(50) {
		w := newWorld(t, seed)
		w.dead = 10 * time.Second // the worst: nothing answers
		addrs := w.honest(50, 0)
		for i := range 950 {
			addrs = append(addrs, at(fmt.Sprintf("gone%d@%d.%d.3.%d:30303", i, 100+i%80, i%256, i%250)))
		}
		w.rng.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
		m := memory{BookSaved: epoch}
		for i, a := range addrs {
			m.Entries = append(m.Entries, entryRecord{Addr: a, Source: wire.SourceKademlia, Group: fmt.Sprintf("g%d", i%100), OK: -1})
		}
		u := w.unit("me", "1.0.0.1:1000", Config{}, m)
		if n := u.c.book.len(); n < 900 {
			t.Fatalf("seed %d: %d addresses in the book", seed, n)
		}
		w.run(2 * time.Minute)
		if n := len(u.outbound()); n < 8 {
			t.Errorf("seed %d: %d outbound sessions after 2 min, want 8", seed, n)
		}
		for _, e := range u.events {
			if _, ok := e.(Banned); ok {
				t.Errorf("seed %d: somebody was banned", seed)
			}
		}
	}
}
