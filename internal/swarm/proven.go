package swarm

import (
	"slices"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
)

// succeeded notes that a dial of e reached the peer that we expected: e is
// proven, and moves to the tried buckets if there is room. A full bucket is not
// emptied for it: its oldest entry is tested first.
func (b *book) succeeded(now time.Time, e *entry) {
	e.lastOK, e.lastTry, e.fails = now, now, 0
	e.marked, e.until = peer.OK, time.Time{}
	b.dirty = true
	if e.tried {
		b.tests = slices.DeleteFunc(b.tests, func(t test) bool { return t.old == e.addr })
		return
	}
	at := b.triedBucket(e)
	bucket := b.proven[at]
	if e.ep.IsValid() && b.cfg.counted(e.ep.Addr()) && b.samePrefix(bucket, e) >= perBucket {
		b.replaceOwn(now, e, at)
		return
	}
	if len(bucket) < bucketSize {
		b.promote(e, at)
		return
	}
	old := bucket[0]
	for _, o := range bucket {
		if o.lastOK.Before(old.lastOK) {
			old = o
		}
	}
	if now.Sub(old.lastOK) < 4*time.Hour || len(b.tests) >= maxTests {
		return
	}
	if !slices.ContainsFunc(b.tests, func(t test) bool { return t.old == old.addr }) {
		b.tests = append(b.tests, test{old.addr, e.addr})
	}
}

// replaceOwn lets a proven address push out an older one of its own prefix
// that answers no more.
func (b *book) replaceOwn(_ time.Time, e *entry, at int) {
	p := subnet.Of(e.ep.Addr())
	for _, o := range b.proven[at] {
		if o.ep.IsValid() && subnet.Of(o.ep.Addr()) == p && o.fails > 0 {
			b.remove(o)
			b.promote(e, at)
			return
		}
	}
}

func (b *book) promote(e *entry, at int) {
	b.fresh[e.bucket] = without(b.fresh[e.bucket], e)
	b.leave(e)
	e.tried, e.bucket, e.index = true, at, len(b.tried)
	b.proven[at] = append(b.proven[at], e)
	b.tried = append(b.tried, e)
}

// failed notes a dial that did not reach anybody. A tried entry that was under
// test makes room for its newcomer; a new one that fails for long is let go.
func (b *book) failed(now time.Time, e *entry) {
	e.lastTry = now
	e.fails++
	b.dirty = true
	for i, t := range b.tests {
		if t.old != e.addr {
			continue
		}
		b.tests = slices.Delete(b.tests, i, i+1)
		b.remove(e)
		if n := b.by[t.newcomer]; n != nil && !n.tried {
			b.succeeded(n.lastOK, n)
		}
		return
	}
	switch {
	case !e.tried && e.lastOK.IsZero() && e.fails >= giveUpAfter,
		!e.tried && !e.lastOK.IsZero() && e.fails >= 4*giveUpAfter,
		e.tried && e.fails >= 4*giveUpAfter && now.Sub(e.lastOK) > 7*24*time.Hour:
		b.remove(e)
	}
}

// mark keeps e, but not to be dialled for a day.
func (b *book) mark(now time.Time, e *entry, why peer.Reason) {
	e.lastTry, e.marked, e.until = now, why, now.Add(retainFor)
	b.dirty = true
}

// dialable reports whether the book would dial e now.
func (e *entry) dialable(now time.Time, backOff func(*entry) time.Duration) bool {
	if now.Before(e.until) {
		return false
	}
	return e.lastTry.IsZero() || now.Sub(e.lastTry) >= backOff(e)
}

// pick chooses an address to dial: a tried or a new one with even chances; a
// new one by its source's group first, so that whoever tells the most does not
// get the most dials. ok says whether the caller may dial it. It gives up after
// a bounded number of draws.
func (b *book) pick(freshOnly bool, ok func(*entry) bool) *entry {
	for range 64 {
		var e *entry
		switch {
		case len(b.groups) == 0 && (freshOnly || len(b.tried) == 0):
			return nil
		case !freshOnly && len(b.tried) > 0 && (len(b.groups) == 0 || b.rng.IntN(2) == 0):
			e = b.tried[b.rng.IntN(len(b.tried))]
		case len(b.groups) > 0:
			g := b.groups[b.rng.IntN(len(b.groups))]
			e = g.entries[b.rng.IntN(len(g.entries))]
		}
		if e != nil && ok(e) {
			return e
		}
	}
	// Few may be left among many that wait: look at all, from a random place.
	all := b.tried
	if freshOnly {
		all = nil
	}
	for _, g := range b.groups {
		all = append(slices.Clip(all), g.entries...)
	}
	if len(all) == 0 || len(all) > 2048 {
		return nil
	}
	from := b.rng.IntN(len(all))
	for i := range all {
		if e := all[(from+i)%len(all)]; ok(e) {
			return e
		}
	}
	return nil
}
