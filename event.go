package starling

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Event is something that happened in the node. The set is sealed and grows:
// ignore kinds that you do not know.
type Event interface{ event() }

// The events.
type (
	// PeerOpened: a session is open.
	PeerOpened struct{ Info peer.Info }
	// PeerClosed: a session has ended.
	PeerClosed struct {
		ID       peer.ID
		Reason   peer.Reason
		ByRemote bool
		Detail   string // the value and the bound where we ended it; may be empty
	}
	// PeerRefused: a link or a handshake was refused, or a dial failed.
	PeerRefused struct {
		ID        peer.ID // empty where it is not known; for a dial that failed, whom the address names
		Addr      peer.Addr
		Direction peer.Direction
		Reason    peer.Reason
		ByRemote  bool
		Detail    string
	}
	// PeerNotDialled: an address that somebody named was not even dialled: a
	// static or trusted one, a seed, or one that Connect was asked for.
	PeerNotDialled struct {
		ID     peer.ID // empty where the address names none
		Addr   peer.Addr
		Reason peer.Reason
		Detail string
	}
	// PeerCharged: a peer committed a checkable fault. Score is what it is left with.
	PeerCharged struct {
		ID       peer.ID
		Offense  peer.Offense
		Severity peer.Severity
		Score    float64
		Detail   string
	}
	// PeerBanned: a peer, or a prefix of addresses, is banned for a time.
	PeerBanned struct {
		Who     string // an ID or a prefix
		For     time.Duration
		Reason  string
		ByScore bool // by its faults, not by hand
	}
	// PeerUnbanned: a ban has ended.
	PeerUnbanned struct{ Who string }
	// HeadChanged: blocks are imported and durable; Status is the chain's after it.
	HeadChanged struct {
		Status chain.Status
		Blocks []chain.Ref // in order
	}
	// BlockSeen: a block came by gossip and passed its check.
	BlockSeen struct {
		Ref  chain.Ref
		From peer.ID
	}
	// Published: what became of a message of ours.
	Published struct {
		Kind    string    // "block", "txs"
		Ref     chain.Ref // of the block; zero for transactions
		Receipt wire.Receipt
		Err     error // nil, or why nobody was told
	}
	// SyncChanged: the sync started, ended, found or closed a gap, or is stuck.
	SyncChanged struct {
		What   string // a fixed word: "syncing", "synced", "gap-found", "gap-closed", "stuck", "reorg", "reorg-refused", "target-refused"
		Detail string
		Cause  string // stuck: a fixed word for it, empty when it goes on
	}
	// TopicChanged: a peer joined or left a topic.
	TopicChanged struct {
		ID     peer.ID
		Topic  string
		Joined bool
	}
	// ClockSuspected: enough peers disagree with our clock, or no longer do.
	ClockSuspected struct {
		On   bool
		Skew time.Duration // theirs minus ours, the median
	}
	// ClockJumped: the wall clock moved by By against the monotonic one, or the
	// process stood still that long.
	ClockJumped struct{ By time.Duration }
	// Alarm: an operator should look.
	Alarm struct{ Text string }
)

func (PeerOpened) event()     {}
func (PeerClosed) event()     {}
func (PeerRefused) event()    {}
func (PeerNotDialled) event() {}
func (PeerCharged) event()    {}
func (PeerBanned) event()     {}
func (PeerUnbanned) event()   {}
func (HeadChanged) event()    {}
func (BlockSeen) event()      {}
func (Published) event()      {}
func (SyncChanged) event()    {}
func (TopicChanged) event()   {}
func (ClockSuspected) event() {}
func (ClockJumped) event()    {}
func (Alarm) event()          {}

// Subscription is a view of the node's events, in the one order in which they
// happened. A reader that lags loses the newest and sees how many.
type Subscription struct {
	c       chan Event
	dropped atomic.Uint64
	release func() bool // lets the context go that ends it
}

// C delivers the events; it is closed when the subscription's context or the
// node ends.
func (s *Subscription) C() <-chan Event { return s.c }

// Dropped counts the events that found the buffer full.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// bus hands events to subscribers. Its mutex is a leaf: nothing is called and
// nothing waited for under it.
type bus struct {
	mu     sync.Mutex
	subs   map[*Subscription]struct{}
	closed bool

	dropped atomic.Uint64 // by all subscriptions
}

func newBus() *bus { return &bus{subs: make(map[*Subscription]struct{})} }

// subscribe adds a reader with room for capacity events, until ctx ends or the
// bus is closed.
func (b *bus) subscribe(ctx context.Context, capacity int) *Subscription {
	s := &Subscription{c: make(chan Event, capacity)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		close(s.c)
		return s
	}
	b.subs[s] = struct{}{}
	s.release = context.AfterFunc(ctx, func() { b.unsubscribe(s) })
	return s
}

func (b *bus) unsubscribe(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.subs[s]; ok {
		b.end(s)
	}
}

// end takes a reader off; mu is held.
func (b *bus) end(s *Subscription) {
	delete(b.subs, s)
	s.release()
	close(s.c)
}

// publish never blocks.
func (b *bus) publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		select {
		case s.c <- e:
		default:
			s.dropped.Add(1)
			b.dropped.Add(1)
		}
	}
}

func (b *bus) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.subs {
		b.end(s)
	}
}
