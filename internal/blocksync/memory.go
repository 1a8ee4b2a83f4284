package blocksync

import "github.com/starlingp2p/starling/chain"

// remember notes a header that is imported for certain.
func (c *Core) remember(h chain.Header) { c.recent.Add(h.Ref.Hash, h) }

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
