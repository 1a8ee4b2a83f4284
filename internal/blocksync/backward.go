package blocksync

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// claimLag is how far under a trusted block a claim may be: gossip is faster
// than status.
const claimLag = 64

// canDescend reports whether this wire has requests for the way down.
func (c *Core) canDescend() bool {
	caps := c.cfg.Caps
	if caps.Skeleton {
		return caps.ByHash && !c.allLack(c.headerKind())
	}
	return caps.ByNumber || caps.ByHash
}

// allLack reports whether every peer there is lacks a kind of request.
func (c *Core) allLack(kind string) bool {
	for _, p := range c.peers {
		if !p.unsupported[kind] {
			return false
		}
	}
	return len(c.peers) > 0
}

// startBackward goes down from a trusted block. gap is the offered block above
// it, or zero.
func (c *Core) startBackward(target chain.Ref, gap chain.Hash) {
	j := c.newJob(false)
	j.target, j.want, j.gap = target, target, gap
	j.scan = target.Number
	c.job = j
	c.unjudgedText = ""
	c.emit(Tell{GapFound{Target: target, Head: c.status.Head}})
}

func (c *Core) driveBackward(j *job) {
	if j.connected {
		return
	}
	c.descend(j)
	if c.job != j || j.connected || j.looking {
		return
	}
	c.verifyDown(j)
	if j.pending < maxEntries {
		c.askDown(j)
	}
}

// descend goes down as far as what we have goes: what is staged, then what is
// imported.
func (c *Core) descend(j *job) {
	for !j.looking && j.verifying == nil {
		if base, ok := c.recent.Get(j.want.Hash); ok {
			c.connected(j, base)
			return
		}
		if c.bad.Has(j.want.Hash) {
			c.refuseTarget(j, "it descends from a block that the chain refused")
			return
		}
		if h, ok := c.staged[j.want.Hash]; ok && h.Ref.Number == j.want.Number && j.want.Number > 0 {
			c.add(j, h.Header, nil, "", true)
			j.want = chain.Ref{Number: h.Ref.Number - 1, Hash: h.Parent}
			j.progress = c.now
			continue
		}
		if j.want.Number > c.status.Head.Number {
			return
		}
		if j.looked == j.want.Hash {
			if j.want.Number <= c.status.Finalized.Number {
				c.refuseTarget(j, fmt.Sprintf("it leaves our chain at or below %d, which is final", c.status.Finalized.Number))
			}
			return
		}
		j.looking = true
		want := j.want
		c.lookup([]chain.Ref{want}, func(got Looked) {
			j.looking = false
			if c.job != j {
				return
			}
			if got.Err != nil {
				c.ownTrouble("reading our own chain", got.Err, errors.Is(got.Err, chain.ErrCorrupt))
				return
			}
			j.looked = want.Hash
			if len(got.Found) == 1 && got.Found[0] != nil {
				if _, staged := c.staged[want.Hash]; !staged {
					c.remember(*got.Found[0])
				}
			}
		})
	}
}

// connected: the path hangs from a block of ours; bodies are now wanted from
// the low end, so that import can begin.
func (c *Core) connected(j *job, base chain.Header) {
	for _, s := range slices.Clone(j.spans) {
		if s.r != nil {
			c.abandon(s.r)
		}
		c.dropSpan(j, s)
	}
	j.connect(base)
	j.progress = c.now
}

// refuseTarget ends a job whose target cannot be reached, ever.
func (c *Core) refuseTarget(j *job, why string) {
	c.emit(Tell{TargetRefused{Target: j.target, Reason: why}})
	if c.target.Hash == j.target.Hash {
		c.target = chain.Ref{}
	}
	if !j.gap.IsZero() {
		c.bad.Add(j.target.Hash)
		c.loose.removeTree(c, j.gap)
	}
	c.endJob()
}

// verifyDown verifies the span whose top is the wanted block.
func (c *Core) verifyDown(j *job) {
	if j.verifying != nil || len(j.spans) == 0 || !j.spans[0].answered || c.pausedByTrouble() {
		return
	}
	s := j.spans[0]
	p := c.byID[s.from]
	if top := s.hs[len(s.hs)-1]; top.Ref.Hash != j.want.Hash {
		// By number, it gave a block of another branch than the trusted one. It may
		// well be on that branch, unless it gave a block above, whose ancestor the
		// wanted one is.
		off := peer.UnlinkedAnswer
		if j.gave(s.from) {
			off = peer.WrongBlock
		}
		c.lied(s.from, off, fmt.Sprintf("%v does not link to the trusted %v", top.Ref, j.want))
		c.offPath(j, p)
		for _, o := range j.spans { // what else it gave is asked of others
			if o.from == s.from && o != s {
				c.clearSpan(o)
			}
		}
		c.clearSpan(s)
		return
	}
	hs := s.hs
	s.paired = c.proven() && j.entries.len() > 0 && j.entries.at(0).hdr.Bytes != nil
	if s.paired {
		hs = append(slices.Clone(hs), j.entries.at(0).hdr) // its parent is known now
	}
	var staged []chain.Hash
	for _, h := range hs {
		if _, ok := c.staged[h.Ref.Hash]; ok {
			staged = append(staged, h.Ref.Hash)
		}
	}
	if _, ok := c.staged[hs[0].Parent]; ok {
		staged = append(staged, hs[0].Parent)
	}
	j.verifying = s
	j.verifyID = c.id()
	c.emit(VerifyHeaders{ID: j.verifyID, Headers: hs, Head: c.status.Head.Number, Staged: staged})
}

// proven: the wire itself computes the hash of a block, so that a block with
// the wanted hash is the wanted block.
func (c *Core) proven() bool { return !c.cfg.Caps.Skeleton }

func (c *Core) onVerifiedBackward(j *job, s *span, in VerifiedHeaders) {
	hs := s.hs
	total := len(hs)
	if s.paired {
		total++ // the lowest entry was verified with it
	}
	if in.First+in.N < total {
		switch {
		case errors.Is(in.Err, chain.ErrUnjudged):
			c.unjudged(j, in.Err)
			return
		case !errors.Is(in.Err, chain.ErrInvalid):
			c.ownTrouble("verifying headers", in.Err, false)
			return // and again after a while
		}
		p := c.byID[s.from]
		if c.proven() {
			c.refuseTarget(j, "a block below it is invalid: "+errText(in.Err))
			return
		}
		c.lied(s.from, peer.InvalidBlock, errText(in.Err))
		c.offPath(j, p)
		c.clearSpan(s)
		return
	}
	first := in.First
	if c.proven() && !in.Linked {
		first = 0 // its hash is known to be right; it is verified with the next
	}
	if first >= len(hs) && !in.Linked {
		// One header, and nothing that proves it: it has less than it should.
		if p := c.byID[s.from]; p != nil {
			j.lack(p, s.hi, c.now.Add(missFor))
		}
		c.clearSpan(s)
		return
	}
	j.progress = c.now
	c.prove(s.from)
	from, bs := s.from, s.bs
	c.dropSpan(j, s)
	hi := uint64(0)
	for i := len(hs) - 1; i >= first; i-- {
		var b *chain.Block
		if bs != nil {
			b = &bs[i]
		}
		c.add(j, hs[i], b, from, true)
		j.fetched++
		hi = max(hi, hs[i].Ref.Number)
	}
	if hi > 0 {
		c.checkAdded(j, j.low, hi)
		low := j.entries.at(0).hdr
		j.want = chain.Ref{Number: low.Ref.Number - 1, Hash: low.Parent}
	}
	if in.Linked {
		c.remember(in.Base)
		if j.entries.len() == 0 {
			j.want = in.Base.Ref
		}
		c.connected(j, in.Base)
	}
}

// unjudged ends a job whose headers nobody can judge from above: the same would
// be given again and again. It is nobody's fault and no trouble of ours; a sync
// forward, from our head on, can judge, and goes first meanwhile.
func (c *Core) unjudged(j *job, err error) {
	since := c.behindSince
	c.abort(j, errText(err))
	c.behindSince = since
	c.unjudgedText, c.forwardFirst = errText(err), c.now.Add(retryGapAfter)
}

// askDown asks for what is below the path.
func (c *Core) askDown(j *job) {
	if c.proven() && c.cfg.Caps.ByNumber {
		c.askDownByNumber(j)
		return
	}
	if len(j.spans) == 0 {
		j.spans = []*span{{}}
	}
	s := j.spans[0]
	if s.r != nil || s.answered {
		return
	}
	// One more than is missing: the lowest is proven by its parent only.
	missing := uint64(1)
	if j.want.Number > c.status.Head.Number {
		missing = j.want.Number - c.status.Head.Number
	}
	whole := c.proven() || (missing <= wholeGap && j.entries.len() == 0 && c.cfg.Caps.MaxBatch.Blocks > 1)
	count := max(missing+1, 2)
	if j.want.Number <= c.status.Head.Number {
		count = 64 // a branch below our head
	}
	kind, most := "headers", uint64(c.cfg.Caps.MaxBatch.Headers)
	if whole {
		kind, most = "blocks", uint64(max(1, c.cfg.Caps.MaxBatch.Blocks))
	}
	if whole && !c.proven() && c.pickDown(j, j.want.Number, kind, false) == nil && c.allLack(kind) {
		whole, kind, most = false, "headers", uint64(c.cfg.Caps.MaxBatch.Headers)
	}
	count = min(count, most, j.want.Number+1)
	if whole {
		count = min(count, max(2, uint64(c.cfg.MaxBytes/4/c.bodySize())))
	}
	p := c.pickDown(j, j.want.Number, kind, s.tried)
	if p == nil {
		return
	}
	s.hi, s.lo = j.want.Number, j.want.Number+1-count
	expect := int(count) * headerCost * 2
	if whole {
		expect = int(count) * c.bodySize()
	}
	rg := chain.Range{From: j.want, Count: int(count), Reverse: true}
	s.r = c.ask(p, c.rangeRequest(rg, whole), expect, s.hi, s.hi, func(resp wire.Response, err error) {
		r := s.r
		s.r = nil
		if c.job != j {
			return
		}
		if errors.Is(err, notFound) {
			j.lack(p, r.hi, c.now.Add(missFor))
		}
		c.onDown(j, s, r, resp, true)
	})
	s.r.byHash = true
}

// askDownByNumber asks many peers at once for ranges below the path, which are
// put in order as they come.
func (c *Core) askDownByNumber(j *job) {
	for i := 0; i < len(j.spans); i++ { // which may grow behind i
		if s := j.spans[i]; s.r == nil && !s.answered && !c.askNumbers(j, s) {
			return
		}
	}
	next := j.want.Number
	if n := len(j.spans); n > 0 {
		next = j.spans[n-1].lo - 1
	}
	// Below our head there is a branch, whose length is not known.
	floor := min(c.status.Head.Number+1, j.want.Number)
	limit := 4 * c.cfg.MaxInFlightPerPeer * max(1, len(c.peers))
	for next >= floor && next > 0 && len(j.spans) < limit {
		s := &span{lo: floor, hi: next} // of which it takes what one request can bring
		if !c.askNumbers(j, s) {
			return
		}
		j.spans = append(j.spans, s)
		next = s.lo - 1
	}
}

// askNumbers asks somebody for the upper part of a span: as much as one request
// of that peer brings. The rest is a span of its own, if s is one of the job's.
func (c *Core) askNumbers(j *job, s *span) bool {
	p := c.pickDown(j, s.hi, "blocks", s.tried)
	if p == nil {
		return false
	}
	count := min(s.hi-s.lo+1, uint64(max(1, min(p.blocks, maxAnswer/c.bodySize()))))
	expect := int(count) * c.bodySize()
	top := len(j.spans) == 0 || s == j.spans[0]
	if !c.room(expect) && !top {
		return false
	}
	if count <= s.hi-s.lo {
		rest := &span{lo: s.lo, hi: s.hi - count}
		s.lo = rest.hi + 1
		if i := slices.Index(j.spans, s); i >= 0 {
			j.spans = slices.Insert(j.spans, i+1, rest)
		}
	}
	rg := chain.Range{From: chain.Ref{Number: s.lo}, Count: int(s.hi - s.lo + 1)}
	s.r = c.ask(p, c.rangeRequest(rg, true), expect, s.lo, s.hi, func(resp wire.Response, err error) {
		r := s.r
		s.r = nil
		if c.job == j {
			c.onDown(j, s, r, resp, false)
		}
	})
	return true
}

// gives reports whether it makes sense to ask p for block n in this job. Below
// a trusted block a claim may lag behind.
func (c *Core) gives(j *job, p *remote, n uint64) bool {
	if j.lacking(p, n, c.now) {
		return false
	}
	return p.serves(n, c.now) || (!j.forward && p.lagging(n) && !p.lacking(n, c.now))
}

// lagging: gossip is ahead of what p last claimed.
func (p *remote) lagging(n uint64) bool {
	return !p.claimless() && p.claim.Head.Number < n && n-p.claim.Head.Number <= claimLag
}

// pickDown picks who to ask for block n below a trusted one: the best that
// claims it, else the best whose claim may lag behind gossip.
func (c *Core) pickDown(j *job, n uint64, kind string, tried bool) *remote {
	var lagging *remote
	tried = tried && c.provenGives(j, n, kind)
	for _, p := range c.ranked() {
		if tried && !p.proved {
			continue
		}
		if j.excluded[p] || p.unsupported[kind] || c.slots(p) <= 0 {
			continue
		}
		if p.serves(n, c.now) && !j.lacking(p, n, c.now) {
			return p
		}
		if lagging == nil && c.gives(j, p, n) {
			lagging = p
		}
	}
	return lagging
}

// onDown takes in an answer to askDown: descending from the trusted block, or
// ascending by number.
func (c *Core) onDown(j *job, s *span, r *request, resp wire.Response, descending bool) {
	s.tried = resp == nil
	if resp == nil || j.connected || !slices.Contains(j.spans, s) {
		return
	}
	p := r.peer
	hs, bs, ok := headersOf(resp)
	if !ok {
		c.wrongKind(r)
		return
	}
	if len(hs) == 0 {
		if !descending && !p.claimless() && p.claim.Head.Number >= s.hi {
			c.emptyRange(j, p, s.hi)
		} else {
			j.lack(p, s.hi, c.now.Add(missFor)) // of a hash that it need not know
		}
		return
	}
	took := size(hs, bs)
	hs, bs = slices.Clone(hs), slices.Clone(bs)
	if descending {
		if hs[0].Ref != j.want {
			c.lied(p.id, peer.WrongBlock, fmt.Sprintf("%v, asked for %v", hs[0].Ref, j.want))
			c.offPath(j, p)
			return
		}
		if bs == nil {
			hs = trim(hs)
		}
		slices.Reverse(hs)
		slices.Reverse(bs)
	}
	n, off, detail := run(hs, hs[0].Ref.Number, int(s.hi-s.lo+1))
	if !descending && hs[0].Ref.Number != s.lo {
		n, off, detail = 0, peer.WrongBlock, fmt.Sprintf("answer starts at %d, asked for %d", hs[0].Ref.Number, s.lo)
	}
	if off != "" {
		c.lied(p.id, off, detail)
		c.offPath(j, p)
		return
	}
	c.answered(p, r, took)
	if c.held+took > c.cfg.MaxBytes && s != j.spans[0] {
		c.drops.OverBudget++
		return
	}
	if !descending && n < int(s.hi-s.lo+1) {
		// The lower part came; the upper, which is wanted first, is a span of its own.
		upper := &span{lo: s.lo + uint64(n), hi: s.hi}
		s.hi = upper.lo - 1
		j.spans = slices.Insert(j.spans, slices.Index(j.spans, s), upper)
	}
	s.lo = hs[0].Ref.Number
	c.fill(s, p.id, hs, bs)
	j.progress = c.now
}
