package relay

import (
	"container/list"
	"fmt"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// want is a transaction that peers announced and that is not here yet.
type want struct {
	hash  chain.Hash
	from  []claim // who announced it, by time
	due   time.Time
	line  *list.Element // in waiting; nil: it may be asked for
	asked *remote       // whom we asked; nil: nobody
	done  bool
}

// claim is what a peer said of a transaction.
type claim struct {
	by   *remote
	kind byte
	size uint32
}

// onAnnounced takes note of what a peer has.
func (c *Core) onAnnounced(ev Announced) {
	p := c.byID[ev.From]
	if p == nil {
		return
	}
	have := make(map[chain.Hash]bool, len(ev.Known))
	for _, h := range ev.Known {
		have[h] = true
	}
	for _, tx := range ev.Txs {
		switch {
		case !c.open:
			c.drop("not-synced", 1)
		case have[tx.Hash]:
			c.txs.note(p.n, tx.Hash)
		default:
			c.claim(p, tx)
		}
	}
}

// onGate takes in whether the chain is in sync. What was announced before it was
// known not to be is let go: it would be judged at an old head. Of blocks the sync
// is given a hint.
func (c *Core) onGate(open bool) {
	c.open = open
	if open {
		return
	}
	c.drop("not-synced", len(c.wants))
	for _, w := range c.wants { // each ends alone: the order has no effect
		c.end(w)
	}
	c.drop("not-synced", len(c.sought))
	for _, p := range c.peers { // each block is of one of them: a search without any ends
		for _, w := range slices.Clone(p.seek.sought) {
			c.settle(w)
		}
	}
}

// claim notes that p has a transaction that we want.
func (c *Core) claim(p *remote, tx wire.TxID) {
	w := c.wants[tx.Hash]
	if w != nil && slices.ContainsFunc(w.from, func(cl claim) bool { return cl.by == p }) {
		return
	}
	switch {
	case p.announced >= maxAnnounced:
		c.drop("announced-too-many", 1)
		c.over(p, &p.flood, 1, "transactions", maxAnnounced)
		return
	case w == nil && len(c.wants) >= maxWants:
		c.drop("wants-full", 1)
		return
	}
	c.txs.note(p.n, tx.Hash)
	if w == nil {
		w = &want{hash: tx.Hash, due: c.now.Add(c.cfg.Policy.Arrive)}
		c.wants[tx.Hash] = w
		if !c.neverPushed(tx) {
			w.line = c.waiting.PushBack(w)
		}
	}
	w.from = append(w.from, claim{p, tx.Kind, tx.Size})
	p.claims = append(p.claims, w)
	p.announced++
	p.sweep()
	if w.line == nil && w.asked == nil {
		p.idle = false
	}
}

// sweep lets the claims go that are done, once they are the most: however long
// a peer rests, what others bring meanwhile must not pile up here.
func (p *remote) sweep() {
	if len(p.claims) <= 2*p.announced+64 {
		return
	}
	kept := make(map[*want]bool, p.announced) // what is claimed again stands here twice
	p.claims = slices.DeleteFunc(p.claims, func(w *want) bool {
		if w.done || kept[w] || !slices.ContainsFunc(w.from, func(cl claim) bool { return cl.by == p }) {
			return true
		}
		kept[w] = true
		return false
	})
}

// free tells those who announced a transaction that they may be asked for it.
func (w *want) free() {
	for _, cl := range w.from {
		cl.by.idle = false
	}
}

// forget ends the want of a transaction: it is here, or not wanted any more.
func (c *Core) forget(h chain.Hash) {
	if w := c.wants[h]; w != nil {
		c.end(w)
	}
}

func (c *Core) end(w *want) {
	if w.done {
		return
	}
	w.done = true
	delete(c.wants, w.hash)
	if w.line != nil {
		c.waiting.Remove(w.line)
	}
	for _, cl := range w.from {
		cl.by.announced--
	}
}

// disclaim takes p from those that a transaction can be asked of.
func (c *Core) disclaim(w *want, p *remote) {
	if w.done || !slices.ContainsFunc(w.from, func(cl claim) bool { return cl.by == p }) {
		return
	}
	if w.asked == p {
		w.asked = nil
		w.free()
	}
	w.from = slices.DeleteFunc(w.from, func(cl claim) bool { return cl.by == p })
	p.announced--
	if len(w.from) == 0 {
		c.drop("not-delivered", 1)
		c.end(w)
	}
}

// fetch asks every peer that can be asked for what it announced.
func (c *Core) fetch() {
	if e := c.waiting.Front(); e != nil && !e.Value.(*want).due.After(c.now) {
		for e != nil && !e.Value.(*want).due.After(c.now.Add(gatherSlack)) {
			w := c.waiting.Remove(e).(*want)
			w.line = nil
			w.free()
			e = c.waiting.Front()
		}
	}
	if len(c.wants) == c.waiting.Len() || len(c.peers) == 0 {
		return
	}
	first := c.cfg.Rand.IntN(len(c.peers)) // whose turn it is must not be foreseen
	for i := range c.peers {
		c.ask(c.peers[(first+i)%len(c.peers)])
	}
}

// ask sends a peer one request, if it has what nobody else is asked for.
func (c *Core) ask(p *remote) {
	if p.idle || p.asked != nil || p.announced == 0 || p.rests.After(c.now) {
		return
	}
	p.sweep()
	var (
		txs   []wire.TxID
		bytes uint32
	)
	for _, w := range p.claims {
		if w.done || w.line != nil || w.asked != nil {
			continue
		}
		i := slices.IndexFunc(w.from, func(cl claim) bool { return cl.by == p })
		if i < 0 {
			continue // it did not deliver it before
		}
		size := min(w.from[i].size, fetchBytes)
		if len(txs) == c.cfg.FetchTxs || len(txs) > 0 && bytes+size > fetchBytes {
			break
		}
		bytes += size
		w.asked = p
		p.asked = append(p.asked, w)
		txs = append(txs, wire.TxID{Hash: w.hash, Kind: w.from[i].kind, Size: w.from[i].size})
	}
	if p.idle = len(txs) == 0; !p.idle {
		c.do(Fetch{From: p.id, Txs: txs})
	}
}

// onFetched takes in what a peer answered. What it did not give is asked of the
// next who announced it.
func (c *Core) onFetched(ev Fetched) {
	p := c.byID[ev.From]
	if p == nil || p.asked == nil {
		return
	}
	asked := p.asked
	p.asked = nil
	got := make(map[chain.Hash]wire.TxID, len(ev.Got))
	for _, tx := range ev.Got {
		got[tx.Hash] = tx
	}
	for _, w := range asked {
		tx, ok := got[w.hash]
		if ok {
			c.compare(p, w, tx)
		}
		if ok && !slices.Contains(ev.Open, w.hash) {
			c.end(w)
		} else {
			c.disclaim(w, p)
		}
	}
	if !ev.Failed {
		p.misses, p.silent = 0, 0
		return
	}
	p.misses++
	p.rests = c.now.Add(min(time.Second<<min(p.misses, 10), longestRest))
	if !ev.Silent {
		p.silent = 0
	} else if p.silent++; p.silent%3 == 0 && !c.cfg.MayBeSilent {
		c.do(Charge{p.id, peer.NoAnswer, "three requests for transactions in a row"})
	}
}

// compare charges a peer whose delivery is not what it announced itself. What
// others announced of the same transaction is their affair.
func (c *Core) compare(p *remote, w *want, tx wire.TxID) {
	i := slices.IndexFunc(w.from, func(cl claim) bool { return cl.by == p })
	if i < 0 || w.from[i].size == 0 { // some wires announce no more than a hash
		return
	}
	cl := w.from[i]
	switch off := int64(cl.size) - int64(tx.Size); {
	case cl.kind != tx.Kind:
		c.do(Charge{p.id, peer.FalseAnnounce, fmt.Sprintf("announced kind %d, delivered kind %d", cl.kind, tx.Kind)})
	case off > sizeSlack || off < -sizeSlack:
		c.do(Charge{p.id, peer.FalseAnnounce, fmt.Sprintf("announced %d bytes, delivered %d", cl.size, tx.Size)})
	}
}
