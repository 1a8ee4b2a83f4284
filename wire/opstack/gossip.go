package opstack

import (
	"context"
	"fmt"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// The validator of a topic, as in op-node: so many messages at once, each for
// so long.
const (
	validators   = 4
	validateTime = 3 * time.Second
)

// params are op-node's (op-node/p2p/gossip.go, op-node/p2p/config.go).
func params(m Mesh) pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dlazy = m.D, m.Lo, m.Hi, m.Lazy
	p.HeartbeatInterval = 500 * time.Millisecond
	p.FanoutTTL = 24 * time.Second
	p.HistoryLength = 12
	p.HistoryGossip = 3
	// Not op-node's: as the native wire, and for its reasons.
	p.IDontWantMessageThreshold = 64 << 10
	p.Connectors = 1 // gossip opens no connections
	p.MaxPendingConnections = 1
	return p
}

func (n *node) gossipConfig() p2phost.GossipConfig {
	score := func(peer.ID) float64 { return 0 }
	if s, ok := n.host.(wire.Scorer); ok {
		score = s.Score
	}
	return p2phost.GossipConfig{
		MaxMessage: codec.MaxCompressed,
		Budget:     n.budget,
		MessageID:  n.copies.ID,
		Validate:   n.validate,
		Charge:     n.Charge,
		Count:      n.countGossip,
		Copied:     n.copied,
		Score:      func(id peer.ID) float64 { return score(id) + n.w.Score(id).Total },
		SeenFor:    n.w.cfg.SeenFor,
		Options:    []pubsub.Option{pubsub.WithGossipSubParams(params(n.w.cfg.Mesh))},
	}
}

// countGossip counts a copy of a gossiped message. The topic is the peer's
// text, so only ours have a name of their own.
func (n *node) countGossip(topic string, inbound bool, bytes int) {
	kind := "other"
	if v, ok := n.w.topics[topic]; ok {
		kind = "blocks" + v.String()
	}
	n.w.traffic.Count("gossip", kind, inbound, bytes)
}

// validate judges a message of gossip: the wire's part of the table, then the
// Host.
func (n *node) validate(ctx context.Context, from network.Conn, topic string, data []byte) chain.Action {
	ctx, cancel := context.WithTimeout(ctx, validateTime)
	defer cancel()
	s, version := n.sessionOn(from), n.w.topics[topic]
	if s == nil || !version.Valid() {
		return chain.Ignore
	}
	// One at a time of each peer: one whose messages are slow to judge keeps its
	// own waiting, and not those of others.
	for _, places := range []chan struct{}{s.checking, n.checks[topic]} {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		case <-ctx.Done():
			n.w.verdicts.count(validatorsBusy)
			return chain.Ignore
		}
	}
	size, _ := codec.DecodedLen(data) // 0 where Unpack will say what is wrong
	release, err := n.budget.Take(ctx, size)
	if err != nil {
		n.w.verdicts.count(noMemory)
		return chain.Ignore
	}
	defer release()
	body := n.copies.Take(topic, data)
	if len(body) < codec.MinMessage { // not kept, or the table has a word for it
		var why *rules.Check
		if body, why = n.w.cfg.Rules.Unpack(data); why != nil {
			return n.refuse(s, why)
		}
	}
	b, why := n.w.cfg.Rules.Receive(version, body)
	if why != nil {
		return n.refuse(s, why)
	}
	v := n.host.Check(ctx, s, wire.Block{Block: b})
	n.host.Report(wire.Skewed{Session: s, Skew: skewOf(b, n.w.cfg.Rules.Config())})
	if v.Action == chain.Accept {
		n.claimed(s, b.Ref())
	}
	return v.Action
}

// skewOf is how far the sequencer's clock is ahead of ours, as far as a block
// tells: one within the window tells nothing.
func skewOf(b chain.Block, c rules.Config) time.Duration {
	skew := b.Header.Time.Sub(c.Wall.Now())
	if skew > -c.MaxAge && skew < rules.MaxAhead {
		return 0
	}
	return skew.Round(time.Second)
}

// refuse does what a check of the wire's says.
func (n *node) refuse(s *session, why *rules.Check) chain.Action {
	v := why.Verdict
	if why.Name == badSignature && n.doubtful(s) {
		n.w.verdicts.count(signerDoubtful)
		return chain.Ignore
	}
	n.w.verdicts.count(why.Name)
	if v.Action == chain.Reject && v.Severity != peer.None {
		n.host.Report(wire.Offended{Session: s, Link: p2phost.LinkOf(s.link.Conn), Offense: peer.InvalidGossip, Severity: v.Severity, Detail: why.Name + ": " + why.Why})
	}
	return v.Action
}

// copied charges a peer that sends the same message in one encoding after the
// other: each is decompressed before it is known for what it is.
func (n *node) copied(from network.Conn, topic string, data []byte) {
	if _, ours := n.w.topics[topic]; !ours || !n.copies.Recoded(string(from.RemotePeer()), topic, data) {
		return
	}
	if s := n.sessionOn(from); s != nil {
		n.host.Report(wire.Offended{Session: s, Link: p2phost.LinkOf(from), Offense: peer.InvalidGossip, Severity: peer.High, Detail: "the same message in several encodings"})
	}
}

// member notes that a peer has joined or left one of our topics.
func (n *node) member(id peer.ID, joined bool) {
	for _, s := range n.book.Sessions() {
		if s.info.ID != id {
			continue
		}
		s.mu.Lock()
		if joined {
			s.topics++
		} else if s.topics > 0 {
			s.topics--
			s.use() // until now it was
		}
		s.mu.Unlock()
	}
}

// claimed notes that a block was accepted: whoever brought it has it, and all
// who are in the topics are about to. It is the only word that there is of
// where an op-node stands; a peer that does not have a block says so at no cost.
func (n *node) claimed(from *session, ref chain.Ref) {
	for _, s := range n.book.Sessions() {
		s.mu.Lock()
		raise := (s == from || s.topics > 0) && ref.Number > s.claims.Head.Number
		if raise {
			s.claims.Head = ref
			s.claims.Weight = chain.WeightOf(ref.Number)
		}
		status := s.claims
		s.mu.Unlock()
		if raise {
			n.host.Report(wire.Claimed{Session: s, Status: status})
		}
	}
}

// meshWait is how long a topic with members may have no mesh before they are
// told all the same: they may all have enough of a mesh without us, and then
// they ask for what we say that we have.
const meshWait = 2 * time.Second

// heard reports whether somebody would hear what is published on a topic.
// op-node's first block is lost for want of that: a mesh takes a heartbeat.
func (n *node) heard(topic string) bool {
	mesh := n.gossip.Mesh(topic)
	members := mesh
	if mesh == 0 {
		members = n.gossip.Peers(topic) // which waits for pubsub's loop
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if mesh > 0 || members == 0 {
		delete(n.meshless, topic)
		return mesh > 0
	}
	since, ok := n.meshless[topic]
	if !ok {
		since = time.Now()
		n.meshless[topic] = since
	}
	return time.Since(since) >= meshWait
}

// Publish implements wire.Publisher: blocks whose Extra holds the sequencer's
// signature.
func (w *Wire) Publish(ctx context.Context, m wire.Message) (wire.Receipt, error) {
	n := w.node.Load()
	if n == nil {
		return wire.Receipt{}, wire.ErrClosed
	}
	b, ok := m.(wire.Block)
	if !ok {
		return wire.Receipt{}, wire.ErrUnsupported
	}
	if size := b.Block.Size(); size > codec.MaxMessage {
		return wire.Receipt{}, fmt.Errorf("opstack: publish block %s: %w: %d bytes, at most %d", b.Block.Ref(), wire.ErrTooLarge, size, codec.MaxMessage)
	}
	e, err := codec.EnvelopeOf(b.Block)
	if err != nil {
		return wire.Receipt{}, fmt.Errorf("opstack: publish block %s: %w", b.Block.Ref(), err)
	}
	if len(b.Block.Extra) != codec.SignatureSize {
		return wire.Receipt{}, fmt.Errorf("opstack: publish block %s: it has %d extra bytes, want a signature of %d", b.Block.Ref(), len(b.Block.Extra), codec.SignatureSize)
	}
	if v := w.cfg.Rules.Config().VersionAt(e.Time); v != e.Version {
		return wire.Receipt{}, fmt.Errorf("opstack: publish block %s: it is a %v, and at its time a %v is due", b.Block.Ref(), e.Version, v)
	}
	msg := codec.Message(b.Block.Extra, e)
	if len(msg) > codec.MaxMessage {
		return wire.Receipt{}, fmt.Errorf("opstack: publish block %s: %w: %d bytes, at most %d", b.Block.Ref(), wire.ErrTooLarge, len(msg), codec.MaxMessage)
	}
	topic := codec.Topic(w.chainID, e.Version)
	if !n.heard(topic) {
		return wire.Receipt{}, wire.ErrUnheard
	}
	return n.gossip.Publish(ctx, topic, codec.Compress(msg))
}
