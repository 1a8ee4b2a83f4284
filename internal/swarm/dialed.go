package swarm

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// dialOf finds the dial that an outbound session came of.
func (c *core) dialOf(info peer.Info) *dial {
	for _, k := range sortedKeys(c.dials) {
		d := c.dials[k]
		if d.reached {
			continue
		}
		if d.addr == info.Addr || slices.Contains(d.resolved, info.Addr) || info.Endpoint.IsValid() && d.ep == info.Endpoint {
			return d
		}
		for _, a := range d.resolved {
			if ep, _, ok := c.cfg.endpoint(a); ok && ep == info.Endpoint {
				return d
			}
		}
	}
	if !c.cfg.ProvenIdentity {
		return nil
	}
	for _, k := range sortedKeys(c.dials) {
		if d := c.dials[k]; !d.reached && d.id != "" && d.id == info.ID {
			return d
		}
	}
	return nil
}

// dialed takes the outcome of a dial and its slot back.
func (c *core) dialed(now time.Time, ev inDialed) {
	d := c.dials[ev.Slot]
	if d == nil || !c.slots.Release(ev.Slot) {
		return
	}
	delete(c.dials, ev.Slot)
	if d.recent != nil {
		d.recent.dialling = false
	}
	if ev.Reason == peer.Stopping && !ev.Remote && !d.reached && !c.stopping {
		c.hold(now, d)
		return
	}
	ok := ev.OK || ev.Reason == peer.Duplicate && !ev.Remote ||
		d.why == whyFeeler && d.reached && !ev.Remote && ev.Reason == peer.TooManyPeers // it has done its work
	if f := d.fixed; f != nil {
		f.dialling = false
		c.fixedDialed(now, f, d, ev, ok)
	}
	e := c.book.by[d.addr]
	if ok {
		if e == nil && d.opened {
			e = c.enter(now, d)
		}
		if e != nil {
			c.book.succeeded(now, e)
		}
		if d.recent != nil {
			c.recents = slices.DeleteFunc(c.recents, func(r *recent) bool { return r == d.recent })
		}
		c.replyAll(d, nil)
		return
	}
	why := ev.Reason
	if why == peer.OK {
		why = peer.DialFailed
	}
	if d.recent != nil {
		d.recent.fails++
	}
	c.blame(now, d, e, why, ev.Remote)
	c.note(KindDialFailed, why, d.id, d.addr, ev.Remote, ev.Detail)
	c.emit(DialFailed{ID: d.id, Addr: d.addr, Reason: why, ByRemote: ev.Remote, Detail: ev.Detail})
	c.replyAll(d, &peer.RefusedError{Reason: why, Remote: ev.Remote, Detail: ev.Detail})
}

// hold takes a dial back that the wire could not make because it is not
// listening yet: nobody is blamed for it, and all dials wait a moment.
func (c *core) hold(now time.Time, d *dial) {
	c.holdUntil = now.Add(holdFor)
	delete(c.targets, d.ep)
	if e := c.book.by[d.addr]; e != nil {
		e.lastTry = e.lastOK
	}
	if d.fixed != nil {
		d.fixed.dialling, d.fixed.nextAt = false, c.holdUntil
	}
	if d.recent != nil {
		d.recent.nextAt = c.holdUntil
	}
	if d.why == whyAnchor && len(c.anchors) < maxAnchors {
		c.anchors = append(c.anchors, d.addr)
	}
	for _, r := range d.reqs {
		c.waiting = append(c.waiting, inConnect{Req: r, Addr: d.addr})
	}
}

func (c *core) replyAll(d *dial, err error) {
	for _, r := range d.reqs {
		c.do(effReply{Req: r, Err: err})
	}
}

// enter takes an address that a dial has proven into the book, on the word of
// whoever asked for the dial.
func (c *core) enter(now time.Time, d *dial) *entry {
	o := origin{source: wire.SourceRequested, group: "own:requested"}
	switch {
	case d.fixed != nil && !d.fixed.static && !d.fixed.trusted:
		o = origin{source: wire.SourceSeed, group: "own:seed", seeded: true}
	case d.fixed != nil:
		o = origin{source: wire.SourceStatic, group: "own:static"}
	}
	c.book.add(now, d.addr, d.id, o)
	return c.book.by[d.addr]
}

// fixedDialed sets when a configured address is tried next.
func (c *core) fixedDialed(now time.Time, f *fixed, d *dial, ev inDialed, ok bool) {
	f.marked = peer.OK
	f.last = last{tries: f.last.tries + 1, at: now}
	if !ok {
		f.last.why, f.last.byRemote, f.last.detail = cmp.Or(ev.Reason, peer.DialFailed), ev.Remote, ev.Detail
	}
	switch {
	case ok && d.opened:
		f.fails = 0
	case ok: // the peer is connected by another link
		f.fails = 0
		for _, id := range c.order {
			if s := c.sessions[id]; c.isFixed(f, s.info.ID, s.ep) {
				f.connected = true
				if s.fixed == nil {
					s.fixed = f
				}
			}
		}
		f.nextAt = now.Add(c.pause(1, f.addr))
		c.renameAll()
	case isForeign(ev.Reason, ev.Remote):
		f.marked = ev.Reason
		f.nextAt = now.Add(retainFor)
		c.emit(Alarm{Kind: "foreign-peer-configured", ID: f.id, Detail: f.addr.Text + ": " + string(ev.Reason)})
	case ev.Reason == peer.Self:
		f.marked = ev.Reason
		f.nextAt = now.Add(retainFor)
	default:
		f.fails++
		f.nextAt = d.started.Add(c.pause(f.fails-1, f.addr))
	}
}

// isForeign names what will not change soon: the peer is of another network. That
// there is no protocol in common counts where we have seen it; the peer's word for
// it may be churn.
func isForeign(r peer.Reason, remote bool) bool {
	return r == peer.WrongNetwork || r == peer.WrongGenesis || r == peer.NoCommonProto && !remote || r == peer.KeyType
}

// blame books a failed dial on the address, never on an identity.
func (c *core) blame(now time.Time, d *dial, e *entry, why peer.Reason, remote bool) {
	if why == peer.Self && d.ep.IsValid() {
		c.noteOwn(now, d.ep)
	}
	foreign := isForeign(why, remote)
	if foreign || why == peer.Self || why == peer.WrongIdentity || why == peer.Banned && remote {
		c.recents = slices.DeleteFunc(c.recents, func(r *recent) bool { return r.addr == d.addr })
	}
	if foreign {
		for _, f := range c.fixed {
			if f.addr == d.addr || f.ep.IsValid() && f.ep == d.ep {
				f.marked, f.nextAt = why, now.Add(retainFor)
			}
		}
	}
	if e == nil {
		return
	}
	switch {
	case foreign || why == peer.Self:
		c.book.mark(now, e, why)
	case why == peer.WrongIdentity || why == peer.BadAddr:
		c.book.remove(e)
	case d.reached || remote && why != peer.HandshakeFailed && why != peer.HandshakeSlow:
		// It lives; one of us had no room. No failure, but the pause grows.
		e.lastTry = now
		if d.reached {
			fails := e.fails
			c.book.succeeded(now, e)
			e.fails = min(fails+1, 4)
		} else {
			e.fails = min(e.fails+1, 4)
		}
		if why == peer.Banned && remote {
			e.until, e.marked = now.Add(time.Hour), why
		}
	case why == peer.Stopping || why == peer.Internal || why == peer.DiallingOff:
		// ours
	case len(c.sessions) == 0:
		// While nobody at all is reached, it may well be our own link that is
		// down: nothing is let go for it, and the pause stays at its shortest.
		e.lastTry = now
		e.fails = max(e.fails, 1)
		c.book.dirty = true
	default:
		c.book.failed(now, e)
	}
}

// backAfterLoss sets when a configured peer that was lost is dialled again.
func (c *core) backAfterLoss(now time.Time, f *fixed, s *session) {
	if now.Sub(s.opened) < shortLived {
		f.fails = min(f.fails+1, 5)
	} else {
		f.fails = 0
	}
	at := now.Add(c.pause(max(f.fails-1, 0), f.addr))
	if at.After(f.nextAt) || f.marked == peer.OK {
		f.nextAt = at
	}
}

// wantBack puts a peer that was lost through nobody's decision on the list of
// those to be dialled soon. Only an address that we dialled ourselves, with
// success, is believed: what a peer says of itself may be a victim's.
func (c *core) wantBack(now time.Time, s *session, why peer.Reason, byRemote, tell bool) {
	if s.addr.IsZero() || tell && why != peer.Idle || s.fixed != nil && c.forEver(s.fixed) {
		return
	}
	if byRemote && why != peer.ByRemote && why != peer.Stopping && why != peer.LinkLost && why != peer.Idle && why != peer.Duplicate {
		return // it let us go on purpose: the book will come back to it
	}
	if slices.ContainsFunc(c.recents, func(r *recent) bool { return r.addr == s.addr }) {
		return
	}
	r := &recent{addr: s.addr, id: s.info.ID, until: now.Add(recentFor), nextAt: now.Add(c.soon(0, s.addr))}
	if now.Sub(s.opened) < shortLived {
		r.fails = 2
		r.nextAt = now.Add(c.soon(2, s.addr))
	}
	if len(c.recents) >= maxRecents {
		if i := slices.IndexFunc(c.recents, func(r *recent) bool { return !r.dialling }); i >= 0 {
			c.recents = slices.Delete(c.recents, i, i+1)
		}
	}
	if len(c.recents) < maxRecents {
		c.recents = append(c.recents, r)
	}
}

// connect takes a request for a dial.
func (c *core) connect(now time.Time, ev inConnect) {
	refuse := func(why peer.Reason, detail string) {
		c.notDialled(why, "", ev.Addr, detail)
		c.do(effReply{Req: ev.Req, Err: &peer.RefusedError{Reason: why, Detail: detail}})
	}
	ep, id, _ := c.cfg.endpoint(ev.Addr)
	switch {
	case c.stopping:
		refuse(peer.Stopping, "")
		return
	case c.cfg.NoDial:
		refuse(peer.DiallingOff, "")
		return
	case ev.Addr.IsZero() || len(ev.Addr.Text) > maxAddrText || len(ev.Addr.Scheme) > maxScheme:
		refuse(peer.BadAddr, fmt.Sprintf("%d bytes, want 1 to %d", len(ev.Addr.Text), maxAddrText))
		return
	case id != "" && id == ev.Self:
		refuse(peer.Self, "")
		return
	}
	for _, k := range sortedKeys(c.dials) {
		if d := c.dials[k]; d.addr == ev.Addr || c.cfg.ProvenIdentity && id != "" && d.id == id {
			d.reqs = append(d.reqs, ev.Req)
			return
		}
	}
	for _, f := range c.fixed {
		if f.addr == ev.Addr && isForeign(f.marked, false) {
			f.marked, f.nextAt, f.fails = peer.OK, now, 0
		}
	}
	switch why := c.bars(now, ev.Addr, ep, id); why {
	case peer.OK:
	case peer.Duplicate:
		c.do(effReply{Req: ev.Req}) // connected already
		return
	case peer.Self:
		delete(c.own, ep) // the operator knows better: try
	default:
		refuse(why, "")
		return
	}
	if len(c.waiting) >= maxRequests {
		refuse(peer.BackOff, fmt.Sprintf("%d dials are waiting already", maxRequests))
		return
	}
	if e := c.book.by[ev.Addr]; e != nil {
		e.until, e.marked = time.Time{}, peer.OK
	}
	c.waiting = append(c.waiting, ev)
}

// dialWaiting starts requested dials, in the order in which they came.
func (c *core) dialWaiting(now time.Time) {
	for len(c.waiting) > 0 {
		w := c.waiting[0]
		ep, id, _ := c.cfg.endpoint(w.Addr)
		d := &dial{addr: w.Addr, ep: ep, id: id, why: whyRequested, proven: true, reqs: []uint64{w.Req}}
		for _, f := range c.fixed {
			if f.addr == w.Addr {
				d.fixed = f
			}
		}
		if why := c.bars(now, w.Addr, ep, id); why == peer.AlreadyDialling {
			joined := false
			for _, k := range sortedKeys(c.dials) {
				if o := c.dials[k]; !joined && (o.addr == w.Addr || ep.IsValid() && o.ep == ep || id != "" && o.id == id) {
					o.reqs = append(o.reqs, w.Req)
					joined = true
				}
			}
		} else if why != peer.OK {
			var err error
			if why != peer.Duplicate {
				err = peer.Refuse(why)
			}
			c.do(effReply{Req: w.Req, Err: err})
		} else if !c.start(now, d) {
			return // no slot
		}
		c.waiting = c.waiting[1:]
	}
}

// configure changes the lists of configured addresses.
func (c *core) configure(now time.Time, ev inConfigure) {
	if ev.Off {
		i := slices.IndexFunc(c.fixed, func(f *fixed) bool { return f.addr == ev.Addr && f.is(ev.List) })
		if i < 0 {
			c.do(effReply{Req: ev.Req, Err: fmt.Errorf("swarm: %s is not on the list", ev.Addr)})
			return
		}
		f := c.fixed[i]
		f.set(ev.List, false)
		if !f.static && !f.trusted && !f.seed {
			c.fixed = slices.Delete(c.fixed, i, i+1)
			for _, id := range c.order {
				if s := c.sessions[id]; s.fixed == f {
					s.fixed = nil
				}
			}
			for _, k := range sortedKeys(c.dials) {
				if d := c.dials[k]; d.fixed == f {
					d.fixed = nil
				}
			}
		}
		c.renameAll()
		c.trim(now)
		c.peersChanged = true
		c.do(effReply{Req: ev.Req})
		return
	}
	if ev.Addr.IsZero() || len(ev.Addr.Text) > maxAddrText || len(ev.Addr.Scheme) > maxScheme {
		c.do(effReply{Req: ev.Req, Err: &peer.RefusedError{Reason: peer.BadAddr, Detail: "empty or too long"}})
		return
	}
	if len(c.fixed) >= 3*maxConfigured {
		c.do(effReply{Req: ev.Req, Err: fmt.Errorf("swarm: %d configured addresses, want at most %d", len(c.fixed)+1, 3*maxConfigured)})
		return
	}
	c.addFixed(now, ev.List, ev.Addr)
	c.renameAll()
	c.peersChanged = true
	c.do(effReply{Req: ev.Req})
}

func (f *fixed) is(l list) bool {
	switch l {
	case listStatic:
		return f.static
	case listTrusted:
		return f.trusted
	}
	return f.seed
}

func (f *fixed) set(l list, on bool) {
	switch l {
	case listStatic:
		f.static = on
	case listTrusted:
		f.trusted = on
	default:
		f.seed = on
	}
}

func (c *core) addFixed(now time.Time, l list, a peer.Addr) {
	i := slices.IndexFunc(c.fixed, func(f *fixed) bool { return f.addr == a })
	if i < 0 {
		f := &fixed{addr: a, nextAt: now}
		f.ep, f.id, _ = c.cfg.endpoint(a)
		if !f.ep.IsValid() {
			f.ep = netip.AddrPort{}
		}
		c.fixed = append(c.fixed, f)
		i = len(c.fixed) - 1
	}
	f := c.fixed[i]
	f.set(l, true)
	f.marked, f.nextAt, f.fails = peer.OK, now, 0
	for _, id := range c.order {
		if s := c.sessions[id]; c.isFixed(f, s.info.ID, s.ep) {
			f.connected = true
			if s.fixed == nil {
				s.fixed = f
			}
		}
	}
}

// protect puts peers under the embedder's protection, or ends it.
func (c *core) protect(now time.Time, ev inProtect) {
	for _, id := range sortedKeys(ev.Peers) {
		if !ev.Peers[id] {
			delete(c.protected, id)
		} else if len(c.protected) < maxConfigured && id != "" && len(id) <= maxAddrText {
			c.protected[id] = true
		}
	}
	c.trim(now)
	c.peersChanged = true
}
