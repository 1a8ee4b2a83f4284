package opstack

import (
	"time"

	"github.com/starlingp2p/starling/peer"
)

// unusedTime is how long a connection that a peer opened may serve nothing
// (op-node's TCP transport has the same bound): the peer is in no topic of ours
// and nobody asks the other for a block. Pings do not count. What we dialled
// ourselves is the node's to give up.
const unusedTime = 60 * time.Minute

// use notes that the session serves something.
func (s *session) use() { s.used.Store(int64(time.Since(s.began))) }

// isUnused reports whether it has served nothing for too long.
func (s *session) isUnused(now time.Time) bool {
	s.mu.Lock()
	idle := s.topics == 0
	s.mu.Unlock()
	return idle && !s.ours && len(s.inFlight) == 0 && now.Sub(s.began)-time.Duration(s.used.Load()) >= unusedTime
}

// endUnused ends such sessions, until the node ends.
func (n *node) endUnused() {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, s := range n.book.Sessions() {
				if s.isUnused(now) {
					s.end(peer.Useless, false, "the peer is in no topic and asked for nothing")
				}
			}
		case <-n.tasks.Ctx.Done():
			return
		}
	}
}
