package relay

import (
	"fmt"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// seek asks every peer that can be asked for the blocks that it announced.
func (c *Core) seek() {
	if len(c.sought) == 0 {
		return
	}
	c.pass()
	for _, p := range c.peers {
		if !p.seek.rests.IsZero() && !p.seek.rests.After(c.now) {
			p.seek.rests, c.askable = time.Time{}, true
		}
	}
	if !c.askable || len(c.peers) == 0 {
		return
	}
	c.askable = false
	first := c.cfg.Rand.IntN(len(c.peers)) // whose turn it is must not be foreseen
	for i := range c.peers {
		c.askBlocks(c.peers[(first+i)%len(c.peers)])
	}
}

// askBlocks sends a peer one request, if it has what nobody else is asked for:
// for bodies, or else for one header, that of the lowest number.
func (c *Core) askBlocks(p *remote) {
	s := &p.seek
	room := s.held < maxHeld && s.heldBytes < maxHeldBytes
	if s.asked != nil || !s.rests.IsZero() {
		return
	}
	var (
		headers []chain.Header
		lowest  *sought
		number  uint64
	)
	for _, w := range s.sought {
		switch {
		case w.asked != nil:
		case w.stage == completing && len(headers) < maxHeld:
			headers = append(headers, w.header)
			s.asked = append(s.asked, w)
			w.asked = p
		case w.stage == fetching && room:
			if n := w.from[w.reportOf(p)].number; lowest == nil || n < number {
				lowest, number = w, n
			}
		}
	}
	switch {
	case len(headers) > 0:
		c.do(FetchBodies{p.id, headers})
	case lowest != nil:
		s.asked, lowest.asked = []*sought{lowest}, p
		c.do(FetchHeader{p.id, chain.Ref{Number: number, Hash: lowest.hash}})
	}
}

// answered ends the request that is under way with p, and gives what it was for
// and is wanted of p still.
func (c *Core) answered(p *remote) (open []*sought) {
	for _, w := range p.seek.asked {
		if !w.done && w.asked == p {
			open = append(open, w)
		}
	}
	p.seek.asked, c.askable = nil, true
	return open
}

// missed notes that p gave nothing: it rests a while, and others are asked.
func (c *Core) missed(p *remote, silent bool, open []*sought) {
	s := &p.seek
	s.misses++
	s.rests = c.now.Add(min(time.Second<<min(s.misses, 10), longestRest))
	if !silent {
		s.silent = 0
	} else if s.silent++; s.silent%3 == 0 && !c.cfg.MayBeSilent {
		c.do(Charge{p.id, peer.NoAnswer, "three requests for announced blocks in a row"})
	}
	for _, w := range open {
		r := w.from[w.reportOf(p)]
		c.unclaim(w, p)
		c.hint(r, w.hash) // the sync may have more luck, or finds the head false
	}
}

// onHeaderFetched takes in the header of an announced block.
func (c *Core) onHeaderFetched(ev HeaderFetched) {
	p := c.byID[ev.From]
	if p == nil || p.seek.asked == nil {
		return
	}
	open := c.answered(p)
	if ev.Failed {
		c.missed(p, ev.Silent, open)
		return
	}
	p.seek.misses, p.seek.silent = 0, 0
	for _, w := range open {
		c.takeHeader(p, w, ev)
	}
}

// takeHeader checks the header that p gave of a block, and what becomes of it.
func (c *Core) takeHeader(p *remote, w *sought, ev HeaderFetched) {
	number := w.from[w.reportOf(p)].number
	ref := ev.Header.Ref
	switch {
	case ref.Hash != w.hash:
		c.do(Charge{p.id, peer.WrongBlock, fmt.Sprintf("header %v, asked for %v", ref, w.hash)})
		c.unclaim(w, p)
	case ref.Number != number: // another may have announced it as it is
		c.do(Charge{p.id, peer.FalseAnnounce, fmt.Sprintf("announced number %d, delivered number %d", number, ref.Number)})
		c.unclaim(w, p)
	case ev.Known:
		c.settle(w)
	case !Near(ref.Number, ev.Head):
		c.drop("block-too-far", 1)
		c.settle(w)
	case !ev.Linked && c.sought[ev.Header.Parent] == nil && !c.wasChecked(ev.Header.Parent):
		c.drop("block-not-linked", 1)
		c.settle(w)
	default:
		w.header, w.giver = ev.Header, p
		p.seek.held++
		p.seek.heldBytes += len(w.header.Bytes)
		if ev.Linked {
			c.move(w, gathering)
		} else {
			c.move(w, linking)
		}
	}
}

// onBodiesFetched takes in what became of the blocks whose bodies a peer gave.
func (c *Core) onBodiesFetched(ev BodiesFetched) {
	p := c.byID[ev.From]
	if p == nil || p.seek.asked == nil {
		return
	}
	open := c.answered(p)
	if ev.Failed || len(ev.Given) == 0 {
		c.missed(p, ev.Silent, open)
		return
	}
	p.seek.misses, p.seek.silent = 0, 0
	for _, w := range open {
		i := slices.IndexFunc(ev.Given, func(g Judged) bool { return g.Hash == w.hash })
		switch {
		case i < 0: // the answer was full: it may be asked again
			w.asked = nil
		case ev.Given[i].Action == chain.Accept:
			c.move(w, handed)
		case ev.Given[i].Action == chain.Reject: // and it has paid
			c.drop("block-rejected", 1)
			c.unclaim(w, p)
		default:
			c.drop("block-ignored", 1)
			c.settle(w)
		}
	}
}
