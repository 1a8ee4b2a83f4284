package blocksync

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// better reports whether p claims more than we have. A claim is enough to ask
// and never enough to believe.
func (c *Core) better(p *remote) bool {
	if p.claimless() || p.claim.Head == p.reached || p.claim.Head == c.status.Head {
		return false
	}
	if zero := (chain.Weight{}); p.claim.Weight != zero && c.status.Weight != zero {
		return p.claim.Weight.Compare(c.status.Weight) > 0
	}
	return p.claim.Head.Number > c.status.Head.Number
}

// headerKind is the kind of request that brings headers on this wire.
func (c *Core) headerKind() string {
	if c.cfg.Caps.Skeleton {
		return "headers"
	}
	return "blocks"
}

func (c *Core) startForward(p *remote) {
	j := c.newJob(true)
	c.lead(j, p)
	j.goal = p.claim.Head.Number
	j.probe = c.newProbe(p)
	c.job = j
	c.tellSyncing()
}

func (c *Core) driveForward(j *job) {
	if !c.changeMaster(j) {
		return
	}
	if j.probe != nil {
		if j.master != nil {
			if j.probe.peer != j.master && !j.probe.busy {
				j.probe = c.newProbe(j.master)
			}
			c.driveProbe(j)
		}
		return
	}
	if j.master != nil {
		j.goal = j.master.claim.Head.Number
	}
	c.cutSpans(j)
	c.verifySpan(j)
	c.askSpans(j)
}

// takeOver frees the headers that were asked of peers that stall.
func (c *Core) takeOver(j *job) {
	for _, s := range j.spans {
		if s.r != nil && s.r.peer != j.master && s.r.peer.stalls() {
			c.abandon(s.r)
			s.r = nil
		}
	}
}

// replaceMaster gives the headers that were asked of one peer to another.
func (c *Core) replaceMaster(j *job, p *remote) {
	for _, s := range j.spans {
		if s.r != nil && s.r.peer == j.master && (c.cfg.Caps.Skeleton || j.master.stalls()) {
			c.abandon(s.r)
			s.r = nil
		}
	}
	if j.probe != nil {
		j.probe.busy = false
		j.probe = c.newProbe(p)
	}
	if j.master != nil {
		j.master.inLine = c.now // it had its turn
	}
	c.lead(j, p)
}

// cutSpans forgets spans over the goal that nobody was asked for.
func (c *Core) cutSpans(j *job) {
	for len(j.spans) > 0 {
		s := j.spans[len(j.spans)-1]
		if s.r != nil || s.answered || s == j.verifying || s.lo <= j.goal {
			return
		}
		j.next = s.lo
		j.spans = j.spans[:len(j.spans)-1]
	}
}

// verifySpan has the lowest span verified against the tip, if it came.
func (c *Core) verifySpan(j *job) {
	if j.verifying != nil || len(j.spans) == 0 || !j.spans[0].answered || c.pausedByTrouble() {
		return
	}
	s := j.spans[0]
	p := c.byID[s.from]
	if s.hs[0].Parent != j.tip.Ref.Hash {
		// Another branch: its own right, and no use here.
		c.offPath(j, p)
		c.clearSpan(s)
		return
	}
	if i := slices.IndexFunc(s.hs, func(h chain.Header) bool { return c.bad.Has(h.Ref.Hash) }); i >= 0 {
		c.offPath(j, p)
		if p != nil {
			p.badUntil = c.now.Add(lackFor)
		}
		if i == 0 {
			c.clearSpan(s)
			return
		}
		c.shorten(j, s, i)
	}
	j.verifying = s
	j.verifyID = c.id()
	parent := j.tip
	c.emit(VerifyHeaders{ID: j.verifyID, Parent: &parent, Headers: s.hs})
}

// offPath stops asking p in this job.
func (c *Core) offPath(j *job, p *remote) {
	if p == nil {
		return
	}
	j.excluded[p] = true
	if j.master == p {
		j.master = nil
	}
}

// shorten keeps the first n headers of an answered span; the rest is to be
// asked for again.
func (c *Core) shorten(j *job, s *span, n int) {
	rest := &span{lo: s.lo + uint64(n), hi: s.hi}
	c.held -= s.cost
	s.hs = slices.Clone(s.hs[:n])
	if s.bs != nil {
		s.bs = slices.Clone(s.bs[:n])
	}
	s.cost = size(s.hs, s.bs)
	c.held += s.cost
	s.hi = rest.lo - 1
	i := slices.Index(j.spans, s)
	if rest.lo <= rest.hi {
		j.spans = slices.Insert(j.spans, i+1, rest)
	}
}

// askSpans asks for the headers above the tip: from the master alone where
// headers can be asked for, else from all.
func (c *Core) askSpans(j *job) {
	caps := c.cfg.Caps
	skeleton := caps.Skeleton
	limit := headerPipeline
	if !caps.ByNumber {
		limit = 1
	} else if !skeleton {
		limit = 4 * c.cfg.MaxInFlightPerPeer * max(1, len(c.peers))
	}
	for _, s := range j.spans {
		if s.r == nil && !s.answered {
			if !c.askSpan(j, s) {
				return
			}
		}
	}
	for len(j.spans) < limit && j.next <= j.goal && j.entries.len() < maxEntries {
		n := uint64(c.spanLength())
		if skeleton && j.master != nil && j.master.srtt == 0 {
			n = min(n, firstHeaders)
		}
		s := &span{lo: j.next, hi: j.next + min(j.goal-j.next, n-1)}
		if !c.askSpan(j, s) {
			return
		}
		j.spans = append(j.spans, s)
		j.next = s.hi + 1
	}
}

// spanLength is how many headers or blocks one request asks for.
func (c *Core) spanLength() int {
	if c.cfg.Caps.Skeleton {
		return c.cfg.Caps.MaxBatch.Headers
	}
	return max(1, min(c.cfg.Caps.MaxBatch.Blocks, maxAnswer/c.bodySize()))
}

// askSpan asks somebody for a span of the forward job.
func (c *Core) askSpan(j *job, s *span) bool {
	expect := int(s.hi-s.lo+1) * headerCost * 2
	p := j.master
	if !c.cfg.Caps.Skeleton {
		expect = int(s.hi-s.lo+1) * c.bodySize()
		p = c.pick(j, s.lo, "blocks", s.tried)
	}
	if p == nil || c.slots(p) <= 0 || p.unsupported[c.headerKind()] {
		return false
	}
	if s.lo > j.goal {
		return false // cut when nothing above it is under way
	}
	front := len(j.spans) == 0 || s == j.spans[0]
	if !c.room(expect) && !(front && j.entries.len() == 0) {
		return false
	}
	rg := chain.Range{From: chain.Ref{Number: s.lo}, Count: int(s.hi - s.lo + 1)}
	if !c.cfg.Caps.ByNumber {
		if !front {
			return false
		}
		s.lo = j.tip.Ref.Number + 1
		rg = chain.Range{From: j.tip.Ref, Count: int(s.hi-s.lo+1) + 1} // the tip comes along
	}
	s.r = c.ask(p, c.rangeRequest(rg, !c.cfg.Caps.Skeleton), expect, s.lo, s.hi, func(resp wire.Response, err error) {
		r := s.r
		s.r = nil
		if c.job == j {
			c.onSpan(j, s, r, resp, err)
		}
	})
	return true
}

func (c *Core) rangeRequest(rg chain.Range, whole bool) wire.Request {
	if whole {
		rg.MaxBytes = maxAnswer
		if b := c.cfg.Caps.MaxBatch.Bytes; b > 0 {
			rg.MaxBytes = min(rg.MaxBytes, b)
		}
		return wire.GetBlocks{Range: rg}
	}
	return wire.GetHeaders{Range: rg}
}

// onSpan takes in an answer of headers, or of blocks on a wire without them.
func (c *Core) onSpan(j *job, s *span, r *request, resp wire.Response, err error) {
	p := r.peer
	if resp == nil {
		s.tried = true
		// The master has had its turn; another one goes on from the tip.
		if p == j.master && j.entries.len() == 0 && errors.Is(err, notFound) {
			c.undelivered(p, s.lo)
		} else if errors.Is(err, notFound) {
			p.lower(s.lo - 1)
		}
		if j.master == p {
			j.master = nil
		}
		return
	}
	hs, bs, ok := headersOf(resp)
	if !ok {
		c.wrongKind(r)
		return
	}
	took := size(hs, bs)
	if !c.cfg.Caps.ByNumber && len(hs) > 0 {
		if hs[0].Ref != j.tip.Ref {
			c.lied(p.id, peer.WrongBlock, fmt.Sprintf("headers from %v, asked from %v", hs[0].Ref, j.tip.Ref))
			c.offPath(j, p)
			return
		}
		hs = hs[1:]
		if bs != nil {
			bs = bs[1:]
		}
	}
	if len(hs) == 0 {
		if c.cfg.Caps.ByNumber || j.tipOf == p.id {
			c.emptyRange(j, p, s.lo)
		} else {
			c.offPath(j, p) // it need not know our tip
		}
		return
	}
	n, off, detail := run(hs, s.lo, int(s.hi-s.lo+1))
	if off != "" {
		c.lied(p.id, off, detail)
		c.offPath(j, p)
	}
	if n == 0 {
		return
	}
	c.answered(p, r, took)
	if bs == nil {
		hs = trim(hs[:n])
		n = len(hs)
	} else if front := s == j.spans[0]; c.held+took > c.cfg.MaxBytes && !front {
		c.drops.OverBudget++
		return
	}
	c.fill(s, p.id, slices.Clone(hs[:n]), slices.Clone(bs[:min(n, len(bs))]))
	if n < int(s.hi-s.lo+1) {
		c.shorten(j, s, n)
	}
	j.progress = c.now
}

// notFound matches a refusal of a peer that does not have what it was asked for.
var notFound error = &wire.Refusal{Code: wire.RefusedNotFound}

func isNotFound(err error) bool { return errors.Is(err, notFound) }

// emptyRange is an empty answer for a range that p claimed. (L-05)
func (c *Core) emptyRange(j *job, p *remote, lo uint64) {
	if j.master == p {
		j.master = nil
	}
	if p.claimless() || p.claim.Head.Number < lo {
		p.addLack(lo, lo, c.now.Add(missFor)) // it never said that it had it
		return
	}
	if p.told < lo { // nor did it here: it passed on a block that is above
		p.addLack(lo, lo, c.now.Add(missFor))
		p.lower(lo - 1)
		return
	}
	c.emit(Charge{Peer: p.id, Offense: peer.EmptyAnswer, Detail: fmt.Sprintf("nothing from %d, claimed %d", lo, p.claim.Head.Number)})
	p.addLack(lo, max(lo, p.claim.Head.Number), c.now.Add(lackFor))
	c.undelivered(p, lo)
}

// undelivered counts a head that p claimed and did not deliver, and lowers the
// claim. The third costs. (L-09)
func (c *Core) undelivered(p *remote, lo uint64) {
	if p.claimless() || p.claim.Head.Number < lo {
		return
	}
	if p.told < lo { // a node that syncs passes on what is far above its head
		p.lower(lo - 1)
		return
	}
	c.doubt(p)
	p.undelivered++
	if p.undelivered >= falseHeadAt {
		p.proved = false
		c.emit(Charge{Peer: p.id, Offense: peer.FalseHead, Detail: fmt.Sprintf("claimed %v, delivered nothing from %d", p.claim.Head, lo)})
		p.badUntil = c.now.Add(lackFor)
		p.undelivered = 0
	}
	p.lower(lo - 1)
}

// onVerifiedForward puts verified headers on top of the path.
func (c *Core) onVerifiedForward(j *job, s *span, in VerifiedHeaders) {
	p := c.byID[s.from]
	n := min(in.N, len(s.hs))
	lo := s.lo
	for i := range n {
		if _, ok := c.recent.Get(s.hs[i].Ref.Hash); ok && j.entries.len() == 0 {
			j.connect(s.hs[i]) // gossip was faster
			lo = s.hs[i].Ref.Number + 1
			continue
		}
		var b *chain.Block
		if s.bs != nil {
			b = &s.bs[i]
		}
		c.add(j, s.hs[i], b, s.from, false)
	}
	if n > 0 {
		near := !j.far(c.status.Head)
		j.tip, j.tipOf = s.hs[n-1], s.from
		if near && j.far(c.status.Head) && c.reached {
			c.tellSyncing() // at once: a claim alone says nothing
		}
		j.progress = c.now
		c.prove(s.from)
		c.checkAdded(j, lo, s.lo+uint64(n)-1)
	}
	switch {
	case n == len(s.hs):
		c.dropSpan(j, s)
		if p != nil && p.claim.Head == j.tip.Ref {
			p.undelivered = 0
		}
	case errors.Is(in.Err, chain.ErrInvalid):
		c.lied(s.from, peer.InvalidBlock, peer.Clean(in.Err.Error()))
		c.offPath(j, p)
		if p != nil {
			p.badUntil = c.now.Add(lackFor)
		}
		c.clearSpan(s)
		s.lo += uint64(n)
	default:
		c.ownTrouble("verifying headers", in.Err, false)
		hs, bs := s.hs[n:], s.bs
		if bs != nil {
			bs = bs[n:]
		}
		from := s.from
		c.clearSpan(s)
		s.lo += uint64(n)
		c.fill(s, from, hs, bs)
	}
}

func errText(err error) string {
	if err == nil {
		return "no result"
	}
	return peer.Clean(err.Error())
}
