package relay

import (
	"container/list"
	"fmt"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Bounds and times of fetching announced blocks: those of geth up to v1.13
// (eth/fetcher/block_fetcher.go), which is the last that announced any.
const (
	blockArrive   = 500 * time.Millisecond // in which somebody may push it
	maxReported   = 256                    // blocks that one peer announced and that are not here yet
	maxHeld       = 64                     // of them, those whose header it gave
	maxHeldBytes  = 256 << 10              // of those headers, from which on no more are asked for
	furthestBelow = 7                      // numbers under our head
	furthestAbove = 32                     // and over it
	// linkTime is how long a header waits for its parent, and a block that was
	// handed over for its import.
	linkTime = FetchTimeout
)

// stage is how far a block has come.
type stage uint8

const (
	arriving   stage = iota // it is announced, and may still be pushed
	fetching                // its header is asked for
	linking                 // its header is here, and its parent is on its way too
	gathering               // others may be asked for together with its body
	completing              // its body is asked for
	handed                  // it is with the checks, and then with the import
	numStages
)

// wait is how long a block stays in a stage by itself; 0: until it is asked for.
func (s stage) wait() time.Duration {
	switch s {
	case arriving:
		return blockArrive
	case gathering:
		return gatherSlack
	case linking, handed:
		return linkTime
	}
	return 0
}

// sought is a block that peers announced and that is not here yet.
type sought struct {
	hash   chain.Hash
	stage  stage
	due    time.Time     // the end of the stage
	line   *list.Element // in Core.lines; nil: the stage has no end
	from   []report      // who announced it, by time
	asked  *remote       // whom we asked; nil: nobody
	header chain.Header  // from linking on
	giver  *remote       // who gave it; nil: it has left
	done   bool
}

// report is what a peer said of a block.
type report struct {
	by     *remote
	number uint64
	weight chain.Weight
}

func (w *sought) reportOf(p *remote) int {
	return slices.IndexFunc(w.from, func(r report) bool { return r.by == p })
}

// seeker is what a peer announced of blocks, and how it answers for them.
type seeker struct {
	sought    []*sought // by time
	held      int       // whose header it gave
	heldBytes int       // of those headers
	asked     []*sought // the request that is under way; nil: none
	rests     time.Time // zero: it may be asked
	misses    int       // requests in a row that failed
	silent    int       // requests in a row without an answer
	flood     flood
}

// flood counts announcements over a bound, since a time.
type flood struct {
	n    int
	from time.Time
}

// over notes n more announcements of p that are not taken, and charges for many.
func (c *Core) over(p *remote, f *flood, n int, what string, bound int) {
	if c.now.Sub(f.from) >= floodTime {
		f.n, f.from = 0, c.now
	}
	for f.n += n; f.n >= floodUnit; f.n -= floodUnit {
		c.do(Charge{p.id, peer.AnnounceFlood, fmt.Sprintf("announced %d %s within %v that are not taken; %d may wait", floodUnit, what, floodTime, bound)})
	}
}

// onRefused counts announcements of blocks that came faster than they were heard.
func (c *Core) onRefused(ev Refused) {
	if p := c.byID[ev.From]; p != nil && c.open {
		c.over(p, &p.seek.flood, ev.N, "blocks", maxReported)
	}
}

// onBlockAnnounced takes note of a block that a peer has. What is not fetched is
// still a hint at the peer's head.
func (c *Core) onBlockAnnounced(ev BlockAnnounced) {
	p := c.byID[ev.From]
	if p == nil {
		return
	}
	w := c.sought[ev.Ref.Hash]
	switch {
	case w != nil && w.reportOf(p) >= 0:
		return
	case !c.open:
		c.drop("not-synced", 1)
	case !Near(ev.Ref.Number, ev.Head):
		c.drop("block-too-far", 1)
		c.over(p, &p.seek.flood, 1, "blocks", maxReported)
	case len(p.seek.sought) >= maxReported:
		c.drop("block-announced-too-many", 1)
		c.over(p, &p.seek.flood, 1, "blocks", maxReported)
	case c.wasChecked(ev.Ref.Hash):
	default:
		c.report(p, w, ev)
		return
	}
	c.do(Hint{p.id, ev.Ref, ev.Weight})
}

// Near reports whether a block is of a number that is worth fetching by itself,
// at a number of our head. All else is for a sync.
func Near(number, head uint64) bool {
	return number > 0 && number+furthestBelow >= head && number <= head+furthestAbove
}

// wasChecked reports whether a block came as a whole lately, and was good.
func (c *Core) wasChecked(h chain.Hash) bool {
	return slices.ContainsFunc(c.checked, func(k candidate) bool { return k.ref.Hash == h })
}

// report notes that p has a block; w is nil if nobody else announced it.
func (c *Core) report(p *remote, w *sought, ev BlockAnnounced) {
	if w == nil {
		w = &sought{hash: ev.Ref.Hash}
		c.sought[w.hash] = w
		c.move(w, arriving)
	}
	w.from = append(w.from, report{p, ev.Ref.Number, ev.Weight})
	p.seek.sought = append(p.seek.sought, w)
	c.askable = c.askable || w.stage.wait() == 0 && w.asked == nil
}

// move takes a block to a stage.
func (c *Core) move(w *sought, s stage) {
	if w.line != nil {
		c.lines[w.stage].Remove(w.line)
		w.line = nil
	}
	w.stage, w.asked = s, nil
	if wait := s.wait(); wait > 0 {
		w.due = c.now.Add(wait)
		w.line = c.lines[s].PushBack(w)
	} else {
		c.askable = true
	}
}

// unclaim takes p from those who can be asked for a block. The last takes the
// block along.
func (c *Core) unclaim(w *sought, p *remote) {
	i := w.reportOf(p)
	if w.done || i < 0 {
		return
	}
	if w.asked == p {
		w.asked, c.askable = nil, true
	}
	w.from = slices.Delete(w.from, i, i+1)
	p.seek.sought = slices.DeleteFunc(p.seek.sought, func(o *sought) bool { return o == w })
	if len(w.from) == 0 {
		if w.stage != handed {
			c.drop("block-not-delivered", 1)
		}
		c.settle(w)
	}
}

// settle ends the search for a block; whoever still claims it is hinted at.
func (c *Core) settle(w *sought) {
	if w.done {
		return
	}
	w.done = true
	delete(c.sought, w.hash)
	if w.line != nil {
		c.lines[w.stage].Remove(w.line)
	}
	if w.giver != nil {
		w.giver.seek.held--
		w.giver.seek.heldBytes -= len(w.header.Bytes)
		c.askable = true
	}
	for _, r := range w.from {
		r.by.seek.sought = slices.DeleteFunc(r.by.seek.sought, func(o *sought) bool { return o == w })
		c.hint(r, w.hash)
	}
}

func (c *Core) hint(r report, h chain.Hash) {
	c.do(Hint{r.by.id, chain.Ref{Number: r.number, Hash: h}, r.weight})
}

// leaveBlocks forgets what a peer had to do with blocks.
func (c *Core) leaveBlocks(p *remote) {
	for _, w := range slices.Clone(p.seek.sought) {
		c.unclaim(w, p)
	}
	for _, w := range c.sought { // all of them: the order has no effect
		if w.giver == p {
			w.giver = nil
		}
	}
}

// blockChecked: a block came as a whole and is on its way to the import.
func (c *Core) blockChecked(h chain.Hash) {
	if w := c.sought[h]; w != nil && w.stage != handed {
		c.move(w, handed)
	}
}

// blocksImported ends the search for blocks, and goes on with their children.
func (c *Core) blocksImported(refs []chain.Ref) {
	for _, ref := range refs {
		if w := c.sought[ref.Hash]; w != nil {
			c.settle(w)
		}
		for e := c.lines[linking].Front(); e != nil; {
			w := e.Value.(*sought)
			if e = e.Next(); w.header.Parent == ref.Hash {
				c.move(w, gathering)
			}
		}
	}
}

// pass takes blocks on whose stage has ended.
func (c *Core) pass() {
	// Whoever is asked for one is asked for those that are almost due too, and
	// for all bodies.
	if w := c.firstOf(arriving); w != nil && !w.due.After(c.now) {
		for ; w != nil && !w.due.After(c.now.Add(gatherSlack)); w = c.firstOf(arriving) {
			c.move(w, fetching)
		}
	}
	if w := c.firstOf(gathering); w != nil && !w.due.After(c.now) {
		for ; w != nil; w = c.firstOf(gathering) {
			c.move(w, completing)
		}
	}
	for w := c.firstOf(linking); w != nil && !w.due.After(c.now); w = c.firstOf(linking) {
		c.drop("block-not-linked", 1)
		c.settle(w)
	}
	for w := c.firstOf(handed); w != nil && !w.due.After(c.now); w = c.firstOf(handed) {
		c.drop("block-not-imported", 1)
		c.settle(w)
	}
}

// firstOf is the block whose stage ends first; nil: there is none.
func (c *Core) firstOf(s stage) *sought {
	if e := c.lines[s].Front(); e != nil {
		return e.Value.(*sought)
	}
	return nil
}
