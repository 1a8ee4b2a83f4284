package relay

import (
	"sync"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// hold keeps a transaction back from those who are not told of it yet. Some were
// before it is held: a newcomer reads the pool, where it may be already.
func (c *Core) hold(h chain.Hash) {
	if c.held[h]++; c.held[h] > 1 {
		return
	}
	var known []peer.ID
	for _, p := range c.peers {
		if c.txs.has(p.n, h) {
			known = append(known, p.id)
		}
	}
	c.do(Withhold{h, known})
}

// release ends what hold began: whoever lacks it was told, or is about to be.
func (c *Core) release(h chain.Hash) {
	if c.held[h]--; c.held[h] == 0 {
		delete(c.held, h)
		c.do(Release{h})
	}
}

// held is what the core keeps back, and who was told of it all the same, for
// those who answer requests. It is safe for concurrent use; its lock is a leaf.
// The core bounds the transactions, by maxWaves.
type held struct {
	mu   sync.Mutex
	told map[chain.Hash]map[peer.ID]bool
}

func newHeld() *held { return &held{told: make(map[chain.Hash]map[peer.ID]bool)} }

// note takes in what an effect says of it, before the effect is carried out.
func (k *held) note(e Effect) {
	k.mu.Lock()
	defer k.mu.Unlock()
	tell := func(to peer.ID, h chain.Hash) {
		if told := k.told[h]; told != nil {
			told[to] = true
		}
	}
	switch e := e.(type) {
	case Withhold:
		k.told[e.Hash] = make(map[peer.ID]bool, len(e.Known))
		for _, id := range e.Known {
			tell(id, e.Hash)
		}
	case Release:
		delete(k.told, e.Hash)
	case Push:
		for _, h := range e.Hashes {
			tell(e.To, h)
		}
	case Announce:
		for _, tx := range e.Txs {
			tell(e.To, tx.Hash)
		}
	}
}

// from reports whether h is kept from a peer.
func (k *held) from(to peer.ID, h chain.Hash) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	told := k.told[h]
	return told != nil && !told[to]
}

// May reports whether a peer that asks for a transaction may have it: the policy
// holds for answers as it does for what is sent unasked. A peer that was not told
// of it by us is not answered until all are.
func (r *Relay) May(to peer.ID, h chain.Hash) bool { return !r.held.from(to, h) }
