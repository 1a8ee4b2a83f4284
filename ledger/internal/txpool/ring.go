package txpool

import "github.com/starlingp2p/starling/chain"

// Ring is a set of the hashes that were added last. It is not safe for
// concurrent use.
type Ring struct {
	most int
	in   map[chain.Hash]struct{}
	all  []chain.Hash
	next int // in all, once that is full
}

// NewRing makes a set of at most most hashes.
func NewRing(most int) *Ring { return &Ring{most: most, in: map[chain.Hash]struct{}{}} }

// Has reports whether a hash is in the set.
func (r *Ring) Has(h chain.Hash) bool {
	_, ok := r.in[h]
	return ok
}

// Add puts a hash in, and takes the oldest out where the set is full.
func (r *Ring) Add(h chain.Hash) {
	if r.Has(h) {
		return
	}
	if len(r.all) < r.most {
		r.all = append(r.all, h)
	} else {
		delete(r.in, r.all[r.next])
		r.all[r.next] = h
		r.next = (r.next + 1) % r.most
	}
	r.in[h] = struct{}{}
}
