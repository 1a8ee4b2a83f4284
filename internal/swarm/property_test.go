package swarm

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"pgregory.net/rapid"
)

// machine throws events at a core in any order and checks what must hold.
type machine struct {
	c      *core
	now    time.Time
	wall   time.Time
	next   sid
	req    uint64
	asked  map[uint64]bool // requests without a reply
	open   map[sid]peer.ID // by the events
	record []recorded
}

func (m *machine) step(t *rapid.T, in input) []effect {
	out := slices.Clone(m.c.Step(m.now, in))
	m.record = append(m.record, recorded{m.now, in, out})
	answered := 0
	for _, e := range out {
		switch e := e.(type) {
		case effAnswer:
			answered++
		case effReply:
			if !m.asked[e.Req] {
				t.Fatalf("request %d was answered twice", e.Req)
			}
			delete(m.asked, e.Req)
		case effEmit:
			switch ev := e.Event.(type) {
			case Opened:
				for _, id := range m.open {
					if id == ev.Info.ID {
						t.Fatalf("%s was opened while open", id)
					}
				}
				m.open[e.Sid] = ev.Info.ID
			case Closed:
				if m.open[e.Sid] != ev.ID {
					t.Fatalf("%s was closed and not open", ev.ID)
				}
				delete(m.open, e.Sid)
			}
		}
	}
	if _, ok := in.(inOpen); ok && answered != 1 {
		t.Fatalf("inOpen was answered %d times", answered)
	}
	m.c.board.touched = nil
	return out
}

func (m *machine) id(t *rapid.T) peer.ID {
	return peer.ID(fmt.Sprintf("p%02d", rapid.IntRange(0, 24).Draw(t, "id")))
}

func (m *machine) ep(t *rapid.T) netip.AddrPort {
	ip := netip.AddrFrom4([4]byte{byte(rapid.IntRange(5, 9).Draw(t, "net")), 1, byte(rapid.IntRange(1, 2).Draw(t, "sub")), byte(rapid.IntRange(1, 4).Draw(t, "host"))})
	return netip.AddrPortFrom(ip, uint16(rapid.IntRange(1000, 1003).Draw(t, "port")))
}

func (m *machine) addr(t *rapid.T) peer.Addr {
	return addrOf(m.id(t), m.ep(t).String())
}

func (m *machine) ask() uint64 { m.req++; m.asked[m.req] = true; return m.req }

func (m *machine) anyDial(t *rapid.T) (slot, bool) {
	keys := sortedKeys(m.c.dials)
	if len(keys) == 0 {
		return 0, false
	}
	return keys[rapid.IntRange(0, len(keys)-1).Draw(t, "dial")], true
}

func (m *machine) anySession(t *rapid.T) sid {
	if len(m.c.order) == 0 {
		return sid(rapid.IntRange(0, 5).Draw(t, "stale"))
	}
	return m.c.order[rapid.IntRange(0, len(m.c.order)-1).Draw(t, "session")]
}

func (m *machine) check(t *rapid.T) {
	c := m.c
	n := c.counts()
	exempt := n.all - n.ordinary
	if n.ordinary > c.ordinaryCap() || n.inbound > c.cfg.MaxInbound || n.all > max(c.cfg.MaxPeers, exempt) {
		t.Fatalf("limits: %+v, max %d, inbound %d, reserved %d", n, c.cfg.MaxPeers, c.cfg.MaxInbound, c.cfg.Reserved)
	}
	// One peer may fill two places, and open two when it goes.
	if kept := c.kept(n, nil); len(c.cfg.Places) < 2 && n.ordinary+kept > c.ordinaryCap() {
		t.Fatalf("limits: %+v, %d places are kept of %d", n, kept, c.ordinaryCap())
	}
	ips, nets := map[netip.Addr]int{}, map[netip.Prefix]int{}
	for _, id := range c.order {
		s := c.sessions[id]
		if c.bans.running(s.subj, m.now) && !c.isUnbannable(s) {
			t.Fatalf("banned peer %s is connected", s.info.ID)
		}
		if c.byID[s.info.ID] != id || m.open[id] != s.info.ID {
			t.Fatalf("session %d of %s is not known to the indexes", id, s.info.ID)
		}
		if c.isExempt(s) {
			continue
		}
		if st := c.board.by[s.subj]; st != nil && st.faults(m.now) < c.cfg.MinScore {
			t.Fatalf("%s is connected with score %v", s.info.ID, st.faults(m.now))
		}
		ips[s.ep.Addr()]++
		nets[subnet.Of(s.ep.Addr())]++
		if ips[s.ep.Addr()] > c.cfg.MaxPerAddr || nets[subnet.Of(s.ep.Addr())] > c.cfg.MaxPerPrefix {
			t.Fatalf("crowd at %v", s.ep)
		}
	}
	if len(m.open) != len(c.order) || len(c.byID) != len(c.order) || len(c.sessions) != len(c.order) {
		t.Fatalf("%d open by the events, %d by id, %d in the table", len(m.open), len(c.byID), len(c.order))
	}
	if len(c.slots.out) != len(c.dials) || len(c.slots.out)+len(c.slots.free) != c.cfg.MaxDials {
		t.Fatalf("slots: %d out, %d free, %d dials, of %d", len(c.slots.out), len(c.slots.free), len(c.dials), c.cfg.MaxDials)
	}
	targets := map[netip.AddrPort]bool{}
	for _, d := range c.dials {
		if targets[d.ep] {
			t.Fatalf("two dials of %v under way", d.ep)
		}
		targets[d.ep] = true
	}
	checkBook(t, c.book)
	if got := c.Next(); !got.After(m.now.Add(-tickEvery)) || got.Sub(m.now) > tickEvery {
		t.Fatalf("Next is %v from now", got.Sub(m.now))
	}
}

type fataler interface{ Fatalf(string, ...any) }

// checkBook checks that every index of the book tells the same.
func checkBook(t fataler, b *book) {
	n, nets := 0, map[netip.Prefix]int{}
	see := func(e *entry, tried bool) {
		n++
		if b.by[e.addr] != e || e.tried != tried {
			t.Fatalf("entry %v is filed wrongly", e.addr)
		}
		if e.ep.IsValid() {
			nets[subnet.Of(e.ep.Addr())]++
		}
	}
	for i, bucket := range b.fresh {
		if len(bucket) > bucketSize {
			t.Fatalf("new bucket %d holds %d", i, len(bucket))
		}
		for _, e := range bucket {
			see(e, false)
			if g := b.groupOf[e.group]; g == nil || g.entries[e.index] != e || b.groups[g.index] != g {
				t.Fatalf("entry %v is not in its group", e.addr)
			}
		}
	}
	for i, bucket := range b.proven {
		if len(bucket) > bucketSize {
			t.Fatalf("tried bucket %d holds %d", i, len(bucket))
		}
		for _, e := range bucket {
			see(e, true)
			if b.tried[e.index] != e {
				t.Fatalf("entry %v is not in the tried list", e.addr)
			}
		}
	}
	inGroups := len(b.tried)
	for _, g := range b.groups {
		inGroups += len(g.entries)
	}
	if n != len(b.by) || inGroups != n {
		t.Fatalf("%d entries in buckets, %d in lists, %d by address", n, inGroups, len(b.by))
	}
	if !reflect.DeepEqual(nets, b.nets) {
		t.Fatalf("prefix counts %v, want %v", b.nets, nets)
	}
	for p, k := range nets {
		if k > bookPerPrefix && b.cfg.counted(p.Addr()) {
			t.Fatalf("%d addresses in %v", k, p)
		}
	}
	for id, es := range b.ids {
		if len(es) > addrsPerPeer {
			t.Fatalf("%d addresses of %s", len(es), id)
		}
	}
}

// Whatever the order of events, limits hold, no banned peer is connected,
// every slot comes back, and the same events give the same effects.
func TestAnyOrderOfEventsKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			Dial: noDial, Endpoint: endpointOfAddr, Seed: rapid.Uint64Range(1, 1<<60).Draw(t, "seed"), Store: &MemStore{}, Ping: pingAlways,
			MaxPeers: rapid.IntRange(2, 12).Draw(t, "peers"), MaxDials: rapid.IntRange(1, 6).Draw(t, "dials"),
			ProvenIdentity: rapid.Bool().Draw(t, "proven"), Duplicate: wire.Duplicate(rapid.IntRange(0, 2).Draw(t, "rule")),
			Feelers: 7 * time.Second, MaxPerAddr: 2, MaxPerPrefix: 3,
			Static: []peer.Addr{addrOf("p00", "5.1.1.1:1000")}, Seeds: []peer.Addr{addrOf("p01", "6.1.1.1:1001")},
		}
		cfg.Reserved = rapid.IntRange(0, cfg.MaxPeers/3).Draw(t, "reserved")
		if k := rapid.IntRange(0, cfg.MaxPeers-cfg.Reserved-1).Draw(t, "kept"); k > 0 {
			cfg.Places = []wire.Places{{Capability: "a", Count: k}}
			if rapid.Bool().Draw(t, "both") && k+1 < cfg.MaxPeers-cfg.Reserved {
				cfg.Places = append(cfg.Places, wire.Places{Capability: "b/1", Count: 1})
			}
		}
		cfg = cfg.withDefaults()
		if err := cfg.validate(); err != nil {
			t.Fatal(err)
		}
		m := &machine{c: newCore(cfg, epoch, epoch, memory{}), now: epoch, wall: epoch, asked: map[uint64]bool{}, open: map[sid]peer.ID{}}
		tick := func(t *rapid.T) {
			d := time.Duration(rapid.IntRange(0, 4).Draw(t, "s")) * []time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour}[rapid.IntRange(0, 3).Draw(t, "unit")]
			m.now, m.wall = m.now.Add(d), m.wall.Add(d)
			if rapid.IntRange(0, 20).Draw(t, "jump") == 0 {
				m.wall = m.wall.Add(time.Duration(rapid.IntRange(-9999, 9999).Draw(t, "by")) * time.Second)
			}
			m.step(t, inTick{Wall: m.wall})
		}
		open := func(t *rapid.T) {
			m.next++
			info := peer.Info{ID: m.id(t), Endpoint: m.ep(t), Direction: peer.Direction(rapid.IntRange(0, 1).Draw(t, "dir"))}
			info.Addr = addrOf(info.ID, info.Endpoint.String())
			info.Protocols = rapid.SampledFrom([][]string{nil, {"a/1"}, {"b/1"}, {"a/2", "b/1"}}).Draw(t, "speaks")
			if k, ok := m.anyDial(t); ok && info.Direction == peer.Outbound && rapid.Bool().Draw(t, "dialled") {
				info.Addr, info.Endpoint = m.c.dials[k].addr, m.c.dials[k].ep
				if id := m.c.dials[k].id; id != "" && rapid.IntRange(0, 5).Draw(t, "who") > 0 {
					info.ID = id
				}
			}
			m.step(t, inOpen{Sid: m.next, Info: info, Self: "p24"})
		}
		offenses := peer.Offenses()
		slices.Sort(offenses)
		reasons := []peer.Reason{peer.OK, peer.DialFailed, peer.TooManyPeers, peer.WrongGenesis, peer.Self, peer.WrongIdentity, peer.Banned, peer.Duplicate, peer.Stopping}
		t.Repeat(map[string]func(*rapid.T){
			"":      m.check,
			"tick":  tick,
			"tick2": tick,
			"open":  open,
			"open2": open,
			"closed": func(t *rapid.T) {
				m.step(t, inClosed{Sid: m.anySession(t), Reason: peer.LinkLost, ByRemote: rapid.Bool().Draw(t, "remote")})
			},
			"dialed": func(t *rapid.T) {
				if k, ok := m.anyDial(t); ok {
					why := rapid.SampledFrom(reasons).Draw(t, "why")
					m.step(t, inDialed{Slot: k, OK: why == peer.OK, Reason: why, Remote: rapid.Bool().Draw(t, "remote")})
				}
			},
			"resolved": func(t *rapid.T) {
				if k, ok := m.anyDial(t); ok {
					m.step(t, inResolved{Slot: k, Addrs: []peer.Addr{m.addr(t)}})
				}
			},
			"offended": func(t *rapid.T) {
				m.step(t, inOffended{Sid: m.anySession(t), ID: m.id(t), Endpoint: m.ep(t), Offense: rapid.SampledFrom(offenses).Draw(t, "offense")})
			},
			"found": func(t *rapid.T) {
				m.step(t, found(wire.SourceExchange, m.id(t), m.addr(t), m.addr(t), m.addr(t), m.addr(t)))
			},
			"useful": func(t *rapid.T) {
				m.step(t, inUseful{ID: m.id(t), Note: Usefulness{Blocks: rapid.IntRange(0, 2).Draw(t, "blocks"), RTT: time.Millisecond}})
			},
			"pong": func(t *rapid.T) {
				m.step(t, inPong{Sid: m.anySession(t), OK: rapid.Bool().Draw(t, "ok"), RTT: time.Millisecond})
			},
			"skewed": func(t *rapid.T) {
				m.step(t, inSkewed{Sid: m.anySession(t), Skew: time.Duration(rapid.IntRange(-30, 30).Draw(t, "skew")) * time.Second})
			},
			"connect": func(t *rapid.T) { m.step(t, inConnect{Req: m.ask(), Addr: m.addr(t), Self: "p24"}) },
			"configure": func(t *rapid.T) {
				m.step(t, inConfigure{Req: m.ask(), List: list(rapid.IntRange(0, 2).Draw(t, "list")), Addr: m.addr(t), Off: rapid.Bool().Draw(t, "off")})
			},
			"unconfigure": func(t *rapid.T) {
				f := m.c.fixed
				if len(f) > 0 {
					a := f[rapid.IntRange(0, len(f)-1).Draw(t, "which")].addr
					m.step(t, inConfigure{Req: m.ask(), List: list(rapid.IntRange(0, 2).Draw(t, "list")), Addr: a, Off: true})
				}
			},
			"protect": func(t *rapid.T) {
				m.step(t, inProtect{Peers: map[peer.ID]bool{m.id(t): rapid.Bool().Draw(t, "on")}})
			},
			"disconnect": func(t *rapid.T) { m.step(t, inDisconnect{Req: m.ask(), ID: m.id(t)}) },
			"ban": func(t *rapid.T) {
				target := ByID(m.id(t))
				if rapid.Bool().Draw(t, "prefix") {
					target = ByPrefix(netip.PrefixFrom(m.ep(t).Addr(), rapid.IntRange(8, 32).Draw(t, "bits")))
				}
				m.step(t, inBan{Req: m.ask(), Target: target, For: time.Duration(rapid.IntRange(0, 60).Draw(t, "min")) * time.Minute, Self: "p24"})
			},
			"unban":      func(t *rapid.T) { m.step(t, inUnban{Req: m.ask(), Target: ByID(m.id(t))}) },
			"lost":       func(t *rapid.T) { m.step(t, inLost{ID: m.id(t)}) },
			"discovered": func(t *rapid.T) { m.step(t, inDiscovered{OK: true}) },
			"saved":      func(t *rapid.T) { m.step(t, inSaved{Part: partBook, OK: rapid.Bool().Draw(t, "ok")}) },
		})
		m.step(t, inStop{})
		for _, k := range sortedKeys(m.c.dials) {
			m.step(t, inDialed{Slot: k, Reason: peer.Stopping})
		}
		m.check(t)
		if len(m.c.slots.out) != 0 || len(m.c.dials) != 0 {
			t.Fatalf("%d slots did not come back", len(m.c.slots.out))
		}
		if len(m.asked) != 0 {
			t.Fatalf("%d requests were never answered", len(m.asked))
		}

		again := newCore(cfg, epoch, epoch, memory{})
		for i, r := range m.record {
			got := again.Step(r.at, r.in)
			if len(got) != len(r.out) || len(got) > 0 && !reflect.DeepEqual(got, r.out) {
				t.Fatalf("replay, event %d %T: effects differ:\n%v\n%v", i, r.in, got, r.out)
			}
			again.board.touched = nil
		}
	})
}
