package blocksync

import "github.com/starlingp2p/starling/chain"

// recentHeaders are headers that are imported for certain, oldest out.
type recentHeaders struct {
	byHash map[chain.Hash]chain.Header
	ring   []chain.Hash
	next   int
}

func newRecentHeaders() recentHeaders {
	return recentHeaders{byHash: make(map[chain.Hash]chain.Header, maxRecent)}
}

func (r *recentHeaders) add(h chain.Header) {
	if _, ok := r.byHash[h.Ref.Hash]; ok {
		return
	}
	if len(r.ring) < maxRecent {
		r.ring = append(r.ring, h.Ref.Hash)
	} else {
		delete(r.byHash, r.ring[r.next])
		r.ring[r.next] = h.Ref.Hash
		r.next = (r.next + 1) % maxRecent
	}
	r.byHash[h.Ref.Hash] = h
}

func (r *recentHeaders) get(h chain.Hash) (chain.Header, bool) {
	got, ok := r.byHash[h]
	return got, ok
}

// hashSet remembers a bounded number of hashes, oldest out.
type hashSet struct {
	in   map[chain.Hash]struct{}
	ring []chain.Hash
	next int
	max  int
}

func newHashSet(max int) hashSet { return hashSet{in: map[chain.Hash]struct{}{}, max: max} }

func (s *hashSet) add(h chain.Hash) {
	if s.has(h) {
		return
	}
	if len(s.ring) < s.max {
		s.ring = append(s.ring, h)
	} else {
		delete(s.in, s.ring[s.next])
		s.ring[s.next] = h
		s.next = (s.next + 1) % s.max
	}
	s.in[h] = struct{}{}
}

func (s *hashSet) has(h chain.Hash) bool {
	_, ok := s.in[h]
	return ok
}

// deque is a double-ended queue: a ring that grows.
type deque[T any] struct {
	ring []T
	head int
	n    int
}

func (d *deque[T]) len() int { return d.n }

func (d *deque[T]) at(i int) *T { return &d.ring[(d.head+i)%len(d.ring)] }

func (d *deque[T]) grow() {
	if d.n < len(d.ring) {
		return
	}
	bigger := make([]T, max(16, 2*len(d.ring)))
	for i := range d.n {
		bigger[i] = *d.at(i)
	}
	d.ring, d.head = bigger, 0
}

func (d *deque[T]) pushBack(v T) {
	d.grow()
	d.ring[(d.head+d.n)%len(d.ring)] = v
	d.n++
}

func (d *deque[T]) pushFront(v T) {
	d.grow()
	d.head = (d.head + len(d.ring) - 1) % len(d.ring)
	d.ring[d.head] = v
	d.n++
}

func (d *deque[T]) popFront() T {
	var zero T
	p := d.at(0)
	v := *p
	*p = zero
	d.head = (d.head + 1) % len(d.ring)
	d.n--
	return v
}
