package swarm

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/peer"
)

const (
	bookEvery   = time.Minute // between two saves of the book
	maxRecalled = 16          // peers of the last day that are wanted back at start
)

// gap is how much time a record's bans and scores have served while we were
// off. A wall clock that ran back, or ran ahead by more than a month, is not
// believed: then they have served none. So no clock ends many bans at once
// unnoticed, and none makes one longer than it was.
func gap(saved, wall time.Time) time.Duration {
	d := wall.Sub(saved)
	if d < 0 || d > believedGap {
		return 0
	}
	return d
}

// recall brings back what was saved.
func (c *core) recall(now, wall time.Time, mem memory) {
	off := gap(mem.Marks.Saved, wall)
	for _, r := range mem.Marks.Standings {
		if r.Seen+off >= retainFor || r.Who == "" {
			continue
		}
		st := c.board.of(now, r.Who)
		// The base holds what was no longer recent when it was saved.
		st.base, st.baseAt, st.seen = decay(r.Sum, off), now, now.Add(-max(r.Seen, 0)-off)
		for _, h := range r.Hot {
			st.recent = append(st.recent, fault{at: now.Add(-max(h.Age, 0) - off), points: h.Points})
		}
		slices.SortStableFunc(st.recent, func(a, b fault) int { return a.at.Compare(b.at) })
		st.fold(now)
		if st.faults(now) < c.cfg.MinScore {
			c.board.low[r.Who] = true
		}
		c.board.touch(r.Who)
	}
	for _, r := range mem.Marks.Bans {
		b := &ban{nth: r.Nth, reason: peer.Clean(r.Reason), auto: r.Auto}
		switch {
		case r.Left > off:
			b.until = now.Add(min(r.Left-off, longestBan))
		case r.Left > 0:
			b.until = now.Add(-(off - r.Left))
		default:
			b.until, b.over = now.Add(-max(r.Since, 0)-off), true
		}
		c.bans.by[r.Who] = b
	}
	for _, r := range mem.Marks.Prefixes {
		if r.Left > off {
			c.bans.prefixes[r.Prefix] = &ban{until: now.Add(min(r.Left-off, longestBan)), reason: peer.Clean(r.Reason), auto: r.Auto}
		}
	}
	for _, r := range mem.Marks.Charges {
		if age := max(r.Age, 0) + off; age < chargeFor {
			cs := append(c.bans.charged[r.Prefix], charge{r.Who, now.Add(-age)})
			c.bans.charged[r.Prefix] = cs[max(0, len(cs)-maxCharges):]
		}
	}
	c.bans.changed = true

	off = gap(mem.BookSaved, wall)
	for _, r := range mem.Entries {
		c.recallEntry(now, off, r)
	}
	c.anchors, c.lastGood = slices.Clone(mem.Anchors), slices.Clone(mem.Anchors)
	c.recallRecents(now)
	c.book.dirty = false
	c.book.refused = newRefusals()
}

func (c *core) recallEntry(now time.Time, off time.Duration, r entryRecord) {
	o := origin{source: r.Source, group: r.Group, seeded: r.Seeded}
	if !c.book.add(now, r.Addr, r.ID, o) {
		return
	}
	e := c.book.by[r.Addr]
	e.added = now.Add(-max(r.Added, 0) - off)
	if r.OK >= 0 {
		e.lastOK = now.Add(-r.OK - off)
	}
	if r.Left > off {
		e.marked, e.until = r.Marked, now.Add(min(r.Left-off, retainFor))
	}
	if r.Tried {
		ok := e.lastOK
		if at := c.book.triedBucket(e); len(c.book.proven[at]) < bucketSize {
			c.book.promote(e, at)
			e.lastOK = ok
		}
	}
	e.fails = min(r.Fails, 3) // a restart is a new chance
}

// recallRecents wants the peers of the last day back, the latest first.
func (c *core) recallRecents(now time.Time) {
	last := slices.Clone(c.book.tried)
	last = slices.DeleteFunc(last, func(e *entry) bool { return e.lastOK.IsZero() || now.Sub(e.lastOK) >= 24*time.Hour })
	slices.SortFunc(last, func(a, b *entry) int {
		return cmp.Or(-a.lastOK.Compare(b.lastOK), cmp.Compare(a.addr.Text, b.addr.Text))
	})
	for _, e := range last[:min(len(last), maxRecalled)] {
		c.recents = append(c.recents, &recent{addr: e.addr, id: e.id, until: now.Add(recentFor), nextAt: now})
	}
}

// remember builds the record of bans and scores.
func (c *core) remember(now time.Time) marks {
	m := marks{Saved: c.wallNow(now)}
	for _, s := range sortedKeys(c.board.by) {
		st := c.board.by[s]
		st.fold(now)
		if len(st.recent) == 0 && st.base > -0.01 || len(s) > maxSubject {
			continue
		}
		r := standingRecord{Who: s, Sum: min(decay(st.base, now.Sub(st.baseAt)), 0), Seen: now.Sub(st.seen)}
		for _, f := range st.recent {
			r.Hot = append(r.Hot, hotFault{now.Sub(f.at), f.points})
		}
		m.Standings = append(m.Standings, r)
	}
	for _, s := range sortedKeys(c.bans.by) {
		b := c.bans.by[s]
		m.Bans = append(m.Bans, banRecord{Who: s, Left: max(0, b.until.Sub(now)), Since: max(0, now.Sub(b.until)), Nth: b.nth, Reason: b.reason, Auto: b.auto})
	}
	for _, p := range sortedPrefixes(c.bans.prefixes) {
		b := c.bans.prefixes[p]
		m.Prefixes = append(m.Prefixes, prefixRecord{Prefix: p, Left: max(0, b.until.Sub(now)), Reason: b.reason, Auto: b.auto})
	}
	for _, p := range sortedPrefixes(c.bans.charged) {
		for _, ch := range c.bans.charged[p] {
			m.Charges = append(m.Charges, chargeRecord{Prefix: p, Who: ch.who, Age: now.Sub(ch.at)})
		}
	}
	return m
}

func sortedPrefixes[V any](m map[netip.Prefix]V) []netip.Prefix {
	ps := make([]netip.Prefix, 0, len(m))
	for p := range m {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return ps
}

// rememberBook builds the record of the address book.
func (c *core) rememberBook(now time.Time) memory {
	m := memory{Salt: c.book.salt, BookSaved: c.wallNow(now), Anchors: c.pickAnchors(now)}
	add := func(e *entry) {
		r := entryRecord{
			Addr: e.addr, ID: e.id, Source: e.source, Group: e.group, Seeded: e.seeded, Tried: e.tried,
			Added: now.Sub(e.added), OK: -time.Millisecond, Fails: e.fails,
		}
		if !e.lastOK.IsZero() {
			r.OK = max(0, now.Sub(e.lastOK))
		}
		if now.Before(e.until) {
			r.Marked, r.Left = e.marked, e.until.Sub(now)
		}
		m.Entries = append(m.Entries, r)
	}
	for _, e := range c.book.tried {
		add(e)
	}
	for _, g := range c.book.groups {
		for _, e := range g.entries {
			add(e)
		}
	}
	return m
}

// pickAnchors chooses the outbound peers to be dialled first after a restart:
// the longest connected, at most one of a group; those of the run before fill
// up while there are too few.
func (c *core) pickAnchors(now time.Time) []peer.Addr {
	var best []*session
	for _, id := range c.order {
		if s := c.sessions[id]; !s.addr.IsZero() && now.Sub(s.opened) >= time.Minute && (s.fixed == nil || s.fixed.seed) && !s.seeded {
			best = append(best, s)
		}
	}
	slices.SortFunc(best, func(a, b *session) int { return cmp.Or(a.opened.Compare(b.opened), cmp.Compare(a.id, b.id)) })
	var out []peer.Addr
	groups := map[string]bool{}
	for _, s := range best {
		if g := s.group(); !groups[g] && len(out) < maxAnchors && len(s.addr.Text) <= maxAddrText {
			groups[g] = true
			out = append(out, s.addr)
		}
	}
	for _, a := range c.lastGood {
		if len(out) < maxAnchors && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// flush saves what has changed, when it is due.
func (c *core) flush(now time.Time) {
	if c.cfg.Store == nil || !c.started {
		return
	}
	due := func(part string, every time.Duration) bool {
		return !c.saving[part] && now.Sub(c.saved[part]) >= every
	}
	if c.marksDirty && due(partStanding, c.cfg.FlushEvery) {
		c.save(now, partStanding)
	}
	if c.book.dirty && due(partBook, bookEvery) {
		c.save(now, partBook)
	}
}

func (c *core) save(now time.Time, part string) {
	c.saving[part], c.saved[part] = true, now
	var data []byte
	if part == partStanding {
		c.marksDirty = false
		data = encodeMarks(c.remember(now))
	} else {
		c.book.dirty = false
		data = encodeBook(c.rememberBook(now))
	}
	c.do(effSave{Part: part, Data: data})
}

// unsaved books a save that failed: what it held is still to be saved.
func (c *core) unsaved(part string) {
	if part == partStanding {
		c.marksDirty = true
	} else {
		c.book.dirty = true
	}
}

// saveAll saves both parts, at the end.
func (c *core) saveAll(now time.Time) {
	if c.cfg.Store == nil {
		return
	}
	c.save(now, partStanding)
	c.save(now, partBook)
}
