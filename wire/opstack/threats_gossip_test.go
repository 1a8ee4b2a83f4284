package opstack

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

var blocksV4 = codec.Topic(chainID, codec.V4)

// talker is a bare host that speaks gossip by hand: it has joined a topic, and
// says what the test likes.
type talker struct {
	libhost.Host
	p   *place
	out network.Stream

	mu    sync.Mutex
	heard pb.RPC // all that came, in one
}

func (p *place) talker(i int, w *Wire, h *wiretest.Host) *talker {
	p.t.Helper()
	t := &talker{Host: p.bare(i, codec.Protocols(chainID)[0]), p: p}
	t.SetStreamHandler(pubsub.GossipSubID_v11, func(s network.Stream) {
		for in := bufio.NewReader(s); ; {
			var m pb.RPC
			if protodelim.UnmarshalFrom(in, &m) != nil {
				return
			}
			t.mu.Lock()
			proto.Merge(&t.heard, &m)
			t.mu.Unlock()
		}
	})
	self := p.connect(t, w, h)
	var err error
	if t.out, err = t.NewStream(p.t.Context(), self, pubsub.GossipSubID_v11); err != nil {
		p.t.Fatal(err)
	}
	t.say(&pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Topicid: proto.String(blocksV4), Subscribe: proto.Bool(true)}}})
	time.Sleep(3 * time.Second) // into the mesh
	return t
}

// say sends an RPC. It may fail once we have had enough of it.
func (t *talker) say(m *pb.RPC) { protodelim.MarshalTo(t.out, m) }

func (t *talker) control(c *pb.ControlMessage) { t.say(&pb.RPC{Control: c}) }

// got looks at what was heard.
func got[T any](t *talker, look func(*pb.RPC) T) T {
	t.mu.Lock()
	defer t.mu.Unlock()
	return look(&t.heard)
}

// copies is how many copies of a message were heard.
func (t *talker) copies(data []byte) int {
	return got(t, func(m *pb.RPC) (n int) {
		for _, p := range m.GetPublish() {
			if string(p.GetData()) == string(data) {
				n++
			}
		}
		return n
	})
}

// charged checks that all charges are of one kind, which has a severity, and
// gives how many there are.
func charged(t *testing.T, h *wiretest.Host, want peer.Offense, sev peer.Severity) (n int) {
	t.Helper()
	if want.Severity() != sev {
		t.Errorf("%s is %s, want %s", want, want.Severity(), sev)
	}
	for _, o := range wiretest.Reports[wire.Offended](h) {
		if o.Offense != want {
			t.Errorf("charged with %s: %s", o.Offense, o.Detail)
		}
		n++
	}
	return n
}

// Threat X-01: of fifty thousand ids that are announced a bounded number is
// asked for, and who keeps none of its promises pays (mid), and is not listened
// to any more.
func TestBrokenPromisesAreBoundedAndCharged(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		x := p.talker(2, w, h)
		for round := range 60 {
			for part := range 10 {
				ids := make([]string, 1000)
				for i := range ids {
					ids[i] = fmt.Sprintf("%020d", round<<20|part<<10|i)
				}
				x.control(&pb.ControlMessage{Ihave: []*pb.ControlIHave{{TopicID: proto.String(blocksV4), MessageIDs: ids}}})
			}
			time.Sleep(500 * time.Millisecond)
		}
		wants := got(x, func(m *pb.RPC) (n int) {
			for _, w := range m.GetControl().GetIwant() {
				n += len(w.MessageIDs)
			}
			return n
		})
		score := w.node.Load().gossip.Score(x.ID())
		t.Logf("600000 ids in 30 s: %d were asked for; gossip score %.1f", wants, score)
		if wants == 0 || wants > 60*5000 {
			t.Errorf("%d ids were asked for, want at most 5000 a heartbeat", wants)
		}
		if score > -40 {
			t.Errorf("its score is %.1f after 30 s, want it graylisted", score)
		}
		if n := charged(t, h, peer.GraftFlood, peer.Mid); n < 4 {
			t.Errorf("%d charges, want enough to end the session", n)
		}
	})
}

// Threat X-02: who asks for one message a thousand times gets it three times at
// most, besides the copy that it was sent.
func TestAMessageIsGivenThreeTimesAtMostOnDemand(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		x := p.talker(2, w, h)
		b := blockOf(3, 40_000)
		if _, err := w.Publish(p.t.Context(), wire.Block{Block: b}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		raw := codec.Message(b.Extra, envelopeOf(t, b))
		data, id := codec.Compress(raw), codec.MessageID(blocksV4, raw)
		pushed := x.copies(data)
		for range 100 {
			x.control(&pb.ControlMessage{Iwant: []*pb.ControlIWant{{MessageIDs: slices.Repeat([]string{id}, 10)}}})
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if all := x.copies(data); pushed != 1 || all < 2 || all > 4 {
			t.Errorf("%d copies were pushed and %d given on demand, want 1, and 1 to 3", pushed, all-pushed)
		}
	})
}

// Threat X-03: grafts for topics that there are not get no answer; those in
// back-off get a prune until their sender is not listened to, and cost it (mid).
func TestGraftsInBackOffAreCharged(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		x := p.talker(2, w, h)
		var strange []*pb.ControlGraft
		for i := range 1000 {
			strange = append(strange, &pb.ControlGraft{TopicID: proto.String(fmt.Sprintf("/optimism/%d/0/blocks", 1000+i))})
		}
		x.control(&pb.ControlMessage{Graft: strange})
		time.Sleep(2 * time.Second)
		prunes := func() int { return got(x, func(m *pb.RPC) int { return len(m.GetControl().GetPrune()) }) }
		if n := prunes(); n > 0 || len(offenses(h)) > 0 {
			t.Errorf("%d answers to grafts for strange topics, charges %v", n, offenses(h))
		}
		x.control(&pb.ControlMessage{Prune: []*pb.ControlPrune{{TopicID: proto.String(blocksV4), Backoff: proto.Uint64(60)}}})
		time.Sleep(time.Second)
		for range 300 {
			x.control(&pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: proto.String(blocksV4)}}})
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if n := prunes(); n == 0 || n > 150 {
			t.Errorf("300 grafts in back-off got %d answers, want some, and an end of it", n)
		}
		if n := charged(t, h, peer.GraftFlood, peer.Mid); n < 4 {
			t.Errorf("%d charges, want enough to end the session", n)
		}
		if w.node.Load().gossip.InMesh(blocksV4, x.ID()) {
			t.Error("who grafts in back-off is in the mesh")
		}
	})
}

// Threat X-05: a flood of "don't send" counts up to a bound; what is beyond it
// does not keep a message back. It costs nothing: each is allowed.
func TestDontSendFloodsCountUpToABound(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		x := p.talker(2, w, h)
		_, publish := p.gossiper(3, w, h, codec.V4)
		b := blockOf(4, 100)
		data := message(t, b)
		id := codec.MessageID(blocksV4, codec.Message(b.Extra, envelopeOf(t, b)))
		for i := range 40 { // the one that matters is in the last
			ids := make([]string, 1000)
			for k := range ids {
				ids[k] = fmt.Sprintf("%020d", i<<10|k)
			}
			if i == 39 {
				ids[999] = id
			}
			x.control(&pb.ControlMessage{Idontwant: []*pb.ControlIDontWant{{MessageIDs: ids}}})
		}
		time.Sleep(100 * time.Millisecond)
		publish(data)
		p.until("the block", func() bool { return len(h.Checked()) == 1 }, h)
		time.Sleep(time.Second)
		if n := x.copies(data); n != 1 {
			t.Errorf("%d copies were sent on, want 1", n)
		}
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
	})
}

// Threat X-06: of a million topics those of the chain are heard; who goes on
// about others pays (high).
func TestASubscriptionFloodIsCharged(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		x := p.talker(2, w, h)
		for i := range 200 {
			subs := make([]*pb.RPC_SubOpts, 5000)
			for k := range subs {
				subs[k] = &pb.RPC_SubOpts{Topicid: proto.String(fmt.Sprintf("/%d/%d", i, k)), Subscribe: proto.Bool(true)}
			}
			x.say(&pb.RPC{Subscriptions: subs})
		}
		p.until("a charge", func() bool { return len(offenses(h)) > 0 }, h)
		charged(t, h, peer.SubscribeFlood, peer.High)
		if n := len(wiretest.Reports[wire.TopicChanged](h)); n > 4 {
			t.Errorf("%d topics were noted", n)
		}
	})
}

// Threat X-07: whom a prune recommends is not dialled.
func TestRecommendedPeersAreNotDialled(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{OnScore: func(peer.ID) float64 { return 100 }}
		w := p.wire(1, h)
		x, lured := p.talker(2, w, h), p.bare(7)
		px := slices.Repeat([]*pb.PeerInfo{{PeerID: []byte(lured.ID())}}, 100)
		before := len(w.node.Load().p2p.P2P().Peerstore().Peers())
		for range 20 {
			x.control(&pb.ControlMessage{Prune: []*pb.ControlPrune{{TopicID: proto.String(blocksV4), Peers: px}}})
			time.Sleep(time.Second)
		}
		host := w.node.Load().p2p.P2P()
		if n := len(host.Network().Conns()); n != 1 || len(lured.Network().Conns()) > 0 || len(host.Peerstore().Peers()) > before {
			t.Errorf("%d connections, %d to who was recommended, %d peers known (%d before)", n, len(lured.Network().Conns()), len(host.Peerstore().Peers()), before)
		}
		for _, f := range wiretest.Reports[wire.Found](h) {
			if slices.ContainsFunc(f.Peers, func(p wire.FoundPeer) bool { return p.ID == peer.ID(lured.ID().String()) }) {
				t.Errorf("the node was told of who was recommended, by %s", f.Source)
			}
		}
	})
}

// Threat G-14: a block of ours is told to every member of its topic, not to
// the mesh alone, so that no mesh of silent peers can withhold it.
func TestOwnBlocksAreToldToEveryMember(t *testing.T) {
	const members = 20
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		var all []*talker
		for i := range members {
			all = append(all, p.talker(2+i, w, h))
		}
		b := blockOf(5, 100)
		r, err := w.Publish(p.t.Context(), wire.Block{Block: b})
		if err != nil || r.Queued != members || w.Mesh(codec.V4) >= members {
			t.Errorf("Publish = %+v, %v with a mesh of %d; want %d copies, and fewer in the mesh", r, err, w.Mesh(codec.V4), members)
		}
		time.Sleep(2 * time.Second)
		for i, x := range all {
			if n := x.copies(message(t, b)); n != 1 {
				t.Errorf("member %d heard it %d times", i, n)
			}
		}
	})
}

// Threats G-05 and E-13: the same block again, in the same bytes or in others,
// is passed on once and costs nobody anything.
func TestTheSameBlockAgainIsNoFault(t *testing.T) {
	inBubble(t, func(p *place) {
		seen := map[chain.Ref]bool{}
		h := &wiretest.Host{OnCheck: func(_ context.Context, _ wire.Session, m wire.Message) chain.Verdict {
			ref := m.(wire.Block).Block.Ref()
			if seen[ref] {
				return chain.Ignored("seen")
			}
			seen[ref] = true
			return chain.Accepted()
		}}
		w := p.wire(1, h)
		_, publish := p.gossiper(2, w, h, codec.V4)
		listens := p.talker(3, w, h)
		b := blockOf(6, 100)
		data := message(t, b)
		for range 20 {
			publish(data)
			time.Sleep(time.Second)
		}
		if n := len(h.Checked()); n != 1 || listens.copies(data) != 1 {
			t.Errorf("%d checks and %d copies of one block, want 1 of each", n, listens.copies(data))
		}
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
	})
}

// Threats G-03 and T-05: how far a block's time is from ours is told with each
// that counts, so that the node knows a wrong clock of its own.
func TestTheSequencersClockIsTold(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{OnCheck: func(context.Context, wire.Session, wire.Message) chain.Verdict {
			return chain.Ignored("clock-suspect")
		}}
		w := p.wire(1, h)
		b, publish := p.gossiper(2, w, h, codec.V4)
		for _, ahead := range []uint64{0, 200} { // the 200th block is due now
			publish(message(t, blockOf(200+ahead, 50)))
			time.Sleep(time.Second)
		}
		told := wiretest.Reports[wire.Skewed](h)
		if len(told) != 2 || told[0].Skew != 0 || told[1].Skew < 380*time.Second || told[1].Skew > 400*time.Second || told[1].Session.Peer().ID != peer.ID(b.ID().String()) {
			t.Errorf("told %+v, want none, and nearly 400 s", told)
		}
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
	})
}
