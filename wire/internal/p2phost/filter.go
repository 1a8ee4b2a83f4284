package p2phost

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// MaxTopics is how many topics a node joins, and how many subscriptions
	// one message of a peer may hold.
	MaxTopics = 16
	// subBurst and subRate bound a peer's changes of subscriptions: an honest
	// one tells each topic once, and an application changes its mind rarely.
	subBurst = 4 * MaxTopics
	subRate  = 1 // a second
	// maxSpent is how many peers' changes are remembered: those that are here. One
	// that left while its message was under way would stay for good otherwise.
	maxSpent = 4096
)

// subFilter lets pubsub keep subscriptions only of topics that are ours, and
// charges who floods it with others.
type subFilter struct {
	flood func(libpeer.ID, string)
	undo  func(libpeer.ID) // pubsub drops the whole RPC

	mu      sync.Mutex
	allowed map[string]bool
	spent   *simplelru.LRU[libpeer.ID, *rate.Limiter]
}

var _ pubsub.SubscriptionFilter = (*subFilter)(nil)

func newSubFilter(flood func(libpeer.ID, string), undo func(libpeer.ID)) *subFilter {
	f := &subFilter{flood: flood, undo: undo, allowed: map[string]bool{}}
	f.spent, _ = simplelru.NewLRU[libpeer.ID, *rate.Limiter](maxSpent, nil) // it errs for sizes below 1 only
	return f
}

// allow makes a topic one of ours.
func (f *subFilter) allow(topic string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.allowed[topic] && len(f.allowed) == MaxTopics {
		return fmt.Errorf("p2phost: topic %q: %d topics are joined, which is the most: leave one", topic, MaxTopics)
	}
	f.allowed[topic] = true
	return nil
}

func (f *subFilter) forbid(topic string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.allowed, topic)
}

func (f *subFilter) forget(id libpeer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spent.Remove(id)
}

// CanSubscribe implements pubsub.SubscriptionFilter.
func (f *subFilter) CanSubscribe(topic string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.allowed[topic]
}

// FilterIncomingSubscriptions implements pubsub.SubscriptionFilter. On an
// error pubsub drops the whole message.
func (f *subFilter) FilterIncomingSubscriptions(from libpeer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	if len(subs) > MaxTopics {
		f.undo(from)
		f.flood(from, fmt.Sprintf("%d subscriptions in one message, at most %d", len(subs), MaxTopics))
		return nil, pubsub.ErrTooManySubscriptions
	}
	f.mu.Lock()
	l, ok := f.spent.Get(from)
	if !ok {
		l = rate.NewLimiter(subRate, subBurst)
		f.spent.Add(from, l)
	}
	f.mu.Unlock()
	if !l.AllowN(time.Now(), len(subs)) {
		f.undo(from)
		f.flood(from, fmt.Sprintf("more than %d changes of subscriptions, and %d a second", subBurst, subRate))
		return nil, pubsub.ErrTooManySubscriptions
	}
	return pubsub.FilterSubscriptions(subs, f.CanSubscribe), nil
}
