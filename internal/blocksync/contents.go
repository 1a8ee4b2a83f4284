package blocksync

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// bodySize is how large a block is expected to be, from those that came.
func (c *Core) bodySize() int {
	if c.avgBody == 0 {
		return 16 << 10
	}
	return max(int(c.avgBody), headerCost)
}

// sized takes in the size of n blocks.
func (c *Core) sized(bytes, n int) {
	sample := float64(bytes) / float64(n)
	if c.avgBody == 0 {
		c.avgBody = sample
	} else {
		c.avgBody += (sample - c.avgBody) / 4
	}
}

func (c *Core) bodyKind() string {
	if c.cfg.Caps.BodiesApart {
		return "bodies"
	}
	return "blocks"
}

// pick is the best peer that claims more than we have, serves block n and has a
// slot; what was tried before goes to somebody who delivered, if there is one.
func (c *Core) pick(j *job, n uint64, kind string, tried bool) *remote {
	tried = tried && c.provenGives(j, n, kind)
	for _, p := range c.ranked() {
		if tried && !p.proved || !c.better(p) {
			continue
		}
		if !j.excluded[p] && !p.unsupported[kind] && c.slots(p) > 0 && c.gives(j, p, n) {
			return p
		}
	}
	return nil
}

// askBodies hands the missing bodies to all peers, one request each in turn,
// the best first, until the slots or the memory are used up.
func (c *Core) askBodies(j *job) {
	if j.needs == 0 || !j.connected && j.bare {
		return // what could not be staged is fetched once the path is linked
	}
	kind := c.bodyKind()
	ranked := c.ranked()
	for given := true; given && j.needs > 0; {
		given = false
		for _, p := range ranked {
			if j.needs == 0 {
				return
			}
			if j.excluded[p] || p.unsupported[kind] || c.slots(p) <= 0 {
				continue
			}
			numbers, front := c.nextBodies(j, p)
			if len(numbers) == 0 {
				continue
			}
			expect := len(numbers) * c.bodySize()
			if !c.room(expect) {
				// What is missing at the front must come, or nothing is ever freed.
				if !front {
					return
				}
				numbers = numbers[:1]
				expect = c.bodySize()
			}
			c.askFor(j, p, numbers, expect)
			given = true
		}
	}
}

// nextBodies gives the next run of missing bodies that p may have, of at most
// what p is worth, and whether the first of all missing ones is in it.
func (c *Core) nextBodies(j *job, p *remote) ([]uint64, bool) {
	most := min(c.wantBytes(p)/c.bodySize(), c.cfg.Caps.MaxBatch.Bodies)
	// Who fell silent may have been asked for more than its link carries in
	// time: bodies are as large as they are, not as we expect.
	most = max(1, most>>min(p.silent, 10))
	if !c.cfg.Caps.BodiesApart {
		most = min(most, p.blocks)
	}
	up := j.connected
	lo, hi := j.low, j.high()
	if up {
		j.scan = max(j.scan, lo)
	} else {
		j.scan = min(j.scan, hi)
	}
	var numbers []uint64
	settled := true // nothing missing was passed over
	for n := j.scan; n >= lo && n <= hi && len(numbers) < most; {
		if e := j.entry(n); e.state == need && c.gives(j, p, n) && (!e.tried || p.proved || !c.provenGives(j, n, c.bodyKind())) {
			numbers = append(numbers, n)
		} else if len(numbers) > 0 {
			break
		} else if e.state == need {
			settled = false
		} else if settled {
			j.scan = n // everything before is under way or done
		}
		if up {
			n++
		} else {
			if n == 0 {
				break
			}
			n--
		}
	}
	return numbers, settled && len(numbers) > 0 && (!up || numbers[0] == j.low)
}

// askFor asks p for bodies.
func (c *Core) askFor(j *job, p *remote, numbers []uint64, expect int) {
	lo, hi := numbers[0], numbers[0]
	hashes, headers := make([]chain.Hash, len(numbers)), make([]chain.Header, len(numbers))
	for i, n := range numbers {
		e := j.entry(n)
		hashes[i], headers[i] = e.hdr.Ref.Hash, e.hdr
		if !p.stalls() {
			j.set(e, flying)
		} // else whoever answers first: nothing waits for a peer that stalls
		lo, hi = min(lo, n), max(hi, n)
	}
	var rq wire.Request
	switch {
	case c.cfg.Caps.BodiesApart:
		rq = wire.GetBodies{Hashes: hashes, Headers: headers}
	case c.cfg.Caps.ByHash:
		rq = wire.GetBlocksByHash{Hashes: hashes}
	default:
		rq = c.rangeRequest(chain.Range{From: chain.Ref{Number: lo}, Count: len(numbers)}, true)
	}
	var r *request
	r = c.ask(p, rq, expect, lo, hi, func(resp wire.Response, err error) {
		if c.job != j {
			return
		}
		if r.byHash && errors.Is(err, notFound) {
			j.lack(p, lo, c.now.Add(missFor))
		}
		c.onBodies(j, r, numbers, hashes, resp)
	})
	r.byHash = c.cfg.Caps.BodiesApart || c.cfg.Caps.ByHash
}

// onBodies takes in an answer to askFor: what is good of it goes on to be
// verified, the rest is asked for again, of somebody else first.
func (c *Core) onBodies(j *job, r *request, numbers []uint64, hashes []chain.Hash, resp wire.Response) {
	defer func() {
		for _, n := range numbers {
			if e := j.entry(n); e != nil && e.state == flying {
				e.tried = e.tried || resp == nil
				j.set(e, need)
			}
		}
	}()
	if resp == nil {
		return
	}
	p := r.peer
	got, bytes, off, detail := c.sortBodies(numbers, hashes, resp)
	if off != "" {
		c.lied(p.id, off, detail)
		c.offPath(j, p)
	}
	if len(got) == 0 {
		if off == "" {
			c.emptyBodies(j, p, r)
		}
		return
	}
	c.answered(p, r, bytes)
	c.sized(bytes, len(got))
	for i := range got[len(got)-1].at { // those in between it does not have
		if !slices.ContainsFunc(got, func(b placed) bool { return b.at == i }) {
			p.addLack(numbers[i], numbers[i], c.now.Add(missFor))
		}
	}
	front := j.connected && numbers[0] == j.low
	if c.held+bytes > c.cfg.MaxBytes && !front {
		c.drops.OverBudget++
		return
	}
	j.progress = c.now
	taken := make([]uint64, 0, len(got))
	for _, b := range got {
		i := b.at
		e := j.entry(numbers[i])
		if e == nil || e.hdr.Ref.Hash != hashes[i] || e.state != flying && e.state != need {
			continue // it came by another way
		}
		e.body, e.extra, e.from = b.Body.Body, b.Extra, p.id
		n := len(e.body) + len(e.extra)
		e.cost += n
		c.held += n
		j.set(e, checking)
		taken = append(taken, numbers[i])
	}
	c.verifyBodies(j, p.id, taken)
}

// emptyBodies: p gave nothing of what it was asked for.
func (c *Core) emptyBodies(j *job, p *remote, r *request) {
	if p.claimless() || min(p.claim.Head.Number, p.told) < r.hi || !j.vouched(p, r.lo) {
		j.lack(p, r.lo, c.now.Add(missFor)) // it may be on another branch
		return
	}
	c.emit(Charge{Peer: p.id, Offense: peer.EmptyAnswer, Detail: fmt.Sprintf("no body of %d to %d", r.lo, r.hi)})
	p.addLack(r.lo, r.hi, c.now.Add(lackFor))
	p.lower(r.lo - 1)
}

// hopeless reports whether nobody can be asked for what is missing, now or
// after a pause: a branch that was given without its bodies, or a trusted
// block that no peer knows.
func (c *Core) hopeless(j *job) bool {
	if len(c.peers) == 0 {
		return false
	}
	if !j.forward && !j.connected {
		for _, p := range c.peers {
			if !j.excluded[p] && c.gives(j, p, j.want.Number) {
				return false
			}
		}
		return true
	}
	if j.needs == 0 {
		return false
	}
	for i := range j.entries.len() {
		if j.entries.at(i).state != need {
			continue
		}
		n := j.low + uint64(i)
		for _, p := range c.peers {
			if !j.excluded[p] && !p.unsupported[c.bodyKind()] && c.gives(j, p, n) {
				return false
			}
		}
		return true
	}
	return false
}

// placed is a body and its place in what was asked for.
type placed struct {
	wire.Body
	at int
}

// sortBodies gives the bodies of what was asked for, in order, and the offense
// in the rest of the answer: the first of them, or any where the wire's peers
// leave out what they lack.
func (c *Core) sortBodies(numbers []uint64, asked []chain.Hash, resp wire.Response) ([]placed, int, peer.Offense, string) {
	var hashes []chain.Hash
	var bodies []wire.Body
	switch resp := resp.(type) {
	case wire.Bodies:
		hashes, bodies = resp.Hashes, resp.Bodies
	case wire.Blocks:
		for i, b := range resp.Blocks {
			h := b.Header.Ref
			if !c.cfg.Caps.ByHash && i < len(asked) && h.Number == numbers[i] && h.Hash != asked[i] {
				break // asked by number, it gave its own branch
			}
			hashes = append(hashes, h.Hash)
			bodies = append(bodies, wire.Body{Body: b.Body, Extra: b.Extra})
		}
	}
	n := min(len(hashes), len(bodies))
	out, bytes, next := make([]placed, 0, n), 0, 0
	for i, h := range hashes[:n] {
		skip := slices.Index(asked[next:], h)
		switch {
		case skip == 0 || skip > 0 && c.cfg.Caps.BodiesLeftOut:
			next += skip
			out = append(out, placed{bodies[i], next})
			next++
			bytes += len(bodies[i].Body) + len(bodies[i].Extra)
		case skip > 0:
			return out, bytes, peer.ShortAnswer, fmt.Sprintf("the body of %d is left out", numbers[next])
		case slices.Contains(asked[:next], h):
			return nil, 0, peer.UnorderedAnswer, "the same body twice"
		default:
			return nil, 0, peer.WrongBlock, fmt.Sprintf("body of %s was not asked for", h.Short())
		}
	}
	return out, bytes, "", ""
}

func (c *Core) onVerifiedHeaders(in VerifiedHeaders) {
	if c.tip.headersID == in.ID && in.ID != 0 {
		c.onTipHeaders(in)
		return
	}
	j := c.job
	if j == nil || j.verifying == nil || j.verifyID != in.ID {
		return
	}
	if in.Err == nil || errors.Is(in.Err, chain.ErrInvalid) {
		c.readable()
	}
	s := j.verifying
	j.verifying = nil
	if j.forward {
		c.onVerifiedForward(j, s, in)
	} else {
		c.onVerifiedBackward(j, s, in)
	}
}

func (c *Core) onVerifiedBodies(in VerifiedBodies) {
	if c.tip.bodiesID == in.ID && in.ID != 0 {
		c.onTipBodies(in)
		return
	}
	j := c.job
	if j == nil {
		return
	}
	ck, ok := j.checks[in.ID]
	if !ok {
		return
	}
	delete(j.checks, in.ID)
	charged := false
	for i, n := range ck.numbers {
		e := j.entry(n)
		if e == nil || e.state != checking {
			continue
		}
		var err error
		if i < len(in.Errs) {
			err = in.Errs[i]
		}
		if err == nil {
			j.set(e, ready)
			j.progress = c.now
			c.prove(ck.from)
			continue
		}
		c.empty(e)
		j.set(e, need)
		switch {
		case !errors.Is(err, chain.ErrInvalid):
			c.ownTrouble("verifying bodies", err, false)
		case ck.from == "":
			// It came by gossip, from a relay that need not have looked inside.
			c.loose.remove(c, e.hdr.Ref.Hash)
		case !charged:
			charged = true
			c.lied(ck.from, peer.InvalidBlock, fmt.Sprintf("body of %v: %s", e.hdr.Ref, errText(err)))
			c.offPath(j, c.byID[ck.from])
		}
	}
}
