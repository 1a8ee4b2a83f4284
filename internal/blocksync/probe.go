package blocksync

import (
	"errors"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// probe looks for the highest block that a peer and we have in common: at our
// head, then back in doubling steps, then by halving. At most 2·64 questions,
// one header each.
type probe struct {
	peer  *remote
	busy  bool
	floor uint64 // final here: below it no common ancestor is of use
	good  uint64 // in common, once matched
	bad   uint64 // the lowest known to differ, or one above the first asked
	step  uint64
	found bool         // good was compared
	base  chain.Header // of good
}

func (c *Core) newProbe(p *remote) *probe {
	floor := c.status.Finalized.Number
	top := max(floor, min(c.status.Head.Number, p.claim.Head.Number))
	return &probe{peer: p, floor: floor, good: floor, bad: top + 1, step: 1}
}

// at is the number to compare next.
func (p *probe) at() uint64 {
	if p.found {
		return p.good + (p.bad-p.good)/2
	}
	if p.bad-p.floor <= p.step {
		return p.floor
	}
	return p.bad - p.step
}

func (c *Core) driveProbe(j *job) {
	pr := j.probe
	if pr.busy {
		return
	}
	if pr.found && pr.bad == pr.good+1 {
		j.probe = nil
		j.connect(pr.base)
		j.tip, j.tipOf = pr.base, pr.peer.id
		j.next = pr.base.Ref.Number + 1
		j.progress = c.now
		c.driveForward(j)
		return
	}
	n := pr.at()
	if n > 0 && c.slots(j.master) <= 0 {
		return // when there is a slot
	}
	if n == c.status.Head.Number {
		if h, ok := c.recent.Get(c.status.Head.Hash); ok {
			c.probeAt(j, h)
			return
		}
	}
	pr.busy = true
	c.lookup([]chain.Ref{{Number: n}}, func(got Looked) {
		pr.busy = false
		if c.job != j || j.probe != pr {
			return
		}
		if len(got.Found) != 1 || got.Found[0] == nil {
			c.ownTrouble("reading our own chain", got.Err, errors.Is(got.Err, chain.ErrCorrupt))
			c.abort(j, "our own chain cannot be read")
			return
		}
		c.probeAt(j, *got.Found[0])
	})
}

// probeAt compares our header with the peer's of the same number.
func (c *Core) probeAt(j *job, ours chain.Header) {
	pr, p := j.probe, j.master
	n := ours.Ref.Number
	if n == 0 {
		// The genesis was compared in the handshake.
		c.probed(j, ours, true)
		return
	}
	if p == nil || c.slots(p) <= 0 {
		return // it left, or lost its slot, meanwhile
	}
	pr.busy = true
	rg := chain.Range{From: chain.Ref{Number: n}, Count: 1}
	if !c.cfg.Caps.ByNumber {
		rg.From.Hash = ours.Ref.Hash
	}
	var r *request
	r = c.ask(p, c.rangeRequest(rg, !c.cfg.Caps.Skeleton), headerCost, n, n, func(resp wire.Response, err error) {
		pr.busy = false
		if resp != nil {
			c.answered(p, r, 0)
		}
		if c.job != j || j.probe != pr {
			return
		}
		byHash := !c.cfg.Caps.ByNumber
		hs, _, ok := headersOf(resp)
		switch {
		case resp == nil && errors.Is(err, notFound) && byHash, ok && len(hs) == 0 && byHash:
			c.probed(j, ours, false)
		case resp == nil && errors.Is(err, notFound):
			c.undelivered(p, n)
			j.master = nil
		case resp == nil:
			j.master = nil
		case ok && len(hs) == 0:
			c.emptyRange(j, p, n)
		case !ok || hs[0].Ref.Number != n || len(hs) > 1:
			c.lied(p.id, peer.WrongBlock, "answer to a single number is another")
			c.offPath(j, p)
		default:
			c.probed(j, ours, hs[0].Ref.Hash == ours.Ref.Hash)
		}
	})
	r.byHash = !c.cfg.Caps.ByNumber
}

// probed narrows the search.
func (c *Core) probed(j *job, ours chain.Header, same bool) {
	pr := j.probe
	n := ours.Ref.Number
	j.progress = c.now
	switch {
	case same:
		pr.found, pr.good, pr.base = true, n, ours
	case n <= pr.floor:
		// It left our chain below what is final here: no branch of it can be
		// taken, and this is nobody's fault.
		pr.peer.badUntil = c.now.Add(lackFor)
		c.emit(Tell{ReorgRefused{Fork: pr.peer.claim.Head, From: pr.peer.id}})
		c.offPath(j, pr.peer)
		if j.master == nil {
			c.abort(j, "a peer's chain has left ours below what is final")
		}
		return
	default:
		pr.bad = n
		if !pr.found {
			pr.step *= 2
		}
	}
	c.driveProbe(j)
}
