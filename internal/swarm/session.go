package swarm

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// session is one peer in the table.
type session struct {
	id   sid
	info peer.Info
	subj subject
	ep   netip.AddrPort

	inbound bool // which kind of slot it holds; a replacement inherits it
	fixed   *fixed
	addr    peer.Addr // what we dialled, as the book knows it; zero for inbound
	seeded  bool      // only seeds and DNS lists vouch for it
	asked   bool      // by the embedder or the operator
	named   bool      // static or trusted
	speaks  []bool    // which of Config.Places are kept for it
	opened  time.Time
	grp     string // address group
	rank    uint64 // the group's place in a secret order

	head       uint64
	rtt        time.Duration // smallest seen; 0: unknown
	blocks     float64       // delivered, decaying by half in ten minutes
	txs        float64
	lastUseful time.Time
	lastBlock  time.Time
	lastTx     time.Time

	pingAt  time.Time
	pinging bool
	misses  int
}

// stale is how old a session must be for a new link of the same peer to prove
// that the peer has lost it.
const stale = 30 * time.Second

// crossing is how close together the two ends of a simultaneous dial finish.
const crossing = 2 * time.Second

// age halves what counts as delivered; it is called every ageEvery.
func (s *session) age() { s.blocks /= 2; s.txs /= 2 }

// isExempt reports whether limits, trimming and min_score spare the peer.
func (c *core) isExempt(s *session) bool {
	return c.protected[s.info.ID] || c.configured(s)
}

// isUnbannable is isExempt, for bans: a claim of an identity is not enough.
func (c *core) isUnbannable(s *session) bool {
	return c.configured(s) || c.cfg.ProvenIdentity && c.protected[s.info.ID]
}

// configured reports whether the operator has named the peer as static or
// trusted. For a session of the table it is kept, since limits ask for it often.
func (c *core) configured(s *session) bool {
	if c.sessions[s.id] == s {
		return s.named
	}
	return c.isNamed(s)
}

// renameAll looks again who is named by the configuration.
func (c *core) renameAll() {
	for _, id := range c.order {
		s := c.sessions[id]
		s.named = c.isNamed(s)
	}
}

func (c *core) isNamed(s *session) bool {
	for _, f := range c.fixed {
		if (f.static || f.trusted) && (s.fixed == f || c.isFixed(f, s.info.ID, s.ep)) {
			return true
		}
	}
	return false
}

// isFixed reports whether a peer is the one that f names.
func (c *core) isFixed(f *fixed, id peer.ID, ep netip.AddrPort) bool {
	if c.cfg.ProvenIdentity {
		return id != "" && (f.id == id || f.id == "" && f.learned == id)
	}
	if !ep.IsValid() || !f.ep.IsValid() || f.ep.Addr() != ep.Addr() {
		return false
	}
	return c.cfg.counted(ep.Addr()) || f.ep.Port() == ep.Port()
}

// open decides about a session that a wire offers.
func (c *core) open(now time.Time, in inOpen) {
	info := in.Info
	info.Endpoint = clean(info.Endpoint)
	if len(info.Listen) > maxListen {
		info.Listen = info.Listen[:maxListen]
	}
	s := &session{
		id: in.Sid, info: info, ep: info.Endpoint, subj: c.cfg.subject(info.ID, info.Endpoint),
		inbound: info.Direction == peer.Inbound, opened: now, pingAt: now.Add(c.jitter(c.cfg.KeepAlive)),
		lastUseful: now, speaks: c.cfg.speaks(info.Protocols),
	}
	var d *dial
	if !s.inbound {
		s.addr = info.Addr
		if d = c.dialOf(info); d != nil {
			s.addr, s.fixed, s.asked = d.addr, d.fixed, d.why == whyRequested
			s.seeded = d.seeded
			d.reached = true
			if d.fixed != nil && d.fixed.id == "" && c.cfg.ProvenIdentity && info.ID != in.Self {
				d.fixed.learned = info.ID
			}
		}
		if e := c.book.by[s.addr]; e != nil {
			s.seeded = s.seeded || e.seeded
		}
	}
	if s.fixed == nil {
		for _, f := range c.fixed {
			if c.isFixed(f, info.ID, s.ep) {
				s.fixed = f
				s.seeded = s.seeded || !f.static && !f.trusted
				break
			}
		}
	}
	old, why, detail := c.judge(now, s, d, in)
	if why != peer.OK {
		c.do(effAnswer{Sid: s.id, Reason: why, Detail: detail})
		c.note(KindRefused, why, info.ID, info.Addr, false, detail)
		c.emit(Refused{ID: info.ID, Addr: info.Addr, Endpoint: s.ep, Direction: info.Direction, Reason: why, Detail: detail})
		return
	}
	if old != nil {
		s.inbound = old.inbound // it takes over the slot, so that limits hold
		s.blocks, s.txs, s.rtt = old.blocks, old.txs, old.rtt
		c.drop(now, old, peer.Duplicate, false, true)
	}
	c.admit(now, s, d)
}

// judge gives the reason against a session, or the session that it replaces.
func (c *core) judge(now time.Time, s *session, d *dial, in inOpen) (old *session, why peer.Reason, detail string) {
	exempt := c.isExempt(s)
	switch {
	case c.stopping:
		return nil, peer.Stopping, ""
	case s.info.ID == "":
		return nil, peer.HandshakeFailed, "no identity"
	case len(s.info.ID) > maxAddrText: // no record holds it
		return nil, peer.HandshakeFailed, fmt.Sprintf("an identity of %d bytes, want at most %d", len(s.info.ID), maxAddrText)
	case s.info.ID == in.Self:
		if !s.inbound && s.ep.IsValid() && (c.cfg.ProvenIdentity || d != nil) {
			c.noteOwn(now, s.ep)
		}
		return nil, peer.Self, ""
	case s.inbound && c.cfg.NoListen:
		return nil, peer.ListeningOff, ""
	case !s.inbound && c.cfg.NoDial:
		return nil, peer.DiallingOff, ""
	case c.cfg.restricted(s.ep):
		return nil, peer.NetRestricted, s.ep.Addr().String()
	}
	if !s.inbound {
		if _, want, _ := c.cfg.endpoint(s.info.Addr); want != "" && want != s.info.ID {
			return nil, peer.WrongIdentity, fmt.Sprintf("got %s, want %s", s.info.ID.Short(), want.Short())
		}
	}
	if !exempt || !c.isUnbannable(s) {
		if c.bans.running(s.subj, now) {
			return nil, peer.Banned, ""
		}
		if c.prefixBars(s, now) {
			return nil, peer.PrefixBanned, ""
		}
		if st := c.board.by[s.subj]; st != nil && st.faults(now) < c.cfg.MinScore {
			return nil, peer.LowScore, fmt.Sprintf("%.0f is below %.0f", st.faults(now), c.cfg.MinScore)
		}
	}
	if id, ok := c.byID[s.info.ID]; ok {
		old = c.sessions[id]
		if !c.replaces(now, s, old, in.Self) {
			return nil, peer.Duplicate, ""
		}
		if !exempt && s.ep.IsValid() {
			if why := c.crowded(s.ep.Addr(), old); why != peer.OK {
				return nil, why, s.ep.Addr().String()
			}
		}
		if !exempt && c.vacates(old, s) {
			return nil, peer.TooManyPeers, "the place of its old session is kept for others"
		}
		return old, peer.OK, ""
	}
	why, detail = c.makeRoom(now, s, d, exempt)
	return nil, why, detail
}

// prefixBars reports whether a prefix ban keeps s out: those by hand keep
// everybody out, those by rule only strangers that call us.
func (c *core) prefixBars(s *session, now time.Time) bool {
	if !s.ep.IsValid() {
		return false
	}
	b := prefixBan(c.bans.prefixes, s.ep.Addr(), now)
	return b != nil && (!b.auto || s.inbound)
}

// replaces says which of two links to one peer stays: whether the newcomer does.
func (c *core) replaces(now time.Time, s, old *session, self peer.ID) bool {
	if c.cfg.Duplicate == wire.PerAddress {
		// The identity is a claim: only the same address may replace its own.
		return s.ep.IsValid() && s.ep.Addr() == old.ep.Addr()
	}
	in, oldIn := s.info.Direction == peer.Inbound, old.info.Direction == peer.Inbound
	if in && now.Sub(old.opened) >= stale {
		return true // it called again, so it has lost the old link
	}
	if in == oldIn {
		return false
	}
	if c.cfg.Duplicate == wire.FirstFinished && now.Sub(old.opened) >= crossing {
		return false // the first to finish stays
	}
	// Two links that cross can finish in different orders at the two ends, and
	// each end would then close the link that the other keeps. So crossing
	// links follow one order that both ends know, by either rule. (A peer that
	// only knows "first" never lets its second link come as far as here.)
	// The link that the lower identity dialled stays, whichever came first.
	return (self < s.info.ID) == !in
}

// admit takes s into the table.
func (c *core) admit(now time.Time, s *session, d *dial) {
	if s.info.Direction == peer.Inbound {
		c.tally.admitted++
		c.tally.lastAdmitted = now
	}
	s.named = c.isNamed(s)
	s.grp = s.findGroup()
	s.rank = keyed(c.book.salt, "netgroup", s.grp)
	c.sessions[s.id] = s
	c.order = append(c.order, s.id)
	slices.Sort(c.order)
	c.byID[s.info.ID] = s.id
	c.peersChanged = true
	if s.fixed != nil {
		s.fixed.connected = true
	}
	if d != nil {
		d.opened = true
	} else if e := c.book.by[s.addr]; e != nil && !s.addr.IsZero() {
		c.book.succeeded(now, e)
	}
	c.recents = slices.DeleteFunc(c.recents, func(r *recent) bool { return r.id == s.info.ID })
	c.learn(now, s)
	if st := c.board.by[s.subj]; st != nil {
		st.seen = now
	}
	c.out = append(c.out, effEmit{Event: Opened{Info: s.info}, Sid: s.id})
	c.do(effAnswer{Sid: s.id})
}

// drop takes s out of the table. tell: it is our decision, so the link must be
// closed; otherwise the wire has said that it is.
func (c *core) drop(now time.Time, s *session, why peer.Reason, byRemote, tell bool) {
	delete(c.sessions, s.id)
	if i, ok := slices.BinarySearch(c.order, s.id); ok {
		c.order = slices.Delete(c.order, i, i+1)
	}
	if c.byID[s.info.ID] == s.id {
		delete(c.byID, s.info.ID)
	}
	c.peersChanged = true
	detail := ""
	if tell {
		c.do(effClose{Sid: s.id, Reason: why})
		detail = c.whyDropped(now, s, why)
	}
	c.out = append(c.out, effEmit{Event: Closed{ID: s.info.ID, Reason: why, ByRemote: byRemote, Detail: detail}, Sid: s.id})
	c.note(KindDropped, why, s.info.ID, s.info.Addr, byRemote, detail)
	c.clock.leave(s.subj, now)
	c.judgeClock(now)
	if st := c.board.by[s.subj]; st != nil {
		st.seen = now
		c.marksDirty = true
	}
	for _, f := range c.fixed {
		if f.connected && (s.fixed == f || c.isFixed(f, s.info.ID, s.ep)) {
			f.connected = false
			c.backAfterLoss(now, f, s)
		}
	}
	c.wantBack(now, s, why, byRemote, tell)
}

// whyDropped is what a reason of ours rests on, for people.
func (c *core) whyDropped(now time.Time, s *session, why peer.Reason) string {
	switch why {
	case peer.BadScore, peer.LowScore:
		if st := c.board.by[s.subj]; st != nil {
			return fmt.Sprintf("its faults add up to %.0f", st.faults(now))
		}
	case peer.Banned:
		if b := c.bans.by[s.subj]; b != nil && now.Before(b.until) {
			return b.reason
		}
		if b := prefixBan(c.bans.prefixes, s.ep.Addr(), now); b != nil {
			return b.reason
		}
	case peer.Idle:
		return fmt.Sprintf("%d pings in a row without an answer", s.misses)
	}
	return ""
}

// disconnect ends a session by hand.
func (c *core) disconnect(now time.Time, ev inDisconnect) {
	id, ok := c.byID[ev.ID]
	if !ok {
		c.do(effReply{Req: ev.Req, Err: fmt.Errorf("swarm: no session with peer %q", ev.ID.Short())})
		return
	}
	why := ev.Reason
	if why == peer.OK {
		why = peer.Requested
	}
	c.drop(now, c.sessions[id], why, false, true)
	c.do(effReply{Req: ev.Req})
}
