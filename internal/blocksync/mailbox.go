package blocksync

import (
	"sync"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// mailbox takes in what callers tell without making them wait. News of a peer
// coalesce into one entry for each peer; offered blocks are bounded. Its mutex
// is a leaf: nothing is called and nothing is waited for while it is held.
type mailbox struct {
	wake chan struct{} // capacity 1

	mu       sync.Mutex
	news     map[peer.ID]*news
	order    []peer.ID // of first news
	offers   []Offered
	bytes    int
	maxCount int
	maxBytes int
	target   *chain.Ref
	drops    uint64
}

// news is what became of a peer since the owner last looked, in this order.
type news struct {
	left      bool
	joined    wire.Session
	claims    *chain.Status
	announced *Announced
}

// letter is all that came since the owner last looked.
type letter struct {
	ids    []peer.ID
	news   map[peer.ID]*news
	offers []Offered
	target *chain.Ref
}

func newMailbox(maxCount, maxBytes int) *mailbox {
	return &mailbox{wake: make(chan struct{}, 1), news: map[peer.ID]*news{}, maxCount: maxCount, maxBytes: maxBytes}
}

// ring wakes the owner.
func (m *mailbox) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// of gives the news of a peer. The mutex is held.
func (m *mailbox) of(id peer.ID) *news {
	n, ok := m.news[id]
	if !ok {
		n = &news{}
		m.news[id] = n
		m.order = append(m.order, id)
	}
	return n
}

func (m *mailbox) join(id peer.ID, s wire.Session, claims chain.Status) {
	m.mu.Lock()
	n := m.of(id)
	n.joined, n.claims, n.announced = s, &claims, nil
	m.mu.Unlock()
	m.ring()
}

func (m *mailbox) leave(id peer.ID) {
	m.mu.Lock()
	*m.of(id) = news{left: true}
	m.mu.Unlock()
	m.ring()
}

func (m *mailbox) claim(id peer.ID, st chain.Status) {
	m.mu.Lock()
	m.of(id).claims = &st
	m.mu.Unlock()
	m.ring()
}

func (m *mailbox) announce(id peer.ID, ref chain.Ref, w chain.Weight) {
	m.mu.Lock()
	n := m.of(id)
	if a := n.announced; a == nil || w.Compare(a.Weight) > 0 || w.Compare(a.Weight) == 0 && ref.Number > a.Ref.Number {
		n.announced = &Announced{Peer: id, Ref: ref, Weight: w}
	}
	m.mu.Unlock()
	m.ring()
}

func (m *mailbox) offer(from peer.ID, b chain.Block) {
	m.mu.Lock()
	m.offers = append(m.offers, Offered{From: from, Block: b})
	m.bytes += b.Size()
	for len(m.offers) > m.maxCount || (m.bytes > m.maxBytes && len(m.offers) > 1) {
		far := 0
		for i, o := range m.offers {
			if o.Block.Header.Ref.Number >= m.offers[far].Block.Header.Ref.Number {
				far = i
			}
		}
		m.bytes -= m.offers[far].Block.Size()
		m.offers = append(m.offers[:far], m.offers[far+1:]...)
		m.drops++
	}
	m.mu.Unlock()
	m.ring()
}

func (m *mailbox) aim(ref chain.Ref) {
	m.mu.Lock()
	m.target = &ref
	m.mu.Unlock()
	m.ring()
}

// waiting is how many offered blocks the owner has not taken yet.
func (m *mailbox) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.offers)
}

func (m *mailbox) dropped() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drops
}

// open takes everything out.
func (m *mailbox) open() letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := letter{m.order, m.news, m.offers, m.target}
	m.order, m.news, m.offers, m.bytes, m.target = nil, map[peer.ID]*news{}, nil, 0, nil
	return l
}

// eventQueue holds events for a reader that may be slow; the oldest goes first.
type eventQueue struct {
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	queue []Event
	max   int
	drops uint64
}

func newEventQueue(max int) *eventQueue {
	return &eventQueue{wake: make(chan struct{}, 1), max: max}
}

func (q *eventQueue) put(e Event) {
	q.mu.Lock()
	q.queue = append(q.queue, e)
	for len(q.queue) > q.max {
		q.queue = q.queue[1:]
		q.drops++
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *eventQueue) take() (Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil, false
	}
	e := q.queue[0]
	q.queue = q.queue[1:]
	return e, true
}

func (q *eventQueue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue)
}

func (q *eventQueue) dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drops
}
