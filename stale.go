package starling

import (
	"sync"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// A relay may be late, so a message that is too old when it comes costs its
// deliverer nothing; over staleMost of them in staleTime it is a flood of what
// is dead, and each costs (threat G-04).
const (
	staleMost  = 20
	staleTime  = time.Minute
	stalePeers = 1024 // that are remembered, the oldest going first
)

// staleCounts counts what came too late, by peer.
type staleCounts struct {
	mu    sync.Mutex // a leaf
	since map[peer.ID]staleCount
	order []peer.ID // by the begin of their minute
}

type staleCount struct {
	from time.Time
	n    int
}

func newStaleCounts() *staleCounts { return &staleCounts{since: map[peer.ID]staleCount{}} }

// flood notes a message that came too late and reports whether it was one too many.
func (s *staleCounts) flood(id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for len(s.order) > 0 && (len(s.order) >= stalePeers || now.Sub(s.since[s.order[0]].from) >= staleTime) {
		delete(s.since, s.order[0])
		s.order = s.order[1:]
	}
	c, ok := s.since[id]
	if !ok {
		c.from = now
		s.order = append(s.order, id)
	}
	c.n++
	s.since[id] = c
	return c.n > staleMost
}
