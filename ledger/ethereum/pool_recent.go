package ethereum

import (
	"time"

	"github.com/starlingp2p/starling/chain"
)

const (
	// recentKept is how many hashes are remembered, of which recentFor bounds
	// the time (geth eth/fetcher: maxTxUnderpricedSetSize and its timeout).
	recentKept = 32768
	recentFor  = 5 * time.Minute
	// headFor is how long what only the rules at a head forbid need not be
	// fetched: another head may allow it, and in a sync soon does.
	headFor = time.Minute
)

// recent remembers the verdicts on hashes that were judged last: of what was
// unfit, and of what a block had. The oldest goes first.
type recent struct {
	of   map[chain.Hash]remembered
	ring []chain.Hash
	next int
}

type remembered struct {
	verdict chain.Verdict
	lasting bool // the verdict stands; else it only need not be fetched
	until   time.Time
	slot    int
}

func newRecent() recent { return recent{of: map[chain.Hash]remembered{}} }

func (r *recent) add(h chain.Hash, v chain.Verdict, lasting bool, now time.Time) {
	r.addFor(recentFor, h, v, lasting, now)
}

func (r *recent) addFor(keep time.Duration, h chain.Hash, v chain.Verdict, lasting bool, now time.Time) {
	if old, ok := r.of[h]; ok {
		r.of[h] = remembered{v, lasting, now.Add(keep), old.slot}
		return
	}
	slot := r.next
	if len(r.ring) < recentKept {
		r.ring = append(r.ring, h)
	} else {
		if old, ok := r.of[r.ring[slot]]; ok && old.slot == slot {
			delete(r.of, r.ring[slot])
		}
		r.ring[slot] = h
	}
	r.next = (slot + 1) % recentKept
	r.of[h] = remembered{v, lasting, now.Add(keep), slot}
}

func (r *recent) get(h chain.Hash, now time.Time) (remembered, bool) {
	v, ok := r.of[h]
	return v, ok && now.Before(v.until)
}

// forget takes a hash out, as when a reorganisation brings its transaction back.
func (r *recent) forget(h chain.Hash) { delete(r.of, h) }
