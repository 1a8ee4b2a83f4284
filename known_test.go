package starling

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Threat G-05: a topic knows a block by its bytes, and anybody can
// encode a good one anew, without end and up to ten megabytes long.
func TestABlockIsRelayedOnceHoweverItIsEncoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKnownBlocks()
		b := chain.Block{Header: chain.Header{Ref: chain.Ref{Number: 1, Hash: chain.Hash{1}}}}
		late := chain.RejectedAt(peer.None, "too-old")
		late.Clock = true
		if v := k.once(b, late); v != late {
			t.Errorf("an old block that is new to us: %v", v)
		}
		if v := k.once(b, chain.Accepted()); v.Action != chain.Accept {
			t.Errorf("the first copy: %v", v)
		}
		if v := k.once(b, chain.Accepted()); v != chain.Ignored("known-block") {
			t.Errorf("the second copy: %v, want it ignored", v)
		}
		if v := k.once(b, late); v != chain.Ignored("known-block") { // E-13
			t.Errorf("a copy that is late: %v, want its relay not blamed", v)
		}
		if v := k.once(b, chain.Rejected("bad-body")); v.Action != chain.Reject {
			t.Errorf("another body under the same hash: %v", v)
		}
		for i := range 3 * maxKnowns {
			b.Header.Ref.Hash = chain.Hash{2, byte(i), byte(i >> 8)}
			k.once(b, chain.Accepted())
		}
		if len(k.at) > maxKnowns || len(k.ring) > maxKnowns {
			t.Errorf("%d blocks are remembered", len(k.at))
		}
		time.Sleep(knownFor)
		if v := k.once(b, chain.Accepted()); v.Action != chain.Accept {
			t.Errorf("after a while: %v", v)
		}
	})
}

// topicWire has capabilities and nothing else.
type topicWire struct{ wire.Wire }

func (topicWire) Caps() wire.Caps { return wire.Caps{Name: "topics", Gossip: wire.GossipTopics} }

type talker struct{ wire.Session }

func (talker) Peer() peer.Info { return peer.Info{ID: "talker"} }

func TestTheHostPassesABlockOnOnce(t *testing.T) { // G-05
	c := chaintest.NewChain(chaintest.Config{})
	n, err := New(Config{}, c, topicWire{})
	if err != nil {
		t.Fatal(err)
	}
	b := c.Build(1)[0]
	for _, want := range []chain.Action{chain.Accept, chain.Ignore} {
		if v := n.host.Check(context.Background(), &talker{}, wire.Block{Block: b}); v.Action != want {
			t.Errorf("Check = %v, want %v", v, want)
		}
	}
}
