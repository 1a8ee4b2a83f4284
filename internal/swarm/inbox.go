package swarm

import (
	"sync"

	"github.com/starlingp2p/starling/peer"
)

// pending builds an input on the owner, where sessions have numbers.
type pending func(*Swarm) input

// inbox holds what was reported until the owner takes it, in order. Reporting
// never waits. Most kinds are bounded, each by itself, so that a peer cannot
// drown the charge for one thing in reports of another; what is over the bound
// is dropped. What must not be lost is bounded by what it is about: the end of a session by
// the sessions, the outcome of a worker by the workers.
type inbox struct {
	wake chan struct{} // capacity 1

	mu      sync.Mutex
	queue   []letter
	bound   int               // droppable letters of a kind
	held    map[string]int    // of each kind; kinds are fixed texts
	dropped map[string]uint64 // by kind; kinds are fixed texts
	shield  map[peer.ID]bool  // peers to be protected, or no longer
	closed  bool
}

type letter struct {
	in   pending
	kind string // empty: it is never dropped
}

func (b *inbox) init(bound int) {
	b.wake = make(chan struct{}, 1)
	b.bound = max(bound, 0)
	b.dropped, b.held = map[string]uint64{}, map[string]int{}
}

// offer takes what may be dropped. With a bound of n, n of a kind wait and one
// more is on its way to the owner.
func (b *inbox) offer(kind string, in pending) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	if b.held[kind] > b.bound {
		b.dropped[kind]++
		b.mu.Unlock()
		return
	}
	b.held[kind]++
	b.queue = append(b.queue, letter{in, kind})
	b.mu.Unlock()
	b.ring()
}

// force takes what must not be dropped.
func (b *inbox) force(in pending) {
	b.mu.Lock()
	if !b.closed {
		b.queue = append(b.queue, letter{in: in})
	}
	b.mu.Unlock()
	b.ring()
}

// protect notes what is wanted of a peer; one letter carries all of them.
func (b *inbox) protect(id peer.ID, on bool) {
	b.mu.Lock()
	defer b.ring()
	defer b.mu.Unlock()
	if _, ok := b.shield[id]; b.closed || !ok && len(b.shield) >= maxConfigured {
		b.dropped["protect"]++
		return
	}
	if b.shield == nil {
		b.shield = map[peer.ID]bool{}
	}
	if len(b.shield) == 0 {
		b.queue = append(b.queue, letter{in: func(s *Swarm) input { return inProtect{Peers: b.shields()} }})
	}
	b.shield[id] = on
}

// shields takes what protect noted.
func (b *inbox) shields() map[peer.ID]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.shield
	b.shield = nil
	return m
}

// close drops what comes from now on.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.queue = true, nil
}

func (b *inbox) ring() {
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
}

func (b *inbox) take() (pending, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return nil, false
	}
	l := b.queue[0]
	b.queue[0] = letter{}
	if b.queue = b.queue[1:]; len(b.queue) == 0 {
		b.queue = nil // let a grown array go
	}
	if l.kind != "" {
		b.held[l.kind]--
	}
	return l.in, true
}

// waiting is how many letters the owner has not taken yet.
func (b *inbox) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// drops is how much was dropped, by kind.
func (b *inbox) drops() map[string]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]uint64, len(b.dropped))
	for k, n := range b.dropped {
		out[k] = n
	}
	return out
}
