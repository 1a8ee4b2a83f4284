package swarm

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// The rules of bans.
const (
	prefixBanFor   = time.Hour
	prefixBanAfter = 5                  // banned identities within chargeFor
	chargeFor      = 24 * time.Hour     //
	ladderKept     = 7 * 24 * time.Hour // after a ban ends, its place on the ladder
	longestBan     = 10 * 366 * 24 * time.Hour
	believedGap    = 30 * 24 * time.Hour // longest time switched off that bans count as served
)

// ladder is how long the first, second and every later ban of a peer lasts.
func ladder(nth int) time.Duration {
	switch nth {
	case 0, 1:
		return time.Hour
	case 2:
		return 4 * time.Hour
	}
	return 24 * time.Hour
}

// ban is one ban, running or served. Times are those of the core's clock, not
// of the wall: a wall clock that jumps neither ends a ban nor prolongs it.
type ban struct {
	until  time.Time
	nth    int // how often this peer was banned by score
	reason string
	auto   bool
	over   bool // ended and announced; kept for the ladder
}

// banTable is who is banned.
type banTable struct {
	by       map[subject]*ban
	prefixes map[netip.Prefix]*ban
	// charged is who of a prefix was banned when: at most maxCharges each.
	charged map[netip.Prefix][]charge
	changed bool // since the shell last looked
}

type charge struct {
	who subject
	at  time.Time
}

const (
	maxCharges  = 16
	maxPrefixes = 4096 // prefixes with charges
)

func newBanTable() banTable {
	return banTable{by: map[subject]*ban{}, prefixes: map[netip.Prefix]*ban{}, charged: map[netip.Prefix][]charge{}}
}

func (t *banTable) running(s subject, now time.Time) bool {
	b := t.by[s]
	return b != nil && now.Before(b.until)
}

// prefixBan finds the running ban of a prefix, of any length, that holds ip.
func prefixBan(m map[netip.Prefix]*ban, ip netip.Addr, now time.Time) *ban {
	if len(m) == 0 || !ip.IsValid() {
		return nil
	}
	var found *ban
	for bits := ip.BitLen(); bits >= 0; bits-- {
		p, err := ip.Prefix(bits)
		if err != nil {
			return nil
		}
		if b := m[p]; b != nil && now.Before(b.until) {
			if !b.auto {
				return b // one by hand bars more
			}
			found = b
		}
	}
	return found
}

// add bans s for d, or by the ladder where d is 0, and says for how long.
func (t *banTable) add(s subject, now time.Time, d time.Duration, reason string, auto bool) time.Duration {
	b := t.by[s]
	if b == nil {
		if len(t.by) >= maxBans {
			t.evict(now)
		}
		b = &ban{}
		t.by[s] = b
	}
	if d <= 0 {
		b.nth++
		d = ladder(b.nth)
	}
	d = min(d, longestBan)
	if until := now.Add(d); until.After(b.until) || !auto {
		b.until = until
	}
	b.reason, b.auto, b.over = reason, auto, false
	t.changed = true
	return b.until.Sub(now)
}

func (t *banTable) addPrefix(p netip.Prefix, now time.Time, d time.Duration, reason string, auto bool) time.Duration {
	if d <= 0 {
		d = prefixBanFor
	}
	d = min(d, longestBan)
	if t.prefixes[p] == nil && len(t.prefixes) >= maxPrefixBans {
		t.evictPrefix()
	}
	b := t.prefixes[p]
	if b == nil {
		b = &ban{}
		t.prefixes[p] = b
	}
	if until := now.Add(d); until.After(b.until) || !auto {
		b.until = until
	}
	b.reason, b.auto, b.over = reason, auto, false
	t.changed = true
	return b.until.Sub(now)
}

// count books a banned identity on its prefix and reports whether the prefix
// has had enough of them.
func (t *banTable) count(p netip.Prefix, s subject, now time.Time) bool {
	cs := t.charged[p]
	if cs == nil && len(t.charged) >= maxPrefixes {
		t.expireCharges(now)
		if len(t.charged) >= maxPrefixes {
			t.evictCharges()
		}
	}
	cs = slices.DeleteFunc(cs, func(c charge) bool { return c.who == s || now.Sub(c.at) >= chargeFor })
	cs = append(cs, charge{s, now})
	if len(cs) > maxCharges {
		cs = cs[len(cs)-maxCharges:]
	}
	t.charged[p] = cs
	t.changed = true
	return len(cs) >= prefixBanAfter
}

func (t *banTable) expireCharges(now time.Time) {
	for p, cs := range t.charged { // order does not matter: each entry is looked at alone
		if cs = slices.DeleteFunc(cs, func(c charge) bool { return now.Sub(c.at) >= chargeFor }); len(cs) == 0 {
			delete(t.charged, p)
		} else {
			t.charged[p] = cs
		}
	}
}

// evictCharges lets the prefix go whose last charge is oldest.
func (t *banTable) evictCharges() {
	var victim netip.Prefix
	var oldest time.Time
	for p, cs := range t.charged {
		at := cs[len(cs)-1].at
		if !victim.IsValid() || at.Before(oldest) || at.Equal(oldest) && prefixLess(p, victim) {
			victim, oldest = p, at
		}
	}
	delete(t.charged, victim)
}

func prefixLess(a, b netip.Prefix) bool {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits())) < 0
}

// evict makes room: a ban that is served goes first, then the one that ends first.
func (t *banTable) evict(time.Time) {
	var victim subject
	var v *ban
	for s, b := range t.by {
		if v == nil || cmp.Or(boolFirst(b.over, v.over), b.until.Compare(v.until), cmp.Compare(s, victim)) < 0 {
			victim, v = s, b
		}
	}
	delete(t.by, victim)
	t.changed = true
}

func (t *banTable) evictPrefix() {
	var victim netip.Prefix
	var v *ban
	for p, b := range t.prefixes {
		if v == nil || b.until.Before(v.until) || b.until.Equal(v.until) && prefixLess(p, victim) {
			victim, v = p, b
		}
	}
	delete(t.prefixes, victim)
}

// boolFirst orders true before false.
func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// remove ends a ban by hand. It reports whether there was one.
func (t *banTable) remove(s subject, now time.Time) bool {
	if !t.running(s, now) {
		return false
	}
	delete(t.by, s) // its place on the ladder goes too: the operator has spoken
	t.changed = true
	return true
}

func (t *banTable) removePrefix(p netip.Prefix, now time.Time) bool {
	b := t.prefixes[p]
	if b == nil || !now.Before(b.until) {
		return false
	}
	delete(t.prefixes, p)
	delete(t.charged, p)
	t.changed = true
	return true
}

// expire ends what has run out and returns what ended, in order.
func (t *banTable) expire(now time.Time) (ended []Target) {
	for _, s := range sortedKeys(t.by) {
		b := t.by[s]
		if !b.over && !now.Before(b.until) {
			b.over, t.changed = true, true
			ended = append(ended, s.target())
		}
		if b.over && now.Sub(b.until) >= ladderKept {
			delete(t.by, s)
		}
	}
	var ps []netip.Prefix
	for p, b := range t.prefixes {
		if !now.Before(b.until) {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	for _, p := range ps {
		delete(t.prefixes, p)
		t.changed = true
		ended = append(ended, ByPrefix(p))
	}
	t.expireCharges(now)
	return ended
}
