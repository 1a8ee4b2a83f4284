package relay

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

// wave is a transaction of which not all peers were told yet.
type wave struct {
	tx Tx
	at time.Time
}

// onAdded spreads transactions that have entered our pool.
func (c *Core) onAdded(ev Added) {
	for _, tx := range ev.Txs {
		c.forget(tx.Hash)
		c.spread(tx)
	}
	for _, p := range c.peers {
		c.flush(p)
	}
}

// onSeen notes who has what. It may be asked of others still: a hash does not
// cover all of a transaction on every wire, and who delivers more than we look
// at must not keep us from what others have.
func (c *Core) onSeen(ev Seen) {
	from := c.byID[ev.From]
	if from == nil {
		return
	}
	for _, h := range ev.Hashes {
		c.txs.note(from.n, h)
	}
}

// spread tells the first peers of a transaction.
func (c *Core) spread(tx Tx) {
	peers := c.order(tx.Sender)
	push, announce := c.cfg.Policy.Push(len(peers)), c.cfg.Policy.Announce
	if !c.cfg.AnnounceTxs {
		push, announce = len(peers), 0
	} else if tx.Size > c.cfg.PushBytes || c.neverPushed(tx.TxID) {
		if announce >= 0 {
			announce += push
		}
		push = 0
	}
	for i, p := range peers {
		// Who is pushed to is chosen before it is asked who has it: if those
		// who do were left out, the choice would wander over all peers.
		switch {
		case i < push:
			c.tell(p, tx.TxID, &p.pushes)
		case announce < 0:
			c.tell(p, tx.TxID, &p.announces)
		case announce > 0 && c.tell(p, tx.TxID, &p.announces):
			announce--
		}
	}
	if c.cfg.Policy.Widen > 0 && c.lacking(tx.Hash) {
		c.hold(tx.Hash)
		c.waves.PushBack(&wave{tx, c.waveTime()})
		for c.waves.Len() > maxWaves { // too many to wait: all are told at once
			w := c.waves.Remove(c.waves.Front()).(*wave)
			c.tellAll(w.tx, len(c.peers))
			c.release(w.tx.Hash)
		}
	}
}

// widen tells further peers of what was told to few.
func (c *Core) widen() {
	var told bool
	for e := c.waves.Front(); e != nil && !e.Value.(*wave).at.After(c.now); e = c.waves.Front() {
		w := c.waves.Remove(e).(*wave)
		c.tellAll(w.tx, max(c.cfg.Policy.Announce, c.txs.of(w.tx.Hash).count()))
		told = true
		if c.lacking(w.tx.Hash) {
			w.at = c.waveTime()
			c.waves.PushBack(w)
		} else {
			c.release(w.tx.Hash)
		}
	}
	if told {
		for _, p := range c.peers {
			c.flush(p)
		}
	}
}

// waveTime is when those who were not told now are told.
func (c *Core) waveTime() time.Time {
	return c.now.Add(c.cfg.Policy.Widen + waveStep - c.phase - 1).Truncate(waveStep).Add(c.phase)
}

// tellAll announces a transaction to the next max peers that lack it.
func (c *Core) tellAll(tx Tx, max int) {
	for _, p := range c.order(tx.Sender) {
		if max > 0 && c.tell(p, tx.TxID, &p.announces) {
			max--
		}
	}
}

// lacking reports whether a peer is not known to have h.
func (c *Core) lacking(h chain.Hash) bool {
	return slices.ContainsFunc(c.peers, func(p *remote) bool { return !c.txs.has(p.n, h) })
}

// tell queues a transaction for a peer that lacks it. The oldest makes room.
func (c *Core) tell(p *remote, tx wire.TxID, queue *[]wire.TxID) bool {
	if c.txs.has(p.n, tx.Hash) {
		return false
	}
	c.txs.note(p.n, tx.Hash)
	*queue = append(*queue, tx)
	if over := len(*queue) - maxQueued; over > 0 {
		c.drop("queue-full", over)
		*queue = (*queue)[over:]
	}
	return true
}

// order gives the peers as they are told of a sender's transactions: always the
// same first, so that these arrive in order, and in an order that nobody else
// can foresee.
func (c *Core) order(sender string) []*remote {
	type place struct {
		p    *remote
		rank uint64
	}
	places := make([]place, len(c.peers))
	seed := append(c.key[:len(c.key):len(c.key)], sender...)
	for i, p := range c.peers {
		sum := sha256.Sum256(append(seed[:len(seed):len(seed)], p.id...))
		places[i] = place{p, binary.BigEndian.Uint64(sum[:])}
	}
	slices.SortFunc(places, func(a, b place) int {
		switch {
		case a.rank < b.rank:
			return -1
		case a.rank > b.rank:
			return 1
		}
		return 0
	})
	out := make([]*remote, len(places))
	for i, pl := range places {
		out[i] = pl.p
	}
	return out
}

// flush sends what waits for a peer, one message of each queue at a time.
func (c *Core) flush(p *remote) {
	if len(p.pushes) > 0 && !p.busy[Pushes] {
		var pack []wire.TxID
		pack, p.pushes = takePack(p.pushes, func(tx wire.TxID) int { return int(tx.Size) })
		hashes := make([]chain.Hash, len(pack))
		for i, tx := range pack {
			hashes[i] = tx.Hash
		}
		p.busy[Pushes] = true
		c.do(Push{To: p.id, Hashes: hashes})
	}
	if len(p.announces) > 0 && !p.busy[Announces] {
		var pack []wire.TxID
		pack, p.announces = takePack(p.announces, func(wire.TxID) int { return announceBytes })
		p.busy[Announces] = true
		c.do(Announce{To: p.id, Txs: pack})
	}
	c.flushBlocks(p)
}

// takePack splits off what fits one message, one transaction at least.
func takePack(queue []wire.TxID, cost func(wire.TxID) int) (pack, rest []wire.TxID) {
	n, bytes := 0, 0
	for n < len(queue) && (n == 0 || bytes+cost(queue[n]) <= packBytes) {
		bytes += cost(queue[n])
		n++
	}
	return slices.Clone(queue[:n]), queue[n:]
}

// onPending starts telling a new peer what our pool holds.
func (c *Core) onPending(ev Pending) {
	p := c.byID[ev.To]
	if p == nil {
		return
	}
	p.pending = ev.Txs
	if over := len(p.pending) - maxPending; over > 0 {
		c.drop("pending-full", over)
		p.pending = p.pending[:maxPending]
	}
	c.draw()
}

// draw sends one pack of pending transactions to one new peer, if none is under
// way.
func (c *Core) draw() {
	for c.drawn == "" {
		var able []*remote
		for _, p := range c.peers {
			if len(p.pending) > 0 && !p.busy[Announces] {
				able = append(able, p)
			}
		}
		if len(able) == 0 {
			return
		}
		p := able[c.cfg.Rand.IntN(len(able))]
		var pack []wire.TxID
		for len(p.pending) > 0 && len(pack) < packBytes/announceBytes {
			// What is kept back comes with the next wave.
			if tx := p.pending[0]; c.held[tx.Hash] == 0 && !c.txs.has(p.n, tx.Hash) {
				c.txs.note(p.n, tx.Hash)
				pack = append(pack, tx)
			}
			p.pending = p.pending[1:]
		}
		if len(pack) == 0 {
			continue
		}
		c.drawn, p.busy[Announces] = p.id, true
		c.do(Announce{To: p.id, Txs: pack})
	}
}
