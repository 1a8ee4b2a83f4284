package blocksync

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// remote is what the scheduler knows of a peer.
type remote struct {
	id     peer.ID
	joined time.Time
	claim  chain.Status // as last told, lowered by what it failed to deliver
	tie    uint64       // breaks ties between equals

	asked []*request

	// Capacity.
	blocks   int           // in one request, at most
	srtt     time.Duration // smoothed time of an answer; 0: none yet
	rate     float64       // bytes per second, smoothed; 0: none yet
	lastGood time.Time     // the last answer
	window   int           // requests under way at once: grows by one an answer, halves on a refusal

	// Failures.
	stall       time.Duration // the shortest deadline now
	silent      int           // requests in a row without an answer, counting one stall once
	mute        int           // of them those that were longer than the wire allows
	lastSilence time.Time
	clogged     bool // a request did not leave in time: it reads slowly, or our own queue is long
	refusals    int  // in a row
	pausedUntil time.Time
	lacks       []lack
	unsupported map[string]bool // kinds of requests

	// Heads.
	told        uint64 // the number of the head that it claimed itself; claim may be from what it passed on
	undelivered int    // heads claimed and not delivered, in a row
	badUntil    time.Time
	reached     chain.Ref // the claimed head up to which everything was fetched

	// Standing.
	proved  bool      // something that it delivered was verified
	inLine  time.Time // since when it waits to be master, among those who proved nothing
	scouted time.Time // when it was last asked as a candidate
}

// lack is a range that a peer is not asked for.
type lack struct {
	lo, hi uint64
	until  time.Time
}

// request is one that is under way. A cancelled one keeps its place with the
// peer until the shell says that it has ended, so that a peer that never lets
// go cannot pile them up.
type request struct {
	id        uint64
	peer      *remote
	kind      string
	deadline  time.Time
	sent      time.Time // when it left us, where the wire tells; else when it was asked
	counts    time.Time // from when the deadline counts
	held      bool      // it has not left yet
	expect    int       // bytes reserved
	cancelled bool
	done      func(wire.Response, error) // nil response and nil error: timed out
	lo, hi    uint64
	scout     bool // it asks a candidate whether it is there
	byHash    bool // it asks for blocks of one branch, which the peer need not be on
}

func (c *Core) onJoined(in Joined) {
	if _, ok := c.byID[in.Peer]; ok {
		c.onLeft(in.Peer)
	}
	p := &remote{id: in.Peer, joined: c.now, claim: in.Claims, told: in.Claims.Head.Number, stall: minStall, window: 2, unsupported: map[string]bool{}}
	if p.blocks = in.Batch.Blocks; p.blocks <= 0 {
		p.blocks = max(1, c.cfg.Caps.MaxBatch.Blocks)
	}
	if c.cfg.Rand != nil {
		p.tie = c.cfg.Rand.Uint64()
	}
	c.line(p)
	if c.firstJoin.IsZero() {
		c.firstJoin = c.now
	}
	c.byID[p.id] = p
	c.targetRetry = time.Time{} // it may have what nobody had
	i, _ := slices.BinarySearchFunc(c.peers, p.id, func(r *remote, id peer.ID) int { return cmp.Compare(r.id, id) })
	c.peers = slices.Insert(c.peers, i, p)
}

func (c *Core) onLeft(id peer.ID) {
	p, ok := c.byID[id]
	if !ok {
		return
	}
	delete(c.byID, id)
	c.peers = slices.DeleteFunc(c.peers, func(r *remote) bool { return r == p })
	for _, r := range slices.Clone(p.asked) {
		told := r.cancelled // its end was taken in already
		c.drop(r)
		if !told {
			r.done(nil, wire.ErrClosed)
		}
	}
	if c.job != nil && c.job.master == p {
		c.doubt(p)
		c.job.master = nil
	}
}

func (c *Core) onClaims(in Claims) {
	if p, ok := c.byID[in.Peer]; ok {
		p.claim, p.told = in.Status, in.Status.Head.Number
		c.line(p)
	}
}

func (c *Core) onAnnounced(in Announced) {
	p, ok := c.byID[in.Peer]
	if !ok {
		return
	}
	if in.Weight == (chain.Weight{}) && in.Ref.Number > p.claim.Head.Number ||
		in.Weight != (chain.Weight{}) && in.Weight.Compare(p.claim.Weight) > 0 {
		p.claim.Head, p.told = in.Ref, in.Ref.Number
		p.claim.Weight = in.Weight
	}
}

// claimless: the wire does not say what its peers have, so that anything may
// be asked of them.
func (p *remote) claimless() bool { return p.claim.Head == (chain.Ref{}) }

// mayHave reports whether it makes sense to ask p for a block of number n.
func (p *remote) mayHave(n uint64, now time.Time) bool {
	if !p.claimless() && (n > p.claim.Head.Number) {
		return false
	}
	return !p.lacking(n, now)
}

// serves is mayHave, for bodies, which a peer may have pruned.
func (p *remote) serves(n uint64, now time.Time) bool {
	return p.mayHave(n, now) && (n >= p.claim.Earliest || p.claimless())
}

func (p *remote) addLack(lo, hi uint64, until time.Time) {
	p.lacks = withLack(p.lacks, lack{lo, hi, until})
}

// withLack adds a range; it is joined with one that it touches, and the oldest
// is forgotten over the bound.
func withLack(ls []lack, l lack) []lack {
	for i, o := range ls {
		if l.lo <= o.hi+min(1, math.MaxUint64-o.hi) && o.lo <= l.hi+min(1, math.MaxUint64-l.hi) {
			l.lo, l.hi = min(l.lo, o.lo), max(l.hi, o.hi)
			if o.until.After(l.until) {
				l.until = o.until
			}
			return append(slices.Delete(ls, i, i+1), l)
		}
	}
	if len(ls) >= maxLacks {
		ls = ls[1:]
	}
	return append(ls, l)
}

// lower takes the claim of p down to n, since it delivered nothing above.
func (p *remote) lower(n uint64) {
	if !p.claimless() && p.claim.Head.Number > n {
		p.claim.Head = chain.Ref{Number: n}
		p.claim.Weight = chain.Weight{}
		if n == 0 {
			p.claim.Head.Hash = p.claim.Genesis
		}
	}
}

// capacity ranks p; a peer that is not measured ranks as a modest one, so that
// it gets its chance.
func (p *remote) capacity() float64 {
	r := p.rate
	if r == 0 {
		r = 4 * floorRate
	}
	return r / float64(int(1)<<min(p.silent, 10))
}

// stalls: it fell silent, or our requests do not leave for it, so that nothing
// waits for it.
func (p *remote) stalls() bool { return p.silent > 0 || p.clogged }

// slots is how many more requests p may get now.
func (c *Core) slots(p *remote) int {
	if c.now.Before(p.pausedUntil) {
		return 0
	}
	limit := min(p.window, c.cfg.MaxInFlightPerPeer)
	if p.stalls() {
		limit = 1
	}
	return limit - len(p.asked)
}

// wantBytes is how much to ask of p in one request: what it gives in one round
// trip and half a second, shared by its slots.
func (c *Core) wantBytes(p *remote) int {
	top := maxAnswer
	if b := c.cfg.Caps.MaxBatch.Bytes; b > 0 {
		top = min(top, b)
	}
	top = min(top, max(c.cfg.MaxBytes/8, 1))
	if p.rate == 0 {
		return min(firstAnswer, top)
	}
	// 1.5 s is never waited for: answers that keep coming grow the estimate.
	span := min(p.srtt, time.Second) + 500*time.Millisecond
	return min(max(int(p.rate*span.Seconds()), minAnswer), top)
}

// ask sends a request and remembers what to do with its end.
func (c *Core) ask(p *remote, rq wire.Request, expect int, lo, hi uint64, done func(wire.Response, error)) *request {
	r := &request{id: c.id(), peer: p, kind: wire.KindOf(rq), sent: c.now, counts: c.now, held: c.cfg.Caps.TellsSent, expect: expect, done: done, lo: lo, hi: hi}
	ahead := expect
	for _, o := range p.asked {
		ahead += o.expect
	}
	rate := float64(floorRate)
	if p.rate/4 > rate {
		rate = p.rate / 4
	}
	d := max(p.stall, 3*p.srtt) + time.Duration(float64(ahead)/rate*float64(time.Second))
	r.deadline = c.now.Add(min(d, maxDeadline))
	p.asked = append(p.asked, r)
	c.asked[r.id] = r
	c.reserved += expect
	c.emit(Ask{ID: r.id, Peer: p.id, Request: rq})
	return r
}

// onSent counts the time of a request from when it left, and of one that asks
// on, from when its last part did, but no longer than maxDeadline in all: who
// gives page after page must be quick enough to come to an end.
func (c *Core) onSent(in Sent) {
	r, ok := c.asked[in.ID]
	if !ok || r.cancelled {
		return
	}
	if r.held && in.At.After(r.sent) {
		r.sent = in.At
	}
	r.held = false
	if in.At.After(r.counts) {
		r.deadline = r.deadline.Add(in.At.Sub(r.counts))
		r.counts = in.At
		if last := r.sent.Add(maxDeadline); r.deadline.After(last) {
			r.deadline = last
		}
	}
}

// release frees what a request reserved, once.
func (c *Core) release(r *request) {
	c.reserved -= r.expect
	r.expect = 0
}

// drop forgets a request.
func (c *Core) drop(r *request) {
	if !r.cancelled {
		c.emit(Cancel{r.id})
	}
	c.release(r)
	delete(c.asked, r.id)
	r.peer.asked = slices.DeleteFunc(r.peer.asked, func(o *request) bool { return o == r })
}

// abandon cancels a request whose answer is not wanted any more, through no
// fault of the peer.
func (c *Core) abandon(r *request) {
	if r.cancelled {
		return
	}
	r.cancelled = true
	c.release(r)
	c.emit(Cancel{r.id})
}

// expire ends the requests whose deadline has passed. The work goes elsewhere
// in the same step; the peer keeps the slot until the request has ended.
func (c *Core) expire() {
	for _, p := range c.peers {
		for _, r := range p.asked {
			if r.cancelled || c.now.Before(r.deadline) {
				continue
			}
			r.cancelled = true
			c.release(r)
			c.emit(Cancel{r.id})
			c.unanswered(p, r)
			r.done(nil, nil)
		}
	}
}

// unanswered takes p one rank down. Requests that were sent before the last
// silence was noticed belong to that silence, and one that never left us is none
// of it. (Z-03) That may be our own long queue, or a peer that reads slowly: it
// costs nothing, and others go first until it answers.
func (c *Core) unanswered(p *remote, r *request) {
	if r.held {
		p.window, p.clogged = 1, true
		if slices.ContainsFunc(c.masters(c.job), func(o *remote) bool { return o != p }) {
			p.badUntil = c.now.Add(missFor)
		}
		return
	}
	if !p.lastSilence.IsZero() && r.sent.Before(p.lastSilence) {
		return
	}
	p.lastSilence = c.now
	p.silent++
	p.stall = min(2*p.stall, maxStall)
	p.window = 1
	if c.job != nil && c.job.master == p || r.scout {
		c.doubt(p)
	}
	if p.silent >= 3 {
		p.proved = false
	}
	if c.now.Sub(r.sent) >= c.cfg.Caps.Patience {
		p.mute++
	}
	if p.mute >= 3 && !c.cfg.Caps.SilentRefusal {
		c.emit(Charge{Peer: p.id, Offense: peer.NoAnswer, Detail: "requests in a row without an answer"})
	}
}

// answered measures p by an answer of n bytes.
func (c *Core) answered(p *remote, r *request, n int) {
	took := c.now.Sub(r.sent)
	if p.srtt == 0 {
		p.srtt = max(took, 1)
	} else {
		p.srtt += (took - p.srtt) / 8
	}
	since := took
	if p.lastGood.After(r.sent) {
		since = c.now.Sub(p.lastGood)
	}
	p.lastGood = c.now
	if n >= 4<<10 {
		sample := float64(n) / max(since, 100*time.Microsecond).Seconds()
		if p.rate == 0 {
			p.rate = sample
		} else {
			p.rate += (sample - p.rate) / 4
		}
	}
	p.silent, p.mute, p.refusals, p.clogged = 0, 0, 0, false
	p.stall = max(minStall, p.stall/2)
	p.window = min(p.window+1, c.cfg.MaxInFlightPerPeer)
}

// lacking reports whether p said that it does not have block n.
func (p *remote) lacking(n uint64, now time.Time) bool {
	for _, l := range p.lacks {
		if l.lo <= n && n <= l.hi && now.Before(l.until) {
			return true
		}
	}
	return false
}
