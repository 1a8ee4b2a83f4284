package swarm

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
)

// core is every fact about peers and every rule about them. One goroutine owns
// it. It does no I/O and reads no clock: Step is told the time.
type core struct {
	cfg  Config
	rng  *rand.Rand
	book *book

	board board
	bans  banTable
	clock clockGuard
	slots slotPool

	sessions map[sid]*session
	order    []sid // ascending
	byID     map[peer.ID]sid

	dials    map[slot]*dial
	fixed    []*fixed                     // static, trusted and seed addresses
	recents  []*recent                    // lost peers that we want back
	anchors  []peer.Addr                  // to be dialled first
	lastGood []peer.Addr                  // anchors of the run before, while there are no better
	own      map[netip.AddrPort]time.Time // addresses that turned out to be ours, until when
	targets  map[netip.AddrPort]time.Time // last dial of an unproven address there
	waiting  []inConnect                  // requests that wait for a slot

	protected map[peer.ID]bool

	started, stopping bool
	lastTick          time.Time
	nextSweep         time.Time
	nextAge           time.Time
	holdUntil         time.Time // before it, the wire is not ready to dial
	nextPick          time.Time // before it, the book has nothing to dial
	nextFeeler        time.Time
	nextRotate        time.Time
	nextDiscovery     time.Time
	discovering       bool
	saved             map[string]time.Time
	saving            map[string]bool
	marksDirty        bool

	tally tally

	peersChanged bool // since the shell last looked
	out          []effect
}

// newCore builds a core from a valid config with its defaults, and what was
// saved. now is the core's clock, wall the time of day at that moment.
func newCore(cfg Config, now, wall time.Time, mem memory) *core {
	c := &core{
		cfg:       cfg,
		rng:       env.NewRand(cfg.Seed),
		board:     newBoard(),
		bans:      newBanTable(),
		slots:     newSlotPool(cfg.MaxDials),
		sessions:  map[sid]*session{},
		byID:      map[peer.ID]sid{},
		dials:     map[slot]*dial{},
		own:       map[netip.AddrPort]time.Time{},
		targets:   map[netip.AddrPort]time.Time{},
		protected: map[peer.ID]bool{},
		saved:     map[string]time.Time{},
		saving:    map[string]bool{},
		lastTick:  now,
	}
	c.clock = newClockGuard(now, wall)
	if mem.Salt == [16]byte{} {
		for i := range mem.Salt {
			mem.Salt[i] = byte(c.rng.Uint32())
		}
	}
	c.book = newBook(&c.cfg, mem.Salt, c.rng)
	for _, a := range cfg.Trusted {
		c.addFixed(now, listTrusted, a)
	}
	for _, a := range cfg.Static {
		c.addFixed(now, listStatic, a)
	}
	for _, a := range cfg.Seeds {
		c.addFixed(now, listSeeds, a)
	}
	c.recall(now, wall, mem)
	c.nextDiscovery = now.Add(cfg.DiscoveryDelay)
	if cfg.Feelers > 0 {
		c.nextFeeler = now.Add(c.jitter(cfg.Feelers))
	}
	c.nextRotate = now.Add(c.jitter(rotateEvery))
	return c
}

// Step takes one event in and says what is to be done, in order. The slice is
// the caller's until the next Step.
func (c *core) Step(now time.Time, ev input) []effect {
	c.out = c.out[:0]
	switch ev := ev.(type) {
	case inTick:
		c.tick(now, ev.Wall)
	case inOpen:
		c.open(now, ev)
	case inClosed:
		if s := c.sessions[ev.Sid]; s != nil {
			c.drop(now, s, ev.Reason, ev.ByRemote, false)
		}
	case inOffended:
		c.offended(now, ev)
	case inFound:
		c.found(now, ev)
	case inLost:
		c.lost(now, ev.ID)
	case inRefused:
		c.refused(ev)
	case inClaimed:
		if s := c.sessions[ev.Sid]; s != nil {
			s.head = ev.Head
			c.emit(Claimed{ID: s.info.ID, Head: ev.Head})
		}
	case inTopic:
		c.emit(TopicChanged(ev))
	case inDropped:
		c.emit(Dropped(ev))
	case inSkewed:
		if s := c.sessions[ev.Sid]; s != nil {
			c.skewed(now, s, ev.Skew)
		}
	case inUseful:
		c.useful(now, ev)
	case inResolved:
		if d := c.dials[ev.Slot]; d != nil {
			d.resolved = ev.Addrs
		}
	case inDialed:
		c.dialed(now, ev)
	case inPong:
		c.pong(now, ev)
	case inDiscovered:
		c.discovering = false
		c.tally.rounds++
		if !ev.OK {
			c.tally.failedRounds++
		}
		c.nextDiscovery = now.Add(c.jitter(c.cfg.DiscoveryInterval))
	case inSaved:
		c.saving[ev.Part] = false
		if !ev.OK {
			c.unsaved(ev.Part)
			c.emit(Alarm{Kind: "store", Detail: "could not save " + ev.Part})
		}
	case inConnect:
		c.connect(now, ev)
	case inConfigure:
		c.configure(now, ev)
	case inProtect:
		c.protect(now, ev)
	case inDisconnect:
		c.disconnect(now, ev)
	case inBan:
		c.banByHand(now, ev)
	case inUnban:
		c.unbanByHand(now, ev)
	case inStop:
		c.stop(now, ev)
	}
	if !c.stopping {
		c.schedule(now)
		c.flush(now)
	}
	return c.out
}

// Next is when the core wants an inTick, never zero.
func (c *core) Next() time.Time {
	at := c.lastTick.Add(tickEvery)
	sooner := func(t time.Time) {
		if t.After(c.lastTick) && t.Before(at) { // what was due before has had its chance
			at = t
		}
	}
	if c.stopping {
		return at
	}
	if !c.cfg.NoDial {
		sooner(c.holdUntil)
		for _, f := range c.fixed {
			if !f.connected && !f.dialling && c.wants(f) {
				sooner(f.nextAt)
			}
		}
		for _, r := range c.recents {
			if !r.dialling {
				sooner(r.nextAt)
			}
		}
	}
	if !c.discovering && c.cfg.Discover != nil && !c.cfg.NoDiscovery {
		sooner(c.nextDiscovery)
	}
	if c.marksDirty && !c.saving[partStanding] {
		sooner(c.saved[partStanding].Add(c.cfg.FlushEvery))
	}
	return at
}

func (c *core) do(e effect)  { c.out = append(c.out, e) }
func (c *core) emit(e Event) { c.out = append(c.out, effEmit{Event: e}) }

func (c *core) note(k Kind, r peer.Reason, id peer.ID, a peer.Addr, byRemote bool, detail string) {
	c.out = append(c.out, effNote{Decision{Kind: k, Reason: r, ID: id, Addr: a, ByRemote: byRemote, Detail: detail}})
}

// notDialled tells that an address which somebody named is not dialled.
func (c *core) notDialled(r peer.Reason, id peer.ID, a peer.Addr, detail string) {
	if len(a.Text) > maxAddrText {
		a.Text = a.Text[:maxAddrText]
	}
	c.note(KindNotDialled, r, id, a, false, detail)
	c.emit(NotDialled{ID: id, Addr: a, Reason: r, Detail: detail})
}

// jitter is d, give or take a fifth.
func (c *core) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*c.rng.Float64()))
}

func (c *core) tick(now, wall time.Time) {
	c.started = true
	c.watchClock(now, wall)
	c.lastTick = now
	c.pingAll(now)
	if now.Before(c.nextSweep) {
		return
	}
	c.nextSweep = now.Add(sweepEvery)
	for _, t := range c.bans.expire(now) {
		c.marksDirty = true
		c.emit(Unbanned{Target: t, Auto: true})
	}
	if !now.Before(c.nextAge) {
		c.nextAge = now.Add(ageEvery)
		connected := make(map[subject]bool, len(c.order))
		for _, s := range c.order {
			connected[c.sessions[s].subj] = true
		}
		if c.board.expire(now, c.cfg.MinScore, connected) {
			c.bans.changed = true
		}
		for _, s := range c.order {
			c.sessions[s].age()
		}
	}
	for ep, until := range c.own { // order does not matter
		if !now.Before(until) {
			delete(c.own, ep)
		}
	}
	for ep, at := range c.targets { // order does not matter
		if now.Sub(at) >= maxTargetPace {
			delete(c.targets, ep)
		}
	}
	c.clock.expire(now)
	c.judgeClock(now)
}

// lost takes discovery's word that a peer is gone: its unproven addresses wait
// longer. A session is never ended on such a word.
func (c *core) lost(now time.Time, id peer.ID) {
	if _, ok := c.byID[id]; !ok {
		for _, e := range slices.Clone(c.book.ids[id]) {
			if !e.tried {
				c.book.failed(now, e)
			}
		}
	}
	c.emit(Lost{ID: id})
}

// refused books what a wire says about a link that never became a session. It
// is no fault of the identity; the gate has counted it against the address.
func (c *core) refused(ev inRefused) {
	c.note(KindRefused, ev.Reason, ev.Link.ID, ev.Link.Addr, ev.Remote, ev.Detail)
	// Links that were refused before the handshake are only counted: anybody
	// can open those without end.
	if l := ev.Link; l.ID != "" {
		c.emit(Refused{ID: l.ID, Addr: l.Addr, Endpoint: clean(l.Endpoint), Direction: l.Direction, Reason: ev.Reason, ByRemote: ev.Remote, Detail: ev.Detail})
	}
}

func (c *core) stop(now time.Time, ev inStop) {
	c.stopping = true
	if ev.Save {
		c.saveAll(now)
	}
	for _, w := range c.waiting {
		c.do(effReply{Req: w.Req, Err: peer.Refuse(peer.Stopping)})
	}
	c.waiting = nil
}
