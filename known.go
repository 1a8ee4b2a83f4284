package starling

import (
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
)

const (
	knownFor  = 10 * time.Minute
	maxKnowns = 4096 // blocks
)

// knownBlocks remembers the blocks that were accepted from a topic, by hash. A
// topic knows a message by its bytes, and one block has many encodings; whoever
// makes new ones of a good block must not have each relayed by everybody.
type knownBlocks struct {
	mu   sync.Mutex // a leaf
	at   map[chain.Hash]time.Time
	ring []chain.Hash
	next int
}

func newKnownBlocks() *knownBlocks { return &knownBlocks{at: make(map[chain.Hash]time.Time)} }

// seen reports whether a block was accepted lately. With note, it is from now on.
func (k *knownBlocks) seen(h chain.Hash, note bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	at, ok := k.at[h]
	if fresh := ok && now.Sub(at) < knownFor; fresh || !note {
		return fresh
	}
	if !ok {
		if len(k.ring) < maxKnowns {
			k.ring = append(k.ring, h)
		} else {
			delete(k.at, k.ring[k.next])
			k.ring[k.next] = h
			k.next = (k.next + 1) % maxKnowns
		}
	}
	k.at[h] = now
	return false
}

// once lets a block pass one time. What only its age speaks against is no news
// either if we had it when it was young.
func (k *knownBlocks) once(b chain.Block, v chain.Verdict) chain.Verdict {
	h := b.Header.Ref.Hash
	switch {
	case v.Action == chain.Accept && k.seen(h, true), v.Action == chain.Reject && v.Clock && k.seen(h, false):
		return chain.Ignored("known-block")
	}
	return v
}
