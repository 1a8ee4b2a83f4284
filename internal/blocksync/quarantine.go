package blocksync

import (
	"bytes"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
)

// quarantine holds offered blocks until their parent is imported. It is bounded
// in blocks and bytes; over the bound, the furthest ahead goes first.
type quarantine struct {
	blocks   map[chain.Hash]*looseBlock
	byParent map[chain.Hash][]*looseBlock
	bytes    int
	ready    []*looseBlock // their parent is imported
}

// maxEarly is how many offered blocks wait for the chain to be read. Reading
// takes milliseconds; a block that came meanwhile would else be missed until
// the next one shows the gap.
const maxEarly = 8

type looseBlock struct {
	block   chain.Block
	size    int
	retryAt time.Time // as a gap
	asked   bool      // the chain is asked for the parent
}

func newQuarantine() quarantine {
	return quarantine{blocks: map[chain.Hash]*looseBlock{}, byParent: map[chain.Hash][]*looseBlock{}}
}

func (q *quarantine) len() int { return len(q.blocks) }

func (q *quarantine) get(h chain.Hash) *looseBlock { return q.blocks[h] }

// onOffered takes in a block of gossip. It is authentic, or it were not here;
// so its parent is a target that we trust.
func (c *Core) onOffered(in Offered) {
	b := in.Block
	h := b.Header.Ref
	if p, ok := c.byID[in.From]; ok && !p.claimless() && p.claim.Head.Number < h.Number && h.Number > 0 {
		// Who passes a block on has what is below it.
		p.claim.Head = chain.Ref{Number: h.Number - 1, Hash: b.Header.Parent}
		p.claim.Weight = chain.Weight{}
	}
	if !c.started {
		if len(c.early) == maxEarly {
			c.drops.Quarantine++
			return
		}
		c.early = append(c.early, in)
		return
	}
	_, imported := c.recent.Get(h.Hash)
	switch {
	case c.loose.get(h.Hash) != nil || imported || h == c.status.Head:
		c.drops.Duplicate++
		return
	case h.Number == 0 || h.Number <= c.status.Finalized.Number || c.bad.Has(h.Hash) || c.bad.Has(b.Header.Parent):
		c.drops.Stale++
		return
	}
	l := &looseBlock{block: b, size: b.Size() + headerCost}
	c.loose.add(c, l)
	c.loose.trim(c)
	if c.loose.get(h.Hash) == l {
		c.place(l)
	}
}

func (q *quarantine) add(c *Core, l *looseBlock) {
	h := l.block.Header
	q.blocks[h.Ref.Hash] = l
	q.byParent[h.Parent] = append(q.byParent[h.Parent], l)
	q.bytes += l.size
	c.held += l.size
}

func (q *quarantine) remove(c *Core, hash chain.Hash) {
	l, ok := q.blocks[hash]
	if !ok {
		return
	}
	delete(q.blocks, hash)
	parent := l.block.Header.Parent
	q.byParent[parent] = slices.DeleteFunc(q.byParent[parent], func(o *looseBlock) bool { return o == l })
	if len(q.byParent[parent]) == 0 {
		delete(q.byParent, parent)
	}
	q.bytes -= l.size
	c.held -= l.size
}

// removeTree removes a block and all that descend from it.
func (q *quarantine) removeTree(c *Core, hash chain.Hash) {
	todo := []chain.Hash{hash}
	for len(todo) > 0 {
		h := todo[0]
		todo = todo[1:]
		for _, l := range q.byParent[h] {
			todo = append(todo, l.block.Header.Ref.Hash)
		}
		q.remove(c, h)
	}
}

// trim enforces the bounds.
func (q *quarantine) trim(c *Core) {
	for len(q.blocks) > maxQuarantined || q.bytes > c.cfg.MaxBytes/2 {
		far := q.furthest()
		c.drops.Quarantine++
		q.remove(c, far.block.Header.Ref.Hash)
	}
}

// furthest is the block of the highest number; of equals, that of the highest hash.
func (q *quarantine) furthest() *looseBlock {
	var far *looseBlock
	for _, l := range q.blocks { // the choice does not depend on the order
		if far == nil || less(far.block.Header.Ref, l.block.Header.Ref) {
			far = l
		}
	}
	return far
}

func less(a, b chain.Ref) bool {
	if a.Number != b.Number {
		return a.Number < b.Number
	}
	return bytes.Compare(a.Hash[:], b.Hash[:]) < 0
}

// place finds out whether a block's parent is imported.
func (c *Core) place(l *looseBlock) {
	h := l.block.Header
	if _, ok := c.recent.Get(h.Parent); ok {
		c.loose.ready = append(c.loose.ready, l)
		return
	}
	if c.loose.get(h.Parent) != nil || h.Ref.Number-1 > c.status.Head.Number || l.asked {
		return
	}
	l.asked = true
	parent := chain.Ref{Number: h.Ref.Number - 1, Hash: h.Parent}
	c.lookup([]chain.Ref{parent}, func(got Looked) {
		l.asked = false
		if got.Err != nil || len(got.Found) != 1 || got.Found[0] == nil {
			return // a gap
		}
		if _, ok := c.staged[parent.Hash]; ok {
			return
		}
		c.remember(*got.Found[0])
		if c.loose.get(h.Ref.Hash) == l {
			c.loose.ready = append(c.loose.ready, l)
		}
	})
}

// afterImport lets go of what was imported and makes its children ready.
func (c *Core) afterImport(hs []chain.Header) {
	for _, h := range hs {
		c.loose.remove(c, h.Ref.Hash)
		c.loose.ready = append(c.loose.ready, c.loose.byParent[h.Ref.Hash]...)
		c.unstage(h.Ref.Hash)
		if h.Ref.Hash == c.target.Hash {
			if c.job == nil || c.job.forward {
				c.closed(c.target)
			}
			c.target = chain.Ref{}
		}
	}
	if len(hs) > 0 {
		c.lastImport = c.now
	}
	if c.fromStage && c.target != (chain.Ref{}) && c.status.Head.Number >= c.target.Number && (c.job == nil || c.job.target != c.target) {
		c.target = chain.Ref{} // the chain went another way while we were gone
	}
	// What is at or below the final block can never be imported.
	if f := c.status.Finalized.Number; f > 0 && c.loose.len() > 0 {
		var stale []chain.Hash
		for h, l := range c.loose.blocks {
			if l.block.Header.Ref.Number <= f {
				stale = append(stale, h)
			}
		}
		for _, h := range stale { // all of them: the order has no effect
			c.drops.Stale++
			c.loose.remove(c, h)
		}
	}
}

// nextGap is the lowest offered block whose parent is missing.
func (c *Core) nextGap() *looseBlock {
	var low *looseBlock
	for _, l := range c.loose.blocks { // the choice does not depend on the order
		h := l.block.Header
		if l.asked || c.now.Before(l.retryAt) || c.loose.get(h.Parent) != nil {
			continue
		}
		if _, ok := c.recent.Get(h.Parent); ok {
			continue
		}
		if low == nil || less(h.Ref, low.block.Header.Ref) {
			low = l
		}
	}
	return low
}

// gaps counts the missing parents.
func (c *Core) gaps() int {
	n := 0
	for parent := range c.loose.byParent {
		if _, ok := c.recent.Get(parent); !ok && c.loose.get(parent) == nil {
			n++
		}
	}
	return n
}
