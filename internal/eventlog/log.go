package eventlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/env"
)

// Bounds of a Log.
const (
	DefaultCapacity = 4096    // records
	MaxCapacity     = 1 << 20 // records
	MaxBytes        = 8 << 20 // of all records, about
)

// ErrEnded: the node has ended, so nothing more comes.
var ErrEnded = errors.New("eventlog: the node has ended; no more events come")

// Record is an event with its number in this run of the node.
type Record struct {
	ID    uint64 // from 1, without holes
	Time  time.Time
	Event starling.Event
	// Missed is how many events just before this one found no room on their way
	// into the log.
	Missed uint64
}

// Log is the ring of a node's last events. All methods are safe for concurrent
// use. Its mutex is a leaf: nothing is waited for under it.
type Log struct {
	wall env.Wall

	mu      sync.Mutex
	ring    []Record // ring[i%len] holds the record that is numbered i+1
	first   uint64   // the oldest that is kept; next if there is none
	next    uint64   // the number of the next one
	bytes   int
	missed  uint64        // that never came into the log
	changed chan struct{} // closed at the next record; nil while nobody waits
	ended   bool
}

// New makes a Log that keeps at most capacity records (0: DefaultCapacity; at
// most MaxCapacity) and about MaxBytes. The oldest go first.
func New(capacity int) *Log { return NewClocked(capacity, env.SystemWall()) }

// NewClocked is New with a wall clock of the caller's.
func NewClocked(capacity int, wall env.Wall) *Log {
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	return &Log{wall: wall, ring: make([]Record, min(capacity, MaxCapacity)), first: 1, next: 1}
}

// Run takes a subscription's events in until it ends, or ctx does. It is called
// once; after it, Wait fails with ErrEnded.
func (l *Log) Run(ctx context.Context, sub *starling.Subscription) {
	defer l.end()
	var dropped uint64
	for {
		select {
		case ev, ok := <-sub.C():
			if !ok {
				return
			}
			now := sub.Dropped()
			l.add(ev, now-dropped)
			dropped = now
		case <-ctx.Done():
			return
		}
	}
}

// Add puts one event into the log and gives its number.
func (l *Log) Add(ev starling.Event) uint64 { return l.add(ev, 0) }

func (l *Log) add(ev starling.Event, missed uint64) uint64 {
	r := Record{Time: l.wall.Now(), Event: ev, Missed: missed}
	size := sizeOf(ev)
	l.mu.Lock()
	defer l.mu.Unlock()
	r.ID = l.next
	for l.first < l.next && (l.next-l.first >= uint64(len(l.ring)) || l.bytes+size > MaxBytes) {
		old := l.at(l.first)
		l.bytes -= sizeOf(old.Event)
		*old = Record{}
		l.first++
	}
	*l.at(r.ID) = r
	l.next++
	l.bytes += size
	l.missed += missed
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return r.ID
}

// at is the place of a record; mu is held.
func (l *Log) at(id uint64) *Record { return &l.ring[(id-1)%uint64(len(l.ring))] }

func (l *Log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Since gives the records after a number, oldest first and at most limit of them,
// and how many after it are no longer kept. A number that was never given out
// is from another run of the node, and counts as 0. It never blocks.
func (l *Log) Since(id uint64, limit int) (recs []Record, missed uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id >= l.next {
		id = 0
	}
	from := id + 1
	if from < l.first {
		missed, from = l.first-from, l.first
	}
	n := min(l.next-from, uint64(max(limit, 0)))
	recs = make([]Record, 0, n)
	for i := range n {
		recs = append(recs, *l.at(from + i))
	}
	return recs, missed
}

// Last is the number of the newest record; 0 before the first.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next - 1
}

// Dropped counts the events that found no room on their way into the log.
func (l *Log) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missed
}

// Wait blocks until Since would give a record after that number, ctx ends, or
// the node has ended and there is none, which is ErrEnded.
func (l *Log) Wait(ctx context.Context, id uint64) error {
	for {
		l.mu.Lock()
		last, ended := l.next-1, l.ended
		if last != id && (last > 0 || id == 0) {
			l.mu.Unlock()
			return nil
		}
		if l.changed == nil && !ended {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		if ended {
			return ErrEnded
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sizeOf is about what an event costs in memory, in bytes.
func sizeOf(ev starling.Event) int {
	const fixed = 160 // a Record, and an event without its texts
	switch ev := ev.(type) {
	case starling.PeerOpened:
		n := fixed + 200 + len(ev.Info.ID) + len(ev.Info.Addr.Text) + len(ev.Info.Agent)
		for _, a := range ev.Info.Listen {
			n += 32 + len(a.Text)
		}
		for _, p := range ev.Info.Protocols {
			n += 16 + len(p)
		}
		return n
	case starling.PeerClosed:
		return fixed + len(ev.ID) + len(ev.Detail)
	case starling.PeerRefused:
		return fixed + len(ev.ID) + len(ev.Addr.Text) + len(ev.Detail)
	case starling.PeerNotDialled:
		return fixed + len(ev.ID) + len(ev.Addr.Text) + len(ev.Detail)
	case starling.PeerCharged:
		return fixed + len(ev.ID) + len(ev.Detail)
	case starling.PeerBanned:
		return fixed + len(ev.Who) + len(ev.Reason)
	case starling.PeerUnbanned:
		return fixed + len(ev.Who)
	case starling.HeadChanged:
		return fixed + 200 + 40*len(ev.Blocks)
	case starling.SyncChanged:
		return fixed + len(ev.Detail)
	case starling.TopicChanged:
		return fixed + len(ev.ID) + len(ev.Topic)
	case starling.Alarm:
		return fixed + len(ev.Text)
	}
	return fixed + 200
}
