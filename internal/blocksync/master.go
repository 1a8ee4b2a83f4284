package blocksync

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Who leads a forward sync. A session costs nothing, and neither does a claim:
// whoever claims much, delivers nothing and comes back under a new name must
// gain nothing by it. (L-09)
const (
	maxStrangers = 2                      // masters in a row that never proved anything, before one that did
	maxScouts    = 3                      // candidates that are asked whether they are there, at once
	scoutAfter   = 300 * time.Millisecond // of a master that has not delivered
	maxTries     = 4                      // masters of a job without progress, if something else waits to be done
	doubtFor     = 10 * time.Second       // a claim that was falsified waits so much longer for its turn
	maxDoubted   = 1024                   // falsified claims remembered
)

// standing is what a peer has earned. What was verified counts, then that it
// answers at all; who fell silent or failed its claim is behind those of whom
// nothing is known.
type standing uint8

const (
	failing standing = iota
	stranger
	answering
	proven
)

func (p *remote) standing() standing {
	switch {
	case p.stalls() || p.undelivered > 0:
		return failing
	case p.proved:
		return proven
	case p.srtt > 0:
		return answering
	}
	return stranger
}

// rank is standing among masters: an answer alone wins nothing, but that the
// line does not wait for whoever gives none.
func (p *remote) rank() standing {
	if s := p.standing(); s != answering {
		return s
	}
	return stranger
}

// prove notes that what a peer delivered was verified.
func (c *Core) prove(id peer.ID) {
	if p, ok := c.byID[id]; ok {
		p.proved = true
		if c.job != nil && c.job.master == p {
			c.strangers, c.job.tries = 0, 0
		}
	}
}

// bestMaster picks who is to give headers: first those that do not refuse at the
// moment, then by standing. Of the proven, those that claim at least the median
// of what they claim come first, then the ones of the greatest capacity. All
// others wait in line, and whoever comes back under a new name waits at its end:
// the height of a claim wins nothing. (L-09)
//
// After a few masters that proved nothing it is again the turn of one that did,
// even if it fell silent since.
//
// With a job, it is about who can go on from its tip.
func (c *Core) bestMaster(j *job) *remote {
	if able := c.masters(j); len(able) > 0 {
		return able[0]
	}
	return nil
}

// masters gives all who can give headers, the best first.
func (c *Core) masters(j *job) []*remote {
	var able []*remote
	var claims []uint64
	for _, p := range c.ranked() {
		if j != nil && j.excluded[p] || c.now.Before(p.badUntil) || p.unsupported[c.headerKind()] {
			continue
		}
		// Whoever has no more than we have does not lead, on whatever branch.
		if !c.better(p) || j != nil && j.probe == nil && !p.mayHave(j.tip.Ref.Number+1, c.now) {
			continue
		}
		able = append(able, p)
		if p.standing() == proven {
			claims = append(claims, p.claim.Head.Number)
		}
	}
	slices.Sort(claims)
	var median uint64
	if len(claims) > 0 {
		median = claims[(len(claims)-1)/2]
	}
	first := func(a, b bool) int { // whoever it holds for
		switch {
		case a == b:
			return 0
		case a:
			return -1
		}
		return 1
	}
	slices.SortStableFunc(able, func(a, b *remote) int {
		d := first(!c.now.Before(a.pausedUntil), !c.now.Before(b.pausedUntil))
		if d == 0 && c.strangers >= maxStrangers {
			d = first(a.proved, b.proved)
		}
		d = cmp.Or(d, cmp.Compare(b.rank(), a.rank()), cmp.Compare(a.undelivered, b.undelivered), cmp.Compare(a.silent, b.silent))
		if d != 0 {
			return d
		}
		if a.standing() == proven {
			return first(a.claim.Head.Number >= median, b.claim.Head.Number >= median)
		}
		return a.inLine.Compare(b.inLine)
	})
	return able
}

// lead makes p the master of j.
func (c *Core) lead(j *job, p *remote) {
	j.master = p
	j.tries++
	j.led = c.now
	if p.proved {
		c.strangers = 0
	} else {
		c.strangers++
	}
}

// changeMaster finds a master where there is none, and a better one where it
// has not delivered yet. It reports false if the job ended: many have tried,
// and there is something else to do.
func (c *Core) changeMaster(j *job) bool {
	m := j.master
	if m != nil && m.standing() == proven {
		return true
	}
	able := c.masters(j)
	if len(able) == 0 {
		return true
	}
	switch {
	case m == nil && j.tries >= maxTries && j.entries.len() == 0 && j.verifying == nil && c.belowWaits():
		c.endJob()
		c.settle()
		return false
	case m == nil:
		c.lead(j, able[0])
		if c.cfg.Caps.Skeleton {
			c.takeOver(j)
		}
	default: // nothing waits for a peer that proved nothing
		if i := slices.IndexFunc(able, func(p *remote) bool { return p.standing() > m.standing() }); i >= 0 {
			c.replaceMaster(j, able[i])
		}
	}
	c.scout(j)
	return true
}

// belowWaits reports whether a target or a gap waits for the end of a forward job.
func (c *Core) belowWaits() bool {
	if !c.canDescend() {
		return false
	}
	return c.target != (chain.Ref{}) && !c.now.Before(c.targetRetry) || c.nextGap() != nil
}

// scout asks a few of those who might lead next for one header, while the
// master has not delivered: many who are not there cost no more time than one.
func (c *Core) scout(j *job) {
	if j.master == nil || j.master.standing() == proven || c.now.Before(j.led.Add(scoutAfter)) {
		return
	}
	free := maxScouts
	for _, p := range c.peers {
		if slices.ContainsFunc(p.asked, func(r *request) bool { return r.scout && !r.cancelled }) {
			free--
		}
	}
	for _, p := range c.masters(j) {
		if free <= 0 {
			return
		}
		if p == j.master || p.standing() > stranger || len(p.asked) > 0 || c.slots(p) <= 0 || p.scouted.Equal(c.now) {
			continue
		}
		if c.askScout(j, p) {
			free--
		}
	}
}

func (c *Core) askScout(j *job, p *remote) bool {
	n := c.status.Head.Number + 1
	if j.probe == nil {
		n = j.tip.Ref.Number + 1
	}
	n = min(n, p.claim.Head.Number)
	rg := chain.Range{From: chain.Ref{Number: n}, Count: 1}
	if !c.cfg.Caps.ByNumber {
		rg.From, n = c.status.Head, c.status.Head.Number
	}
	expect := headerCost
	if !c.cfg.Caps.Skeleton {
		expect = c.bodySize()
	}
	if n == 0 && c.cfg.Caps.ByNumber || p.lacking(n, c.now) || !c.room(expect) {
		return false
	}
	p.scouted = c.now
	var r *request
	r = c.ask(p, c.rangeRequest(rg, !c.cfg.Caps.Skeleton), expect, n, n, func(resp wire.Response, err error) {
		hs, _, ok := headersOf(resp)
		switch {
		case ok && len(hs) == 1:
			c.answered(p, r, 0)
		case isNotFound(err) && c.cfg.Caps.ByNumber:
			c.undelivered(p, n)
		}
	})
	r.scout = true
	r.byHash = !c.cfg.Caps.ByNumber
	return true
}

// provenGives reports whether somebody who delivered before can be asked for
// block n: what failed once is not tried with strangers again.
func (c *Core) provenGives(j *job, n uint64, kind string) bool {
	return slices.ContainsFunc(c.peers, func(p *remote) bool {
		return p.standing() == proven && (!j.forward || c.better(p)) && !j.excluded[p] && !p.unsupported[kind] && !c.now.Before(p.pausedUntil) && c.gives(j, p, n)
	})
}

// doubt remembers a claim that was not delivered.
func (c *Core) doubt(p *remote) {
	if !p.proved && !p.claimless() {
		c.doubted.Add(claimKey(p.claim.Head))
	}
}

// line puts p in line of those who proved nothing. A claim that was falsified
// waits longer, whoever makes it; but no longer than that, since anybody may
// claim the head of an honest peer and not deliver it.
func (c *Core) line(p *remote) {
	at := c.now
	if c.doubted.Has(claimKey(p.claim.Head)) {
		at = at.Add(doubtFor)
	}
	if at.After(p.inLine) && (p.inLine.IsZero() || at.After(c.now)) {
		p.inLine = at
	}
}

// claimKey is what a claimed head is remembered by; a wire may tell no hash.
func claimKey(r chain.Ref) chain.Hash {
	if r.Hash.IsZero() {
		binary.BigEndian.PutUint64(r.Hash[:], r.Number)
	}
	return r.Hash
}
