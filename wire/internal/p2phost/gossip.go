package p2phost

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Sizes of pubsub's queues. Its defaults of 32 lose bursts.
const (
	validateQueue  = 1024 // messages; PeerQuota keeps one peer's share small
	maxValidators  = 2048 // validations at once; over this pubsub drops what it has marked as seen, so PeerQuota must bite first
	outboundQueue  = 256  // RPCs to one peer
	validateTime   = 20 * time.Second
	controlRoom    = 64 << 10 // bytes of an RPC beside its message
	maxGossipScore = 100
)

// GossipConfig says how a wire gossips.
type GossipConfig struct {
	MaxMessage int // bytes of one message as it travels; required
	Budget     *Budget
	// MessageID is computed for every copy that arrives: it must be cheap.
	MessageID func(topic string, data []byte) string
	// Validate judges a message of a peer with a session, or whose session
	// ended in the last seconds. It may block until
	// ctx ends; calls are concurrent. It must not keep data where it rejects.
	Validate func(ctx context.Context, from network.Conn, topic string, data []byte) chain.Action
	// Score is the node's own opinion, -100 to 100; nil: none. It never blocks.
	Score func(peer.ID) float64
	// Charge tells of a fault. It never blocks.
	Charge func(from network.Conn, o peer.Offense, detail string)
	// Copied is told of a copy of a message that came already; nil: nobody asks.
	// It never blocks.
	Copied func(from network.Conn, topic string, data []byte)
	// Count is told of each copy of a message that comes or goes, the topic being
	// whatever text the peer gave; nil: nobody counts. It never blocks.
	Count func(topic string, inbound bool, bytes int)
	// SeenFor is how long a message id is remembered; 0: 2 min.
	SeenFor time.Duration
	Options []pubsub.Option // applied last
}

// Gossip is gossipsub among the sessions of a host. Its methods are safe for
// concurrent use.
type Gossip struct {
	cfg      GossipConfig
	judge    Judge
	host     *sessionHost
	ps       *pubsub.PubSub
	filter   *subFilter
	quota    *quota
	tracer   *tracer
	conduct  *conduct
	barriers atomic.Uint64
	scores   atomic.Pointer[map[libpeer.ID]*pubsub.PeerScoreSnapshot]

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	topics map[string]*joined
	notify *network.NotifyBundle
}

// joined is a topic of ours.
type joined struct {
	topic  *pubsub.Topic
	sub    *pubsub.Subscription
	events *pubsub.TopicEventHandler
	stop   context.CancelFunc

	mu     sync.Mutex
	passed map[uint64]chan struct{} // barriers that are under way
}

// StartGossip starts pubsub. Nothing of it is seen by a peer before Opened
// tells of the peer's session. Close must be called before the host's.
func (h *Host) StartGossip(cfg GossipConfig) (*Gossip, error) {
	if cfg.Score == nil {
		cfg.Score = func(peer.ID) float64 { return 0 }
	}
	if cfg.Budget == nil {
		cfg.Budget = NewBudget(0)
	}
	if cfg.Count == nil {
		cfg.Count = func(string, bool, int) {}
	}
	if cfg.SeenFor == 0 {
		cfg.SeenFor = 2 * time.Minute
	}
	g := &Gossip{cfg: cfg, judge: h.cfg.Judge, topics: map[string]*joined{}}
	g.ctx, g.stop = context.WithCancel(context.Background())
	var err error
	if g.host, err = newSessionHost(g.ctx, h, g.wrap); err != nil {
		g.stop()
		return nil, fmt.Errorf("p2phost: gossip: %w", err)
	}
	g.filter = newSubFilter(func(id libpeer.ID, detail string) {
		g.host.charge(id, peer.SubscribeFlood, detail, cfg.Charge)
	}, func(id libpeer.ID) { g.quota.undo(id) })
	g.quota = newQuota(int(cfg.Budget.Size()), cfg.MaxMessage, g.filter.CanSubscribe, g.dropped)
	g.quota.score = g.Score
	g.tracer = newTracer(g.quota, cfg.MessageID, g.dropped, cfg.Count)
	g.tracer.copied = func(m *pubsub.Message) {
		if c := g.host.conn(m.ReceivedFrom); c != nil && cfg.Copied != nil {
			cfg.Copied(c, m.GetTopic(), m.GetData())
		}
	}
	scores, thresholds := scoreParams(func(id libpeer.ID) float64 {
		return max(-maxGossipScore, min(maxGossipScore, cfg.Score(peer.ID(id.String())))) + g.tracer.silent(id)
	})
	g.conduct = newConduct(func(id libpeer.ID, detail string) { g.host.charge(id, peer.GraftFlood, detail, cfg.Charge) })
	quiet := slog.New(slog.DiscardHandler)
	opts := []pubsub.Option{
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { return cfg.MessageID(m.GetTopic(), m.GetData()) }),
		pubsub.WithGossipSubParams(params()),
		pubsub.WithMaxMessageSize(cfg.MaxMessage + controlRoom),
		pubsub.WithMaxControlMessageSize(512 << 10),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithValidateQueueSize(validateQueue),
		pubsub.WithValidateThrottle(maxValidators),
		pubsub.WithSubscriptionFilter(g.filter),
		pubsub.WithAppSpecificRpcInspector(g.quota.inspect),
		pubsub.WithSeenMessagesTTL(cfg.SeenFor),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerExchange(false),
		pubsub.WithRawTracer(g.tracer),
		pubsub.WithPeerScore(scores, thresholds),
		pubsub.WithPeerScoreInspect(g.inspect, time.Second),
		pubsub.WithLogger(quiet), pubsub.WithRPCLogger(quiet),
	}
	if g.ps, err = pubsub.NewGossipSub(g.ctx, g.host, append(opts, cfg.Options...)...); err != nil {
		g.stop()
		return nil, fmt.Errorf("p2phost: gossip: %w", err)
	}
	g.notify = &network.NotifyBundle{DisconnectedF: func(_ network.Network, c network.Conn) {
		g.host.disconnected(c)
		if g.host.conn(c.RemotePeer()) == nil {
			g.filter.forget(c.RemotePeer())
		}
	}}
	h.host.Network().Notify(g.notify)
	return g, nil
}

func (g *Gossip) wrap(s network.Stream) *grantedStream {
	c := s.Conn()
	return &grantedStream{
		Stream: s, budget: g.cfg.Budget, max: g.cfg.MaxMessage + controlRoom, ctx: g.ctx,
		charge: func(o peer.Offense, detail string) { g.cfg.Charge(c, o, detail) },
		starve: func() { g.dropped(c.RemotePeer(), "gossip-budget", 1) },
	}
}

func (g *Gossip) dropped(id libpeer.ID, queue string, n int) {
	g.judge.Report(wire.Dropped{ID: peer.ID(id.String()), Queue: queue, Count: n})
}

// Opened tells that a session is open on a connection, with the protocols that
// its peer speaks: gossip begins.
func (g *Gossip) Opened(c network.Conn, protos []protocol.ID) { g.host.opened(c, protos) }

// Close ends gossip and waits for what it started; pubsub's own goroutines end
// soon after.
func (g *Gossip) Close() {
	g.stop()
	g.host.Host.Network().StopNotify(g.notify)
	g.wg.Wait()
}

// Join subscribes to a topic and relays it. It is no error if it is joined.
func (g *Gossip) Join(topic string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.topics[topic] != nil {
		return nil
	}
	if err := g.filter.allow(topic); err != nil {
		return err
	}
	j, err := g.join(topic)
	if err != nil {
		g.filter.forbid(topic)
		return fmt.Errorf("p2phost: join topic %q: %w", topic, err)
	}
	g.topics[topic] = j
	return nil
}

func (g *Gossip) join(name string) (j *joined, err error) {
	j = &joined{passed: map[uint64]chan struct{}{}}
	err = g.ps.RegisterTopicValidator(name, g.validate,
		pubsub.WithValidatorTimeout(validateTime), pubsub.WithValidatorConcurrency(maxValidators))
	if err != nil {
		return nil, err
	}
	undo := []func(){func() { g.ps.UnregisterTopicValidator(name) }}
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	if j.topic, err = g.ps.Join(name); err != nil {
		return nil, err
	}
	undo = append(undo, func() { j.topic.Close() })
	if err = j.topic.SetScoreParams(topicScore()); err != nil {
		return nil, err
	}
	if j.events, err = j.topic.EventHandler(); err != nil {
		return nil, err
	}
	undo = append(undo, j.events.Cancel)
	// Messages are taken in by the validator. The subscription only makes us a
	// member of the mesh, and its filter marks barriers: see Publish.
	if j.sub, err = j.topic.Subscribe(pubsub.WithBufferSize(1), pubsub.WithMessageFilter(j.pass)); err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, j.stop = context.WithCancel(g.ctx)
	g.wg.Go(func() {
		for {
			e, err := j.events.NextPeerEvent(ctx)
			if err != nil {
				return
			}
			g.judge.Report(wire.TopicChanged{ID: peer.ID(e.Peer.String()), Topic: name, Joined: e.Type == pubsub.PeerJoin})
		}
	})
	return j, nil
}

// Leave ends the membership of a topic.
func (g *Gossip) Leave(topic string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	j := g.topics[topic]
	if j == nil {
		return nil
	}
	delete(g.topics, topic)
	j.stop()
	j.events.Cancel()
	j.sub.Cancel()
	err := j.topic.Close()
	err = errors.Join(err, g.ps.UnregisterTopicValidator(topic))
	g.filter.forbid(topic)
	if err != nil && g.ctx.Err() == nil {
		return fmt.Errorf("p2phost: leave topic %q: %w", topic, err)
	}
	return nil
}

// validate runs in a goroutine of pubsub's. A panic in the wire's validator
// costs the message, not the process.
func (g *Gossip) validate(ctx context.Context, from libpeer.ID, m *pubsub.Message) (v pubsub.ValidationResult) {
	if from == g.host.ID() {
		return pubsub.ValidationAccept
	}
	defer g.quota.done(m.ReceivedFrom, m.Message)
	c := g.host.judged(from)
	if c == nil {
		return pubsub.ValidationIgnore
	}
	defer func() {
		if p := recover(); p != nil {
			g.cfg.Charge(c, peer.BrokeHandler, peer.Clean(fmt.Sprintf("gossip on %s: panic: %v", m.GetTopic(), p)))
			v = pubsub.ValidationReject
		}
	}()
	switch g.cfg.Validate(ctx, c, m.GetTopic(), m.GetData()) {
	case chain.Accept:
		return pubsub.ValidationAccept
	case chain.Reject:
		return pubsub.ValidationReject
	}
	return pubsub.ValidationIgnore
}

// barrier marks a message that never leaves this process.
var barrier = []byte("\x00p2phost-barrier\x00")

// Publish hands a message to pubsub and blocks until it is queued for the
// peers. data must not be changed afterwards. A message that was delivered
// within the last minutes goes nowhere.
func (g *Gossip) Publish(ctx context.Context, topic string, data []byte) (wire.Receipt, error) {
	g.mu.Lock()
	j := g.topics[topic]
	g.mu.Unlock()
	switch {
	case j == nil:
		return wire.Receipt{}, fmt.Errorf("p2phost: publish: topic %q is not joined", topic)
	case len(data) == 0:
		return wire.Receipt{}, errors.New("p2phost: publish: empty message")
	case len(data) > g.cfg.MaxMessage:
		return wire.Receipt{}, fmt.Errorf("p2phost: publish: %w: %d bytes, at most %d", wire.ErrTooLarge, len(data), g.cfg.MaxMessage)
	}
	count := g.tracer.watch(data)
	defer count()
	if err := j.topic.Publish(ctx, data); err != nil {
		return wire.Receipt{}, g.closed(err)
	}
	// pubsub sends on its own goroutine and does not say when it has. What is
	// published later, and only locally, goes through the same queue, so once
	// that comes by, the message has been queued for everybody.
	if err := j.await(ctx, g); err != nil {
		return wire.Receipt{}, err
	}
	r := count()
	r.MeshPeers = max(g.tracer.meshSize(topic), r.Queued+r.Dropped)
	return r, nil
}

func (g *Gossip) closed(err error) error {
	if g.ctx.Err() != nil {
		return wire.ErrClosed
	}
	return fmt.Errorf("p2phost: publish: %w", err)
}

func (j *joined) await(ctx context.Context, g *Gossip) error {
	n := g.barriers.Add(1)
	ch := make(chan struct{})
	j.mu.Lock()
	j.passed[n] = ch
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.passed, n)
	}()
	if err := j.topic.Publish(ctx, binary.BigEndian.AppendUint64(bytes.Clone(barrier), n), pubsub.WithLocalPublication(true)); err != nil {
		return g.closed(err)
	}
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-g.ctx.Done():
		return wire.ErrClosed
	}
}

// pass is the subscription's filter: it runs on pubsub's goroutine and lets
// nothing into the buffer.
func (j *joined) pass(m *pubsub.Message) bool {
	if m.Local && bytes.HasPrefix(m.GetData(), barrier) && len(m.GetData()) == len(barrier)+8 {
		n := binary.BigEndian.Uint64(m.GetData()[len(barrier):])
		j.mu.Lock()
		defer j.mu.Unlock()
		if ch := j.passed[n]; ch != nil {
			close(ch)
			delete(j.passed, n)
		}
	}
	return false
}

// inspect takes in what gossip thinks of all peers, once a second.
func (g *Gossip) inspect(all map[libpeer.ID]*pubsub.PeerScoreSnapshot) {
	g.scores.Store(&all)
	g.conduct.look(all)
}

// Score is what gossip thinks of a peer, up to a second old.
func (g *Gossip) Score(id libpeer.ID) float64 {
	if s := g.Snapshot(id); s != nil {
		return s.Score
	}
	return 0
}

// Snapshot is what gossip thinks of a peer in detail, up to a second old; nil
// where it thinks nothing. It must not be changed.
func (g *Gossip) Snapshot(id libpeer.ID) *pubsub.PeerScoreSnapshot {
	if all := g.scores.Load(); all != nil {
		return (*all)[id]
	}
	return nil
}

// Mesh is how many peers the mesh of a topic has.
func (g *Gossip) Mesh(topic string) int { return g.tracer.meshSize(topic) }

// Peers is how many peers with a session have joined a topic.
func (g *Gossip) Peers(topic string) int { return len(g.ps.ListPeers(topic)) }

// InMesh reports whether a peer is in our mesh of a topic.
func (g *Gossip) InMesh(topic string, id libpeer.ID) bool {
	g.tracer.mu.Lock()
	defer g.tracer.mu.Unlock()
	return g.tracer.mesh[topic][id] != nil
}
