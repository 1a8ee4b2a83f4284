package p2phost

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

const (
	// PeerQuota is how many messages of one peer on one topic may wait for
	// validation: stalled blocks do not keep consensus out.
	PeerQuota = 8
	// quotaSmall is the size in bytes up to which a message is let in though the
	// memory for validation is used up: their number is bounded anyway.
	quotaSmall = 64 << 10
	// quotaLife is when a message that pubsub dropped without a word stops
	// counting; longer than a validation can take.
	quotaLife = 30 * time.Second
)

// quota takes messages of a peer that has too many in validation out of its
// RPC before pubsub sees them. Later would be too late: pubsub marks a message
// as seen before it validates it, so one that is dropped then is lost from
// every other peer too, and a hog could censor.
type quota struct {
	bytes   int // of all peers together
	perPeer int // bytes
	ours    func(topic string) bool
	score   func(libpeer.ID) float64 // nil: 0
	dropped func(id libpeer.ID, queue string, n int)

	mu    sync.Mutex
	used  int // bytes
	peers map[quotaKey]*inQueue
	swept time.Time
	last  []*pb.Message // let in with the RPC that pubsub has in hand
}

type quotaKey struct {
	id    libpeer.ID
	topic string
}

type inQueue struct {
	bytes int
	msgs  map[*pb.Message]time.Time
}

func newQuota(total, perMessage int, ours func(string) bool, dropped func(libpeer.ID, string, int)) *quota {
	return &quota{bytes: total, perPeer: 2 * perMessage, ours: ours, dropped: dropped, peers: map[quotaKey]*inQueue{}}
}

// inspect is pubsub's RPC inspector.
func (q *quota) inspect(from libpeer.ID, rpc *pubsub.RPC) error {
	if len(rpc.Publish) == 0 {
		q.mu.Lock()
		q.last = nil
		q.mu.Unlock()
		return nil
	}
	// pubsub drops all of these without a word, and their places would stay taken.
	if q.score != nil && q.score(from) < graylistThreshold {
		q.dropped(from, "gossip-graylist", len(rpc.Publish))
		rpc.Publish = nil
		return nil
	}
	now := time.Now()
	keep := rpc.Publish[:0]
	over, full, alien := 0, 0, 0
	q.mu.Lock()
	q.last = nil
	q.sweep(now)
	for _, m := range rpc.Publish {
		if !q.ours(m.GetTopic()) {
			alien++
			continue
		}
		k, n := quotaKey{from, m.GetTopic()}, len(m.GetData())
		p := q.peers[k]
		if p == nil {
			p = &inQueue{msgs: map[*pb.Message]time.Time{}}
			q.peers[k] = p
		}
		if len(p.msgs) >= PeerQuota {
			q.expire(p, now)
		}
		switch {
		case len(p.msgs) >= PeerQuota || p.bytes+n > q.perPeer:
			over++
		case q.used+n > q.bytes && n > quotaSmall:
			full++
		default:
			p.msgs[m] = now
			p.bytes += n
			q.used += n
			keep = append(keep, m)
			q.last = append(q.last, m)
		}
		q.tidy(k, p)
	}
	q.mu.Unlock()
	clear(rpc.Publish[len(keep):])
	rpc.Publish = keep
	for _, d := range []struct {
		queue string
		n     int
	}{{"gossip-peer-quota", over}, {"gossip-validation-bytes", full}, {"gossip-unknown-topic", alien}} {
		if d.n > 0 {
			q.dropped(from, d.queue, d.n)
		}
	}
	return nil
}

// done says that a message has left validation, whatever became of it.
func (q *quota) done(from libpeer.ID, m *pb.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := quotaKey{from, m.GetTopic()}
	if p := q.peers[k]; p != nil {
		q.remove(p, m)
		q.tidy(k, p)
	}
}

// undo takes back what was let in with the RPC that pubsub has in hand: it drops
// the whole RPC. Like inspect, it is called on pubsub's goroutine.
func (q *quota) undo(from libpeer.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.last {
		k := quotaKey{from, m.GetTopic()}
		if p := q.peers[k]; p != nil {
			q.remove(p, m)
			q.tidy(k, p)
		}
	}
	q.last = nil
}

// sweep frees, once a second at most, the places of messages that pubsub
// dropped without a word. The lock is held.
func (q *quota) sweep(now time.Time) {
	if now.Sub(q.swept) < time.Second {
		return
	}
	q.swept = now
	for k, p := range q.peers {
		q.expire(p, now)
		q.tidy(k, p)
	}
}

func (q *quota) remove(p *inQueue, m *pb.Message) {
	if _, ok := p.msgs[m]; ok {
		delete(p.msgs, m)
		p.bytes -= len(m.GetData())
		q.used -= len(m.GetData())
	}
}

func (q *quota) expire(p *inQueue, now time.Time) {
	for m, since := range p.msgs {
		if now.Sub(since) > quotaLife {
			q.remove(p, m)
		}
	}
}

func (q *quota) tidy(k quotaKey, p *inQueue) {
	if len(p.msgs) == 0 {
		delete(q.peers, k)
	}
}
