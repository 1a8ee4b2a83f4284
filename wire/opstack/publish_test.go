package opstack

import (
	"context"
	"errors"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// A block is not given to a topic whose mesh is still to be made: op-node loses
// its first one by that.
func TestABlockWaitsForAMesh(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		publish := func(n uint64) (wire.Receipt, error) {
			return w.Publish(p.t.Context(), wire.Block{Block: blockOf(n, 100)})
		}
		if _, err := publish(1); !errors.Is(err, wire.ErrUnheard) {
			t.Errorf("with nobody there: %v", err)
		}
		p.gossiper(2, w, h, codec.V4)
		var r wire.Receipt
		err := wire.ErrUnheard
		for began := time.Now(); errors.Is(err, wire.ErrUnheard) && time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
			if r, err = publish(2); err == nil && w.Mesh(codec.V4) == 0 {
				t.Error("it was published without a mesh")
			}
		}
		if err != nil || r.Queued != 1 || r.MeshPeers != 1 {
			t.Errorf("Publish = %+v, %v; want one copy", r, err)
		}
	})
}

// Members that make no mesh with us, since theirs is full or they know of none,
// are told after a while.
func TestMembersWithoutAMeshAreToldInTheEnd(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		b := p.bare(2)
		ctx, stop := context.WithCancel(context.Background())
		ps, err := pubsub.NewFloodSub(ctx, b, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor())
		if err != nil {
			t.Fatal(err)
		}
		topic, err := ps.Join(codec.Topic(chainID, codec.V4))
		if err != nil {
			t.Fatal(err)
		}
		sub, err := topic.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		p.end = append(p.end, func() { sub.Cancel(); topic.Close(); stop() })
		p.connect(b, w, h)
		p.until("the topic of the peer", func() bool { return w.TopicPeers(codec.V4) == 1 }, h)
		began := time.Now()
		for err = wire.ErrUnheard; errors.Is(err, wire.ErrUnheard); time.Sleep(50 * time.Millisecond) {
			_, err = w.Publish(ctx, wire.Block{Block: blockOf(1, 100)})
		}
		if took := time.Since(began); err != nil || took < meshWait || took > meshWait+time.Second {
			t.Errorf("published after %v (%v), want after %v", took, err, meshWait)
		}
		if _, err := sub.Next(ctx); err != nil {
			t.Error(err)
		}
	})
}
