package ontology

import "github.com/starlingp2p/starling/chain"

// order is a heap of the transactions that go first where there is no room: the
// cheapest, of those the latest.
type order []*pooled

func (o order) Len() int { return len(o) }

func (o order) Less(i, j int) bool {
	if o[i].price != o[j].price {
		return o[i].price < o[j].price
	}
	return o[i].arrival > o[j].arrival
}

func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].at, o[j].at = i, j
}

// Push is for package heap.
func (o *order) Push(x any) {
	e := x.(*pooled)
	e.at = len(*o)
	*o = append(*o, e)
}

// Pop is for package heap.
func (o *order) Pop() any {
	old := *o
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*o = old[:len(old)-1]
	return e
}

// ring is a set of the hashes added last.
type ring struct {
	in   map[chain.Hash]struct{}
	all  []chain.Hash
	next int
}

func emptyRing() ring { return ring{in: map[chain.Hash]struct{}{}} }

func (r *ring) has(h chain.Hash) bool {
	_, ok := r.in[h]
	return ok
}

func (r *ring) add(h chain.Hash) {
	if r.has(h) {
		return
	}
	if len(r.all) < unfitKept {
		r.all = append(r.all, h)
	} else {
		delete(r.in, r.all[r.next])
		r.all[r.next] = h
		r.next = (r.next + 1) % unfitKept
	}
	r.in[h] = struct{}{}
}
