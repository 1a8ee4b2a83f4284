package swarm

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
)

// The pace of dials.
const (
	firstPause    = 5 * time.Second
	longestPause  = 60 * time.Second
	maxTargetPace = 60 * time.Second // an unproven IP address and port is dialled at most once in it
	recentFor     = time.Hour        // a lost peer is wanted back so long
	maxRecents    = 32
	maxTargets    = 8192
	maxAnchors    = 4
	holdFor       = 500 * time.Millisecond // while the wire is not listening yet
	shortLived    = 30 * time.Second       // a session that ends sooner counts as a failed dial
)

// slot is the right to have one dial under way. It is a value: whoever holds
// it gives it back once.
type slot uint32

// slotPool hands slots out.
type slotPool struct {
	free []slot
	out  map[slot]bool
}

func newSlotPool(n int) slotPool {
	p := slotPool{out: map[slot]bool{}}
	for i := n; i > 0; i-- {
		p.free = append(p.free, slot(i))
	}
	return p
}

// Reserve takes a slot, if one is free.
func (p *slotPool) Reserve() (slot, bool) {
	if len(p.free) == 0 {
		return 0, false
	}
	s := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.out[s] = true
	return s, true
}

// Release gives a slot back. It reports whether s was out.
func (p *slotPool) Release(s slot) bool {
	if !p.out[s] {
		return false
	}
	delete(p.out, s)
	p.free = append(p.free, s)
	return true
}

// dialWhy is what a dial is for.
type dialWhy uint8

const (
	whyBook dialWhy = iota
	whyFixed
	whySeed
	whyAnchor
	whyRecent
	whyRequested
	whyFeeler
)

// dial is one attempt under way.
type dial struct {
	slot     slot
	addr     peer.Addr
	ep       netip.AddrPort
	id       peer.ID
	why      dialWhy
	fixed    *fixed
	recent   *recent
	reqs     []uint64
	resolved []peer.Addr
	proven   bool // the address was proven before
	seeded   bool // only seeds and DNS lists vouch for it
	started  time.Time
	reached  bool // a session came of it, kept or not
	opened   bool // and was kept
}

// fixed is an address of the configuration.
type fixed struct {
	addr                  peer.Addr
	ep                    netip.AddrPort
	id                    peer.ID // that the address names
	learned               peer.ID // that answered there, where the address names none
	static, trusted, seed bool

	nextAt    time.Time
	fails     int
	marked    peer.Reason
	connected bool
	dialling  bool
	last      last
}

// recent is a peer that was lost and is wanted back.
type recent struct {
	addr     peer.Addr
	id       peer.ID
	until    time.Time
	nextAt   time.Time
	fails    int
	dialling bool
}

// least is the shortest pause between two dials of an address. Nobody throttles
// loopback.
func (c *core) least(addr peer.Addr) time.Duration {
	if c.cfg.MinRedial > 0 && c.cfg.Endpoint != nil {
		if ep, _, ok := c.cfg.Endpoint(addr); ok && !c.cfg.counted(ep.Addr()) {
			return 0
		}
	}
	return c.cfg.MinRedial
}

// pause is the back-off after n failures at an address: 5 s doubling to 60 s,
// give or take a fifth.
func (c *core) pause(n int, addr peer.Addr) time.Duration {
	d := longestPause
	if n < 4 {
		d = min(firstPause<<max(n, 0), longestPause)
	}
	return max(c.jitter(d), c.least(addr))
}

// soon is the pause for a peer that is wanted back: RecentRetry at most, and
// never the same twice, lest two that lost each other dial at once for ever.
func (c *core) soon(n int, addr peer.Addr) time.Duration {
	d := min(c.jitter(firstPause<<min(n, 4)), c.jitter(c.cfg.RecentRetry)*5/6)
	least := c.least(addr)
	return max(d, least+c.jitter(least)/10)
}

// backOff is the pause that an entry of the book has to keep. It depends on
// nothing but the entry and its last try, so that it can be asked again and again. One that was
// never proven waits a minute at least, and longer each time: the book is
// large, so others first.
func (c *core) backOff(e *entry) time.Duration {
	r := float64(keyed(c.book.salt, e.addr.Text, strconv.FormatInt(e.lastTry.UnixNano(), 10))%1000) / 1000
	if e.lastOK.IsZero() {
		d := min(longestPause<<min(max(e.fails-1, 0), 5), 30*time.Minute)
		return max(time.Duration(float64(d)*(1+0.2*r)), c.least(e.addr))
	}
	d := longestPause
	if e.fails < 5 {
		d = min(firstPause<<max(e.fails-1, 0), longestPause)
	}
	return max(time.Duration(float64(d)*(0.8+0.4*r)), c.least(e.addr))
}

// forEver reports whether f is dialled for as long as it is configured.
func (c *core) forEver(f *fixed) bool { return f.static || f.trusted && !c.cfg.TrustedCall }

// wants reports whether f is to be dialled at all now.
func (c *core) wants(f *fixed) bool {
	return c.forEver(f) || f.seed && len(c.sessions) < c.cfg.LowWater
}

// outboundWanted is how many outbound sessions the table aims at: the floor,
// and more while there are few sessions in all.
func (c *core) outboundWanted(n counts) int {
	want := min(max(c.cfg.floor(), 1), c.ordinaryCap())
	if short := c.cfg.LowWater - n.all; short > 0 {
		want = max(want, n.outbound+short)
	}
	if c.cfg.NoListen { // nobody can call us: what we do not dial we do not have
		want = max(want, c.ordinaryCap()*2/3)
	}
	return min(want, c.ordinaryCap())
}

// seededCap is how many outbound sessions may be with peers that only seeds
// and DNS lists vouch for.
func (c *core) seededCap(n counts) int { return max(1, c.outboundWanted(n)/2) }

// seededRoom reports whether another such peer may be dialled.
func (c *core) seededRoom(n counts) bool {
	for _, d := range c.dials {
		if d.seeded && !d.reached {
			n.seededOut++
		}
	}
	return n.seededOut < c.seededCap(n)
}

// schedule starts what is due, the most wanted first.
func (c *core) schedule(now time.Time) {
	if !c.started || c.stopping {
		return
	}
	if c.cfg.Discover != nil && !c.cfg.NoDiscovery && !c.discovering && !now.Before(c.nextDiscovery) {
		c.discovering = true
		c.do(effDiscover{})
	}
	if c.cfg.NoDial || now.Before(c.holdUntil) {
		return
	}
	c.dialWaiting(now)
	c.dialFixed(now, false)
	c.dialAnchors(now)
	c.dialRecents(now)
	c.dialFixed(now, true)
	c.dialBook(now)
	c.dialFeeler(now)
}

func (c *core) dialFixed(now time.Time, seeds bool) {
	for _, f := range c.fixed {
		if seeds == c.forEver(f) || f.connected || f.dialling || now.Before(f.nextAt) || !c.wants(f) {
			continue
		}
		why := whyFixed
		if seeds {
			why = whySeed
		}
		c.start(now, &dial{addr: f.addr, ep: f.ep, id: f.id, why: why, fixed: f, proven: true, seeded: seeds})
	}
}

// dialAnchors dials the best peers of the run before, once each, before all
// others that are not configured.
func (c *core) dialAnchors(now time.Time) {
	for len(c.anchors) > 0 {
		a := c.anchors[0]
		ep, id, _ := c.cfg.endpoint(a)
		if c.bars(now, a, ep, id) == peer.OK && !c.start(now, &dial{addr: a, ep: ep, id: id, why: whyAnchor, proven: true}) && len(c.slots.free) == 0 {
			return
		}
		c.anchors = c.anchors[1:]
	}
}

func (c *core) dialRecents(now time.Time) {
	c.recents = slices.DeleteFunc(c.recents, func(r *recent) bool { return !r.dialling && !now.Before(r.until) })
	for _, r := range c.recents {
		if r.dialling || now.Before(r.nextAt) {
			continue
		}
		if n := c.counts(); n.outbound+c.pendingOut() >= c.outboundWanted(n) {
			r.nextAt = now.Add(c.jitter(firstPause))
			continue
		}
		ep, id, _ := c.cfg.endpoint(r.addr)
		if why := c.bars(now, r.addr, ep, id); why != peer.OK || !c.start(now, &dial{addr: r.addr, ep: ep, id: r.id, why: whyRecent, recent: r, proven: true}) {
			r.nextAt = now.Add(c.jitter(firstPause))
		}
	}
}

// pendingOut is how many dials under way would fill an outbound slot.
func (c *core) pendingOut() (n int) {
	for _, d := range c.dials {
		if d.why != whyFeeler && d.why != whyFixed && !d.reached {
			n++
		}
	}
	return n
}

// dialBook fills the outbound slots from the address book. Many addresses are
// dead, so that more dials go out than slots are free.
func (c *core) dialBook(now time.Time) {
	if now.Before(c.nextPick) {
		return
	}
	spare := max(1, c.cfg.MaxDials/6) // slots left for what is configured or asked for
	for len(c.slots.free) > spare || len(c.slots.free) == c.cfg.MaxDials {
		n := c.counts()
		want := c.outboundWanted(n) - n.outbound
		if want <= 0 || c.pendingOut() >= 4*want || n.all >= c.cfg.MaxPeers {
			return
		}
		e := c.choose(now, n, false)
		if e == nil {
			c.nextPick = now.Add(tickEvery)
			return
		}
		c.start(now, &dial{addr: e.addr, ep: e.ep, id: e.id, why: whyBook, proven: !e.lastOK.IsZero()})
	}
}

// choose picks an entry that may be dialled now; at first one of a group of
// addresses that no outbound session is in.
func (c *core) choose(now time.Time, n counts, freshOnly bool) *entry {
	groups := map[string]bool{}
	for _, id := range c.order {
		if s := c.sessions[id]; !s.inbound && c.cfg.counted(s.ep.Addr()) {
			groups[subnet.Operator(s.ep.Addr()).String()] = true
		}
	}
	ok := func(e *entry) bool {
		return e.dialable(now, c.backOff) && !c.listed(e) &&
			(!e.seeded || c.seededRoom(n)) &&
			c.bars(now, e.addr, e.ep, e.id) == peer.OK &&
			c.mayTarget(now, e.ep, !e.lastOK.IsZero()) &&
			c.crowded(e.ep.Addr(), nil) == peer.OK
	}
	if len(groups) > 0 {
		if e := c.book.pick(freshOnly, func(e *entry) bool {
			return !(e.ep.IsValid() && groups[subnet.Operator(e.ep.Addr()).String()]) && ok(e)
		}); e != nil {
			return e
		}
	}
	return c.book.pick(freshOnly, ok)
}

// listed reports whether an address is dialled as a configured one, at that pace.
func (c *core) listed(e *entry) bool {
	for _, f := range c.fixed {
		if (c.forEver(f) || f.marked != peer.OK) && (f.addr == e.addr || f.ep.IsValid() && f.ep == e.ep) {
			return true
		}
	}
	return false
}

// dialFeeler tests an address now and then: a tried one that stands in the way
// of a newcomer, else a new one.
func (c *core) dialFeeler(now time.Time) {
	if c.cfg.Feelers <= 0 || now.Before(c.nextFeeler) {
		return
	}
	c.nextFeeler = now.Add(c.jitter(c.cfg.Feelers))
	n := c.counts()
	if n.outbound < c.outboundWanted(n) {
		return // ordinary dials test enough
	}
	for _, t := range c.book.tests {
		if e := c.book.by[t.old]; e != nil && c.bars(now, e.addr, e.ep, e.id) == peer.OK {
			c.start(now, &dial{addr: e.addr, ep: e.ep, id: e.id, why: whyFeeler, proven: true})
			return
		}
	}
	if e := c.choose(now, n, true); e != nil {
		c.start(now, &dial{addr: e.addr, ep: e.ep, id: e.id, why: whyFeeler, proven: !e.lastOK.IsZero()})
	}
}

// bars gives the reason for which an address is not to be dialled at all now.
func (c *core) bars(now time.Time, a peer.Addr, ep netip.AddrPort, id peer.ID) peer.Reason {
	if id != "" {
		if _, ok := c.byID[id]; ok {
			return peer.Duplicate
		}
	}
	for _, d := range c.dials {
		if d.addr == a || d.id != "" && d.id == id && c.cfg.ProvenIdentity || ep.IsValid() && d.ep == ep {
			return peer.AlreadyDialling
		}
	}
	for _, s := range c.order {
		if o := c.sessions[s]; o.addr == a || ep.IsValid() && o.ep == ep {
			return peer.Duplicate
		}
	}
	subj := c.cfg.subject(id, ep)
	if c.bans.running(subj, now) {
		return peer.Banned
	}
	if st := c.board.by[subj]; subj != "" && st != nil && st.faults(now) < c.cfg.MinScore {
		return peer.LowScore
	}
	if !ep.IsValid() {
		return peer.OK
	}
	if b := prefixBan(c.bans.prefixes, ep.Addr(), now); b != nil && !b.auto {
		return peer.PrefixBanned
	}
	if now.Before(c.own[ep]) {
		return peer.Self
	}
	if c.cfg.restricted(ep) {
		return peer.NetRestricted
	}
	return peer.OK
}

// mayTarget keeps dials from being used against a victim: an IP address and
// port that never proved to be a peer is dialled once a minute at most, over
// all identities that are said to live there, and its prefix by one dial at a time.
func (c *core) mayTarget(now time.Time, ep netip.AddrPort, proven bool) bool {
	if proven || !ep.IsValid() {
		return true
	}
	if at, ok := c.targets[ep]; ok && now.Sub(at) < maxTargetPace {
		return false
	}
	if len(c.targets) >= maxTargets {
		return false
	}
	if !c.cfg.counted(ep.Addr()) {
		return true
	}
	p := subnet.Of(ep.Addr())
	for _, d := range c.dials {
		if !d.proven && d.ep.IsValid() && p.Contains(d.ep.Addr()) {
			return false
		}
	}
	return true
}

// start begins a dial, if a slot is free and nothing bars it.
func (c *core) start(now time.Time, d *dial) bool {
	if why := c.bars(now, d.addr, d.ep, d.id); why != peer.OK && !(d.fixed != nil && why != peer.Duplicate && why != peer.AlreadyDialling && why != peer.Self && why != peer.NetRestricted) {
		if d.fixed != nil {
			if why == peer.NetRestricted || why == peer.Self {
				d.fixed.last = last{tries: d.fixed.last.tries, why: why, at: now, barred: true}
				c.notDialled(why, d.id, d.addr, "")
			}
			d.fixed.nextAt = now.Add(c.pause(3, d.addr))
		}
		return false
	}
	e := c.book.by[d.addr]
	d.seeded = d.seeded || e != nil && e.seeded && d.fixed == nil
	if d.seeded && d.why != whyRequested && !c.seededRoom(c.counts()) {
		return false
	}
	s, ok := c.slots.Reserve()
	if !ok {
		return false
	}
	d.slot, d.started = s, now
	c.dials[s] = d
	if d.fixed != nil {
		d.fixed.dialling = true
		d.fixed.nextAt = now.Add(c.pause(d.fixed.fails, d.addr)) // counted from the start, so that a slow failure does not lengthen it
	}
	if d.recent != nil {
		d.recent.dialling = true
		d.recent.nextAt = now.Add(c.soon(d.recent.fails, d.addr))
	}
	if !d.proven && d.ep.IsValid() {
		c.targets[d.ep] = now
	}
	if e != nil {
		e.lastTry = now
	}
	c.do(effDial{Slot: s, Addr: d.addr, Resolve: c.cfg.Resolve != nil && !d.ep.IsValid()})
	return true
}
