package framed

import (
	"sync"

	"github.com/starlingp2p/starling/wire"
)

// Out is a message to be sent. Its payload must not change afterwards.
type Out struct {
	Code    uint64
	Payload []byte
	// Key, where it is not 0, marks a status: a later message with the same Key
	// takes the place of one that still waits on its lane.
	Key uint64
	// Spare says that nobody needs the payload's memory once it is sent, and that
	// it is of no other slice: it then serves another message.
	Spare bool
	// Mark, where it is not nil, makes the message a question of ours: it goes
	// ahead of the answers on wire.LaneSync, whatever lane it is sent on.
	Mark *Mark

	lane wire.Lane
}

func (o Out) size() int { return len(o.Payload) + frameTax }

// Bound is how much may wait in a queue. A message that is larger than Bytes
// waits where nothing else does.
type Bound struct {
	Messages int // 0: 256; negative: none waits, a message is handed over or not
	Bytes    int // 0: 4 MiB
}

func (b Bound) withDefaults() Bound {
	switch {
	case b.Messages == 0:
		b.Messages = 256
	case b.Messages < 0:
		b.Messages = 0
	}
	if b.Bytes <= 0 {
		b.Bytes = 4 << 20
	}
	return b
}

// room reports whether one more message of that size fits beside what is there.
func (b Bound) room(messages, bytes, size int) bool {
	return messages < b.Messages && (messages == 0 || bytes+size <= b.Bytes)
}

// lane is the messages of one priority that wait.
type lane struct {
	bound   Bound
	items   fifo[Out]
	bytes   int
	skipped int           // messages of higher lanes that went first while one waited here
	freed   chan struct{} // closed when a place may be free; nil: nobody waits
}

// asks is the place of our questions among the lanes of a queue. They are small
// and few, and whoever asks counts the time, so they do not stand in line behind
// our answers.
const asks = wire.NumLanes

// order is that of the lanes, the first goes first.
var order = [...]wire.Lane{wire.LaneConsensus, wire.LaneBlock, wire.LaneTx, asks, wire.LaneSync, wire.LaneHousekeeping}

// laneOf is the place of a message in a queue.
func laneOf(l wire.Lane, m Out) wire.Lane {
	if m.Mark != nil {
		return asks
	}
	return l
}

// queue is the lanes of one link. Its lock is a leaf.
type queue struct {
	mu    sync.Mutex
	lanes [len(order)]lane
	burst int
	idle  bool          // the writer waits and nothing else does
	wake  chan struct{} // of capacity 1: the writer has work
}

func newQueue(bounds [wire.NumLanes]Bound, burst int) *queue {
	q := &queue{burst: burst, wake: make(chan struct{}, 1)}
	for i := range bounds {
		q.lanes[i].bound = bounds[i].withDefaults()
	}
	q.lanes[asks].bound = q.lanes[wire.LaneSync].bound
	return q
}

// dropsOldest tells the lanes whose messages lose their worth with time.
func dropsOldest(l wire.Lane) bool {
	return l == wire.LaneBlock || l == wire.LaneTx || l == wire.LaneHousekeeping
}

// push queues a message. Where that fails, freed tells when to try again. old
// is how many messages lost their place to it.
func (q *queue) push(l wire.Lane, m Out) (ok bool, freed <-chan struct{}, old int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ln := &q.lanes[l]
	m.lane = l
	if m.Key != 0 {
		for i := range ln.items.len() {
			if at := ln.items.at(i); at.Key == m.Key {
				ln.bytes += m.size() - at.size()
				*at = m
				return true, nil, 0
			}
		}
	}
	for !q.fits(ln, m) {
		if !dropsOldest(l) || ln.items.len() == 0 {
			if ln.freed == nil {
				ln.freed = make(chan struct{})
			}
			return false, ln.freed, old
		}
		ln.bytes -= ln.items.pop().size()
		old++
	}
	ln.items.push(m)
	ln.bytes += m.size()
	q.idle = false
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true, nil, old
}

func (q *queue) fits(ln *lane, m Out) bool {
	if ln.bound.Messages == 0 {
		return q.idle
	}
	return ln.bound.room(ln.items.len(), ln.bytes, m.size())
}

// next takes the message that is to go next: of the highest lane that has one,
// unless a lower lane was passed over a whole burst long.
func (q *queue) next() (Out, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	pick, starved := -1, -1 // in order
	for i, l := range order {
		ln := &q.lanes[l]
		if ln.items.len() == 0 {
			continue
		}
		if pick < 0 {
			pick = i
		}
		if ln.skipped >= q.burst && (starved < 0 || ln.skipped > q.lanes[order[starved]].skipped) {
			starved = i
		}
	}
	if pick < 0 {
		if !q.idle {
			q.idle = true
			for i := range q.lanes {
				q.lanes[i].free()
			}
		}
		return Out{}, false
	}
	if starved >= 0 {
		pick = starved
	}
	return q.take(pick), true
}

// nextUrgent is next of the urgent lanes alone.
func (q *queue) nextUrgent() (Out, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, l := range order {
		if urgent(l) && q.lanes[l].items.len() > 0 {
			return q.take(i), true
		}
	}
	return Out{}, false
}

// take takes the first message of a lane that has one, by its place in order.
// The caller holds the lock.
func (q *queue) take(place int) Out {
	for _, l := range order[place+1:] {
		if q.lanes[l].items.len() > 0 {
			q.lanes[l].skipped++
		}
	}
	ln := &q.lanes[order[place]]
	m := ln.items.pop()
	ln.bytes -= m.size()
	ln.skipped = 0
	ln.free()
	return m
}

// free wakes those who wait for a place.
func (ln *lane) free() {
	if ln.freed != nil {
		close(ln.freed)
		ln.freed = nil
	}
}

// waiting is how many messages wait on a lane; questions count as of sync.
func (q *queue) waiting(l wire.Lane) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.lanes[l].items.len()
	if l == wire.LaneSync {
		n += q.lanes[asks].items.len()
	}
	return n
}

// fifo is a queue that gives its memory back when it is empty.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int    { return len(f.items) - f.head }
func (f *fifo[T]) at(i int) *T { return &f.items[f.head+i] }
func (f *fifo[T]) push(item T) {
	if f.head > 32 && f.head*2 > len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, item)
}

func (f *fifo[T]) pop() (item T) {
	item, f.items[f.head] = f.items[f.head], item
	if f.head++; f.head == len(f.items) {
		f.head = 0
		if f.items = f.items[:0]; cap(f.items) > 64 {
			f.items = nil
		}
	}
	return item
}
