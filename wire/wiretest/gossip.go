package wiretest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

func gossipChecks() []Check {
	topics := func(c wire.Caps, _ World) bool { return c.Gossip == wire.GossipTopics }
	return []Check{
		{Name: "AcceptedIsRelayed", Rule: "what Host.Check accepts reaches peers of peers, once", run: acceptedRelayed, needs: topics},
		{Name: "RejectedIsNotRelayed", Rule: "what Host.Check rejects or ignores goes no further", run: rejectedStops, needs: topics},
		{Name: "PublishingToNobody", Rule: "Publish fails with ErrUnheard where nobody is there, and the message can be published again", run: unheard, needs: topics},
		{Name: "TooLargeIsSaid", Rule: "a message over the wire's bound is ErrTooLarge", run: tooLarge, needs: topics},
		{Name: "ConsensusArrivesInOrder", Rule: "consensus messages reach the other side's Check, all and in order", run: consensusOrder},
		{Name: "TopicsCanBeJoined", Rule: "application topics can be joined and left, peers are told, and broadcasts reach members", run: topicsJoin, needs: topics},
	}
}

// line runs three wires, a to b to c, and waits until their topics are up.
func (l *lab) line(ha, hb, hc *Host) (a, b, c *node, err error) {
	if a, b, err = l.pair(ha, hb); err != nil {
		return
	}
	if c, err = l.start(3, hc); err != nil {
		return
	}
	if err = l.dial(c, b); err != nil {
		return
	}
	if err = l.until("a line of three", func() bool { return len(b.host.Sessions()) == 2 }, b); err != nil {
		return
	}
	err = l.heard(a, b, c)
	return
}

// heard waits until each node's block topic has a peer, and for the mesh.
func (l *lab) heard(nodes ...*node) error {
	for _, n := range nodes {
		if err := l.until("a peer on a topic", func() bool { return len(Reports[wire.TopicChanged](n.host)) >= 3 }, n); err != nil {
			return err
		}
	}
	// A mesh forms at a heartbeat, and nothing tells when.
	t := time.NewTimer(2500 * time.Millisecond)
	defer t.Stop()
	<-t.C
	return nil
}

func blocksOf(h *Host) (all []chain.Ref) {
	for _, c := range h.Checked() {
		if b, ok := c.Message.(wire.Block); ok {
			all = append(all, b.Block.Ref())
		}
	}
	return all
}

func acceptedRelayed(l *lab) error {
	a, b, c, err := l.line(nil, nil, nil)
	if err != nil {
		return err
	}
	r, err := a.wire.(wire.Publisher).Publish(l.ctx, wire.Block{Block: l.block(1, 3000)})
	if err != nil {
		return fmt.Errorf("Publish: %w", err)
	}
	if r.MeshPeers < 1 || r.Queued != 1 || r.Dropped != 0 {
		return fmt.Errorf("Receipt = %+v, want one copy for one peer", r)
	}
	if err := l.until("the block two hops away", func() bool { return len(blocksOf(c.host)) == 1 }, c); err != nil {
		return err
	}
	_, err = a.wire.(wire.Publisher).Publish(l.ctx, wire.Txs{Txs: []chain.Tx{{Bytes: []byte("t1")}, {Bytes: []byte("t2")}}})
	carries := !errors.Is(err, wire.ErrUnsupported)
	if carries && err != nil {
		return fmt.Errorf("Publish: %w", err)
	}
	if err := l.until("the transactions two hops away", func() bool {
		for _, k := range c.host.Checked() {
			if m, ok := k.Message.(wire.Txs); ok && len(m.Txs) == 2 && string(m.Txs[1].Bytes) == "t2" {
				return true
			}
		}
		return !carries
	}, c); err != nil {
		return err
	}
	return l.stays("one copy at each", 2*time.Second, func() bool {
		return len(blocksOf(a.host)) == 0 && len(blocksOf(b.host)) == 1 && len(blocksOf(c.host)) == 1
	})
}

func rejectedStops(l *lab) error {
	b := &Host{OnCheck: func(_ context.Context, _ wire.Session, m wire.Message) chain.Verdict {
		switch m.(wire.Block).Block.Ref().Number {
		case 1:
			return chain.Rejected("test")
		case 2:
			return chain.Ignored("test")
		}
		return chain.Accepted()
	}}
	a, _, c, err := l.line(nil, b, nil)
	if err != nil {
		return err
	}
	for n := byte(1); n <= 3; n++ {
		if _, err := a.wire.(wire.Publisher).Publish(l.ctx, wire.Block{Block: l.block(n, 100)}); err != nil {
			return fmt.Errorf("Publish: %w", err)
		}
	}
	if err := l.until("the accepted block", func() bool { return len(blocksOf(c.host)) > 0 }, c); err != nil {
		return err
	}
	return l.stays("only the accepted block", 3*time.Second, func() bool {
		got := blocksOf(c.host)
		return len(got) == 1 && got[0].Number == 3
	})
}

func unheard(l *lab) error {
	a, err := l.start(1, nil)
	if err != nil {
		return err
	}
	m := wire.Block{Block: l.block(1, 10)}
	p := a.wire.(wire.Publisher)
	if _, err := p.Publish(l.ctx, m); !errors.Is(err, wire.ErrUnheard) {
		return fmt.Errorf("Publish without peers = %v, want ErrUnheard", err)
	}
	b, err := l.start(2, nil)
	if err != nil {
		return err
	}
	if err := l.join(a, b); err != nil {
		return err
	}
	if err := l.heard(a, b); err != nil {
		return err
	}
	if _, err := p.Publish(l.ctx, m); err != nil {
		return fmt.Errorf("Publish again: %w", err)
	}
	return l.until("the block that was published again", func() bool { return len(blocksOf(b.host)) == 1 }, b)
}

func tooLarge(l *lab) error {
	a, _, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	big := make([]byte, 32<<20)
	p := a.wire.(wire.Publisher)
	for _, m := range []wire.Message{wire.Block{Block: chain.Block{Header: headerOf(1), Body: big}}, wire.Consensus{Bytes: big}, wire.App{Topic: "chat", Bytes: big}, wire.Txs{Txs: []chain.Tx{{Bytes: big}}}} {
		if _, err := p.Publish(l.ctx, m); !errors.Is(err, wire.ErrTooLarge) && !errors.Is(err, wire.ErrUnsupported) {
			return fmt.Errorf("Publish(%T of 32 MiB) = %v, want ErrTooLarge", m, err)
		}
	}
	err = a.host.Sessions()[0].Send(l.ctx, wire.LaneConsensus, wire.Consensus{Bytes: big})
	if !errors.Is(err, wire.ErrTooLarge) && !errors.Is(err, wire.ErrUnsupported) {
		return fmt.Errorf("Send(consensus message of 32 MiB) = %v, want ErrTooLarge", err)
	}
	return nil
}

func consensusOf(h *Host) (all []string) {
	for _, c := range h.Checked() {
		if m, ok := c.Message.(wire.Consensus); ok {
			all = append(all, string(m.Bytes))
		}
	}
	return all
}

func consensusOrder(l *lab) error {
	a, b, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	const count = 50
	for _, way := range []struct{ from, to *node }{{a, b}, {b, a}} {
		s := way.from.host.Sessions()[0]
		for i := range count {
			err := s.Send(l.ctx, wire.LaneConsensus, l.consensus(fmt.Sprintf("vote %d", i)))
			if errors.Is(err, wire.ErrUnsupported) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("Send: %w", err)
			}
		}
		if err := l.until("all consensus messages", func() bool { return len(consensusOf(way.to.host)) >= count }, way.to); err != nil {
			return err
		}
		for i, got := range consensusOf(way.to.host) {
			if want := string(l.consensus(fmt.Sprintf("vote %d", i)).Bytes); got != want {
				return fmt.Errorf("message %d is %q, want %q", i, got, want)
			}
		}
	}
	return nil
}

func topicsJoin(l *lab) error {
	a, b, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	ta, ok := a.wire.(wire.Topical)
	if !ok {
		return nil
	}
	tb := b.wire.(wire.Topical)
	if err := errors.Join(ta.JoinTopic(l.ctx, "news"), tb.JoinTopic(l.ctx, "news")); err != nil {
		return fmt.Errorf("JoinTopic: %w", err)
	}
	told := func(joined bool) func() bool {
		return func() bool {
			for _, c := range Reports[wire.TopicChanged](a.host) {
				if c.Topic == "news" && c.Joined == joined {
					return true
				}
			}
			return false
		}
	}
	if err := l.until("word that the peer joined", told(true), a); err != nil {
		return err
	}
	if _, err := a.wire.(wire.Publisher).Publish(l.ctx, wire.App{Topic: "news", Bytes: []byte("hello")}); err != nil {
		return fmt.Errorf("Publish: %w", err)
	}
	if err := l.until("the broadcast", func() bool {
		for _, c := range b.host.Checked() {
			if m, ok := c.Message.(wire.App); ok && m.Topic == "news" && string(m.Bytes) == "hello" {
				return true
			}
		}
		return false
	}, b); err != nil {
		return err
	}
	if err := tb.LeaveTopic(l.ctx, "news"); err != nil {
		return fmt.Errorf("LeaveTopic: %w", err)
	}
	return l.until("word that the peer left", told(false), a)
}
