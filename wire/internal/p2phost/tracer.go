package p2phost

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/wire"
)

// A mesh peer is silent when it delivered none of the last messages of a
// topic, though others did, long enough, and where the mesh can do without it:
// in a small network a leaf has nothing to deliver.
const (
	silentMessages = 20
	silentTime     = time.Minute
	silentPenalty  = -10
	// silentFor is how long the penalty stays when it has cost the peer its
	// place in the mesh, unless it delivers something after all.
	silentFor = 10 * time.Minute
	maxSilent = 1024 // peers under it
	// nearFirst is how long after the first copy another still counts as a
	// delivery: later, it may be our own, sent back.
	nearFirst  = 2 * time.Second
	maxTracked = 1024 // messages whose first copy is remembered
)

// tracer hears from pubsub what becomes of each message, synchronously: it
// never blocks. It keeps the meshes, counts copies for receipts, returns
// places of the quota, and finds silent mesh peers.
type tracer struct {
	quota   *quota
	id      func(topic string, data []byte) string
	dropped func(id libpeer.ID, queue string, n int)
	passed  func(topic string, inbound bool, bytes int)
	copied  func(*pubsub.Message) // is told of duplicates

	mu       sync.Mutex
	mesh     map[string]map[libpeer.ID]*meshPeer
	first    map[string]time.Time // by message id
	order    []string             // ring over the keys of first
	next     int
	receipts map[*byte]*wire.Receipt  // by the message's first byte
	muted    map[libpeer.ID]time.Time // until when a peer pays for its silence
}

type meshPeer struct {
	since     time.Time
	expected  int // messages that came to us from others
	delivered int
}

var _ pubsub.RawTracer = (*tracer)(nil)

func newTracer(q *quota, id func(string, []byte) string, dropped func(libpeer.ID, string, int), passed func(string, bool, int)) *tracer {
	return &tracer{
		quota: q, id: id, dropped: dropped, passed: passed, mesh: map[string]map[libpeer.ID]*meshPeer{}, copied: func(*pubsub.Message) {},
		first: map[string]time.Time{}, receipts: map[*byte]*wire.Receipt{}, muted: map[libpeer.ID]time.Time{},
	}
}

// silent is what a peer pays for delivering nothing.
func (t *tracer) silent(id libpeer.ID) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, peers := range t.mesh {
		p := peers[id]
		if p != nil && p.delivered == 0 && p.expected >= silentMessages && now.Sub(p.since) >= silentTime && len(peers) >= pubsub.GossipSubDlo && len(t.muted) < maxSilent {
			t.muted[id] = now.Add(silentFor)
		}
	}
	until, ok := t.muted[id]
	if ok && now.After(until) {
		delete(t.muted, id)
		ok = false
	}
	if ok {
		return silentPenalty
	}
	return 0
}

// meshSize is how many peers the mesh of a topic has.
func (t *tracer) meshSize(topic string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mesh[topic])
}

// watch counts the copies of a message of ours until the returned func is called.
func (t *tracer) watch(data []byte) func() wire.Receipt {
	r := new(wire.Receipt)
	t.mu.Lock()
	t.receipts[&data[0]] = r
	t.mu.Unlock()
	return func() wire.Receipt {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.receipts, &data[0])
		return *r
	}
}

// Graft implements pubsub.RawTracer.
func (t *tracer) Graft(id libpeer.ID, topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	peers := t.mesh[topic]
	if peers == nil {
		peers = map[libpeer.ID]*meshPeer{}
		t.mesh[topic] = peers
	}
	if peers[id] == nil {
		peers[id] = &meshPeer{since: time.Now()}
	}
}

// Prune implements pubsub.RawTracer.
func (t *tracer) Prune(id libpeer.ID, topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mesh[topic], id)
}

// Leave implements pubsub.RawTracer.
func (t *tracer) Leave(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mesh, topic)
}

// OnClosedOutboundStream implements pubsub.RawTracer.
func (t *tracer) OnClosedOutboundStream(id libpeer.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, peers := range t.mesh {
		delete(peers, id)
	}
}

// DeliverMessage implements pubsub.RawTracer: the first copy of a message was
// accepted.
func (t *tracer) DeliverMessage(m *pubsub.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remember(m.ID)
	delete(t.muted, m.ReceivedFrom)
	for id, p := range t.mesh[m.GetTopic()] {
		if id == m.ReceivedFrom {
			p.delivered++
		} else {
			p.expected++
		}
	}
}

func (t *tracer) remember(id string) {
	if len(t.order) < maxTracked {
		t.order = append(t.order, id)
	} else {
		delete(t.first, t.order[t.next])
		t.order[t.next] = id
		t.next = (t.next + 1) % maxTracked
	}
	t.first[id] = time.Now()
}

// DuplicateMessage implements pubsub.RawTracer.
func (t *tracer) DuplicateMessage(m *pubsub.Message) {
	t.quota.done(m.ReceivedFrom, m.Message)
	t.copied(m)
	id := m.ID
	if id == "" {
		id = t.id(m.GetTopic(), m.GetData())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.first[id]
	if !ok || time.Since(at) > nearFirst {
		return
	}
	delete(t.muted, m.ReceivedFrom)
	if p := t.mesh[m.GetTopic()][m.ReceivedFrom]; p != nil {
		p.delivered++
	}
}

// RejectMessage implements pubsub.RawTracer.
func (t *tracer) RejectMessage(m *pubsub.Message, reason string) {
	t.quota.done(m.ReceivedFrom, m.Message)
	switch reason {
	case pubsub.RejectValidationQueueFull:
		t.dropped(m.ReceivedFrom, "gossip-validation", 1)
	case pubsub.RejectValidationThrottled:
		t.dropped(m.ReceivedFrom, "gossip-validators", 1)
	}
}

// SendRPC implements pubsub.RawTracer.
func (t *tracer) SendRPC(rpc *pubsub.RPC, _ libpeer.ID) {
	t.count(rpc.Publish, func(r *wire.Receipt) { r.Queued++ })
	t.tell(rpc, false)
}

// DropRPC implements pubsub.RawTracer.
func (t *tracer) DropRPC(rpc *pubsub.RPC, id libpeer.ID) {
	t.count(rpc.Publish, func(r *wire.Receipt) { r.Dropped++ })
	if n := len(rpc.Publish); n > 0 {
		t.dropped(id, "gossip-outbound", n)
	} else {
		t.dropped(id, "gossip-control", 1)
	}
}

func (t *tracer) count(msgs []*pb.Message, add func(*wire.Receipt)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.receipts) == 0 {
		return
	}
	for _, m := range msgs {
		if d := m.GetData(); len(d) > 0 {
			if r := t.receipts[&d[0]]; r != nil {
				add(r)
			}
		}
	}
}

// The rest of pubsub.RawTracer is of no use here.

// OnNewOutboundStream implements pubsub.RawTracer.
func (*tracer) OnNewOutboundStream(libpeer.ID, protocol.ID) {}

// Join implements pubsub.RawTracer.
func (*tracer) Join(string) {}

// ValidateMessage implements pubsub.RawTracer.
func (*tracer) ValidateMessage(*pubsub.Message) {}

// ThrottlePeer implements pubsub.RawTracer: the messages of its RPC are dropped.
func (t *tracer) ThrottlePeer(id libpeer.ID) { t.quota.undo(id) }

// RecvRPC implements pubsub.RawTracer.
func (t *tracer) RecvRPC(rpc *pubsub.RPC) { t.tell(rpc, true) }

// tell passes each message of an RPC to whoever counts them.
func (t *tracer) tell(rpc *pubsub.RPC, inbound bool) {
	for _, m := range rpc.Publish {
		t.passed(m.GetTopic(), inbound, len(m.GetData()))
	}
}

// UndeliverableMessage implements pubsub.RawTracer. Messages are taken in by
// their validator; nothing waits in a subscription.
func (*tracer) UndeliverableMessage(*pubsub.Message) {}
