package book

import (
	"sync"

	"github.com/starlingp2p/starling/wire"
)

// Life is what the Host sees of a session: that it took it, and that it has
// ended, each once. It is safe for concurrent use.
type Life struct {
	mu     sync.Mutex // a leaf
	taken  bool
	ended  bool
	closed wire.Closed
}

// Take notes that the Host took the session. If that has ended meanwhile, its
// end is to be reported now, and is given.
func (f *Life) Take() (closed wire.Closed, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = true
	return f.closed, f.ended
}

// End notes the session's end. first: it had not ended; taken: the Host took it,
// so that the end is to be reported.
func (f *Life) End(closed wire.Closed) (first, taken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false, f.taken
	}
	f.ended, f.closed = true, closed
	return true, f.taken
}
