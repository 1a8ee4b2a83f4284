package rpc

import "sync"

// roll counts what is under way, so that an end can wait for it. Its mutex is
// a leaf.
type roll struct {
	mu     sync.Mutex
	n      int
	closed bool
	empty  chan struct{} // closed when nothing is under way, once closed is set
}

func newRoll() *roll { return &roll{empty: make(chan struct{})} }

// enter reports whether something may begin; leave is to follow it.
func (r *roll) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.n++
	return true
}

func (r *roll) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n--; r.n == 0 && r.closed {
		close(r.empty)
	}
}

// close lets nothing more begin, and blocks until nothing is under way.
func (r *roll) close() {
	r.mu.Lock()
	if !r.closed {
		if r.closed = true; r.n == 0 {
			close(r.empty)
		}
	}
	r.mu.Unlock()
	<-r.empty
}
