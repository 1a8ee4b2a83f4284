package p2phost

import (
	"fmt"
	"sync"
	"time"

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
)

// subFilter lets pubsub keep subscriptions only of topics that are ours, and
// charges who floods it with others.
type subFilter struct {
	flood func(libpeer.ID, string)

	mu      sync.Mutex
	allowed map[string]bool
	spent   map[libpeer.ID]*rate.Limiter // of peers with a session
}

var _ pubsub.SubscriptionFilter = (*subFilter)(nil)

func newSubFilter(flood func(libpeer.ID, string)) *subFilter {
	return &subFilter{flood: flood, allowed: map[string]bool{}, spent: map[libpeer.ID]*rate.Limiter{}}
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
	delete(f.spent, id)
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
		f.flood(from, fmt.Sprintf("%d subscriptions in one message, at most %d", len(subs), MaxTopics))
		return nil, pubsub.ErrTooManySubscriptions
	}
	f.mu.Lock()
	l := f.spent[from]
	if l == nil {
		l = rate.NewLimiter(subRate, subBurst)
		f.spent[from] = l
	}
	f.mu.Unlock()
	if !l.AllowN(time.Now(), len(subs)) {
		f.flood(from, fmt.Sprintf("more than %d changes of subscriptions, and %d a second", subBurst, subRate))
		return nil, pubsub.ErrTooManySubscriptions
	}
	return pubsub.FilterSubscriptions(subs, f.CanSubscribe), nil
}
