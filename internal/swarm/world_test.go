package swarm

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// world runs cores in virtual time, without goroutines: a queue of tasks, and
// hosts that a dial can reach.
type world struct {
	t     testing.TB
	now   time.Time
	rng   *rand.Rand
	tasks []task // by time, then by order of arrival
	seq   int
	hosts map[netip.AddrPort]*remote
	units map[netip.AddrPort]*unit
	delay func() time.Duration // of one crossing
	dead  time.Duration        // until a dial to nobody fails
	dials []dialed             // every dial, in order
}

type task struct {
	at  time.Time
	seq int
	do  func()
}

type dialed struct {
	at   time.Time
	from *unit
	addr peer.Addr
	why  dialWhy
}

// remote is a peer without a core of its own.
type remote struct {
	id     peer.ID
	refuse peer.Reason           // OK: it takes us
	life   func() time.Duration  // of a session; nil: for ever
	opened func(u *unit, id sid) // a session is open
	evil   bool                  // for the count
}

// unit is a core in the world.
type unit struct {
	w       *world
	c       *core
	id      peer.ID
	ep      netip.AddrPort
	next    sid
	halves  map[sid]*half
	events  []Event
	saved   map[string][]byte
	gen     int
	skew    time.Duration
	record  []recorded
	replies map[uint64]error
}

type recorded struct {
	at  time.Time
	in  input
	out []effect
}

// half is one side of a link.
type half struct {
	u     *unit
	id    sid
	other *half
	link  int
}

var epoch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, now: epoch, rng: rand.New(rand.NewPCG(seed, 1)), hosts: map[netip.AddrPort]*remote{}, units: map[netip.AddrPort]*unit{}, dead: 5 * time.Second}
	w.delay = func() time.Duration { return time.Duration(20+w.rng.IntN(60)) * time.Millisecond }
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	k := task{w.now.Add(d), w.seq, do}
	i, _ := slices.BinarySearchFunc(w.tasks, k, func(a, b task) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.seq - b.seq
	})
	w.tasks = slices.Insert(w.tasks, i, k)
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.tasks) > 0 && !w.tasks[0].at.After(end) {
		k := w.tasks[0]
		w.tasks = w.tasks[1:]
		w.now = k.at
		k.do()
	}
	w.now = end
}

// unit starts a core at an address.
func (w *world) unit(id peer.ID, ep string, cfg Config, mem memory) *unit {
	w.t.Helper()
	u := &unit{w: w, id: id, ep: netip.MustParseAddrPort(ep), halves: map[sid]*half{}, saved: map[string][]byte{}, replies: map[uint64]error{}}
	cfg.Dial = noDial
	cfg.ProvenIdentity = true
	cfg.Endpoint = endpointOfAddr
	if cfg.Seed == 0 {
		cfg.Seed = w.rng.Uint64() | 1
	}
	if cfg.Store == nil {
		cfg.Store = &MemStore{} // only tells the core to save
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		w.t.Fatal(err)
	}
	u.c = newCore(cfg, w.now, w.now, mem)
	w.units[u.ep] = u
	u.step(inTick{Wall: w.now})
	return u
}

// memory is what the unit would find after a restart.
func (u *unit) memory() memory {
	u.step(inStop{Save: true})
	var m memory
	m.Marks, _ = decodeMarks(u.saved[partStanding])
	if err := decodeBook(u.saved[partBook], &m); err != nil {
		u.w.t.Fatal(err)
	}
	return m
}

// step feeds the core and carries out what it says.
func (u *unit) step(in input) []effect {
	out := slices.Clone(u.c.Step(u.w.now, in))
	if u.record != nil {
		u.record = append(u.record, recorded{u.w.now, in, out})
	}
	u.c.board.touched = nil
	for _, e := range out {
		switch e := e.(type) {
		case effDial:
			d := u.c.dials[e.Slot]
			u.w.dials = append(u.w.dials, dialed{u.w.now, u, e.Addr, d.why})
			u.dial(e)
		case effClose:
			u.hangUp(e.Sid)
		case effEmit:
			u.events = append(u.events, e.Event)
		case effSave:
			u.saved[e.Part] = e.Data
			u.w.after(time.Millisecond, func() { u.step(inSaved{Part: e.Part, OK: true}) })
		case effDiscover:
			u.w.after(time.Second, func() { u.step(inDiscovered{OK: true}) })
		case effReply:
			u.replies[e.Req] = e.Err
		}
	}
	u.gen++
	gen := u.gen
	u.w.after(max(u.c.Next().Sub(u.w.now), time.Millisecond), func() {
		if gen == u.gen {
			u.step(inTick{Wall: u.w.now.Add(u.skew)})
		}
	})
	return out
}

// offer puts a session before the core and tells what it answered.
func (u *unit) offer(info peer.Info, other *half) (*half, peer.Reason) {
	u.next++
	h := &half{u: u, id: u.next, other: other}
	u.halves[h.id] = h
	for _, e := range u.step(inOpen{Sid: h.id, Info: info, Self: u.id}) {
		if a, ok := e.(effAnswer); ok && a.Sid == h.id {
			if a.Reason != peer.OK {
				delete(u.halves, h.id)
			}
			return h, a.Reason
		}
	}
	u.w.t.Fatal("inOpen was not answered")
	return nil, peer.OK
}

// hangUp ends our side of a link; the other side hears of it later.
func (u *unit) hangUp(id sid) {
	h := u.halves[id]
	if h == nil {
		return
	}
	delete(u.halves, id)
	u.w.after(0, func() { u.step(inClosed{Sid: id, Reason: peer.Requested}) }) // the wire's own word, late
	if o := h.other; o != nil {
		u.w.after(u.w.delay(), func() { o.u.lose(o.id, peer.ByRemote) })
	}
}

// lose is the wire's word that a link has ended.
func (u *unit) lose(id sid, why peer.Reason) {
	if u.halves[id] != nil {
		delete(u.halves, id)
		u.step(inClosed{Sid: id, Reason: why, ByRemote: true})
	}
}

// dial carries one dial out in the world.
func (u *unit) dial(e effDial) {
	w := u.w
	fail := func(why peer.Reason, remote bool) { u.step(inDialed{Slot: e.Slot, Reason: why, Remote: remote}) }
	ep, want, _ := endpointOfAddr(e.Addr)
	if to := w.units[ep]; to != nil && !to.c.stopping {
		w.after(w.delay()+w.delay(), func() { u.meet(e, to, ep) })
		return
	}
	r := w.hosts[ep]
	if r == nil {
		w.after(w.dead, func() { fail(peer.DialTimeout, false) })
		return
	}
	w.after(w.delay()+w.delay(), func() {
		switch {
		case want != "" && want != r.id:
			fail(peer.WrongIdentity, false)
		case r.refuse != peer.OK:
			fail(r.refuse, true)
		default:
			h, why := u.offer(peer.Info{ID: r.id, Addr: e.Addr, Endpoint: ep, Direction: peer.Outbound, Proven: true}, nil)
			u.step(inDialed{Slot: e.Slot, OK: why == peer.OK, Reason: why})
			if why != peer.OK {
				return
			}
			if r.opened != nil {
				r.opened(u, h.id)
			}
			if r.life != nil {
				w.after(r.life(), func() { u.lose(h.id, peer.LinkLost) })
			}
		}
	})
}

// meet is a dial between two cores: the far side decides first.
func (u *unit) meet(e effDial, to *unit, ep netip.AddrPort) {
	w := u.w
	w.seq++
	link := w.seq
	source := netip.AddrPortFrom(u.ep.Addr(), uint16(20000+w.seq%40000))
	in, why := to.offer(peer.Info{ID: u.id, Addr: at(source.String()), Endpoint: source, Direction: peer.Inbound, Proven: true}, nil)
	w.after(w.delay(), func() {
		if why != peer.OK {
			u.step(inDialed{Slot: e.Slot, Reason: why, Remote: true})
			return
		}
		out := &half{}
		h, ours := u.offer(peer.Info{ID: to.id, Addr: e.Addr, Endpoint: ep, Direction: peer.Outbound, Proven: true}, in)
		out = h
		u.step(inDialed{Slot: e.Slot, OK: ours == peer.OK, Reason: ours})
		in.link, out.link = link, link
		if ours != peer.OK {
			w.after(w.delay(), func() { to.lose(in.id, peer.ByRemote) })
			return
		}
		in.other = out
		if to.halves[in.id] == nil { // it was closed meanwhile
			w.after(w.delay(), func() { u.lose(out.id, peer.ByRemote) })
		}
	})
}

// call is an inbound session of a peer without a core.
func (u *unit) call(id peer.ID, ep string) (sid, peer.Reason) {
	h, why := u.offer(peer.Info{ID: id, Addr: at(ep), Endpoint: netip.MustParseAddrPort(ep), Direction: peer.Inbound, Proven: true}, nil)
	return h.id, why
}

// outbound lists the outbound sessions.
func (u *unit) outbound() (out []*session) {
	for _, id := range u.c.order {
		if s := u.c.sessions[id]; !s.inbound {
			out = append(out, s)
		}
	}
	return out
}

func eventsOf[E Event](u *unit) (out []E) {
	for _, e := range u.events {
		if e, ok := e.(E); ok {
			out = append(out, e)
		}
	}
	return out
}
