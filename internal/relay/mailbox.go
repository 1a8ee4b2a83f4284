package relay

import (
	"cmp"
	"maps"
	"sync"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// letter is an event on its way to the owner.
type letter struct {
	event   Event
	session wire.Session // of a Joined
	by      *courier     // whose work it is the outcome of; nil: nobody's
	kind    string       // empty: it is never dropped
	from    peer.ID      // of a kind: which peer causes it; empty: none
	items   int          // that it tells of
	most    int          // letters of its kind that one peer may have waiting; 0: peerLetters
}

// What one peer may have waiting, of each kind: so one that tells faster than
// the owner listens loses its own letters, and not those of others.
const (
	peerLetters = 16
	peerItems   = 2 * maxAnnounced // beside a letter that waits alone
)

// share is what one peer causes of one kind.
type share struct {
	kind string
	from peer.ID
}

type load struct {
	letters, items int
	refused        int // the queue's length with the letter that tells of refused ones; 0: none were
}

// mailbox holds events until the owner takes them, in order. Putting one in
// never waits. Those that peers can cause are bounded, each kind by itself, and
// of each peer; the others are bounded by the sessions that they are about. Its mutex is a leaf.
type mailbox struct {
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	queue []letter
	bound int
	held  map[string]int
	of    map[share]load
	drops map[string]uint64
}

func (m *mailbox) init(bound int) {
	m.wake = make(chan struct{}, 1)
	m.bound = bound
	m.held, m.of, m.drops = map[string]int{}, map[share]load{}, map[string]uint64{}
}

// offer takes what may be dropped. It reports whether it was not.
func (m *mailbox) offer(kind string, l letter) bool {
	m.mu.Lock()
	theirs := share{kind, l.from}
	had := m.of[theirs]
	greedy := l.from != "" && (had.letters >= cmp.Or(l.most, peerLetters) || had.letters > 0 && had.items+l.items > peerItems)
	if greedy || m.held[kind] >= m.bound {
		m.drops["mailbox-"+kind]++
		if _, ok := l.event.(BlockAnnounced); ok && greedy {
			m.refused(theirs)
		}
		m.mu.Unlock()
		return false
	}
	m.held[kind]++
	if l.from != "" {
		had.letters++
		had.items += l.items
		m.of[theirs] = had
	}
	l.kind = kind
	m.queue = append(m.queue, l)
	m.mu.Unlock()
	m.ring()
	return true
}

// refused has the owner told that a peer lost one more announcement of a block by
// its own haste: one letter tells of all. The caller holds the lock.
func (m *mailbox) refused(theirs share) {
	l := m.of[theirs]
	if l.refused == 0 {
		m.queue = append(m.queue, letter{event: Refused{From: theirs.from}})
		l.refused = len(m.queue)
		m.of[theirs] = l
	}
	told := &m.queue[l.refused-1]
	told.event = Refused{theirs.from, told.event.(Refused).N + 1}
}

// force takes what must not be dropped.
func (m *mailbox) force(l letter) {
	m.mu.Lock()
	m.queue = append(m.queue, l)
	m.mu.Unlock()
	m.ring()
}

func (m *mailbox) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take gives all that waits.
func (m *mailbox) take() []letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.queue
	m.queue = nil
	clear(m.held)
	clear(m.of)
	return out
}

func (m *mailbox) dropped() map[string]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.drops)
}
