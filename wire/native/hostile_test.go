package native

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// rpc writes one pubsub message by hand.
func rpc(t *testing.T, s network.Stream, m *pb.RPC) {
	t.Helper()
	if _, err := protodelim.MarshalTo(s, m); err != nil {
		t.Fatal(err)
	}
}

func subscription(topics ...string) *pb.RPC {
	r := &pb.RPC{}
	for _, name := range topics {
		r.Subscriptions = append(r.Subscriptions, &pb.RPC_SubOpts{Topicid: proto.String(name), Subscribe: proto.Bool(true)})
	}
	return r
}

// hostile runs a wire and a bare host with a session to it.
func hostile(t *testing.T, f func(t *testing.T, a *running, h libhost.Host, c network.Conn)) {
	t.Helper()
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h := inBed(t, n, 1, nil), libp2pIn(t, n, 2)
		c := connect(t, h, a)
		shake(t, h, c)
		f(t, a, h, c)
		h.Close()
		a.stop()
	})
}

func TestSubscriptionFloodIsCharged(t *testing.T) {
	hostile(t, func(t *testing.T, a *running, h libhost.Host, c network.Conn) {
		s := stream(t, h, c, pubsub.GossipSubID_v11)
		var many []string
		for i := range 1000 {
			many = append(many, fmt.Sprintf("/spam/%d", i))
		}
		rpc(t, s, subscription(many...))
		offended(t, a, peer.SubscribeFlood)
		for i := range 200 {
			rpc(t, s, subscription(fmt.Sprintf("/spam/%d", i)))
		}
		time.Sleep(time.Second)
		if got := len(wiretest.Reports[wire.Offended](a.host)); got < 2 {
			t.Errorf("%d charges, want one for the slow flood as well", got)
		}
		if got := len(wiretest.Reports[wire.TopicChanged](a.host)); got != 0 {
			t.Errorf("%d strange topics were taken", got)
		}
	})
}

func TestInvalidGossipIsRejectedAndCharged(t *testing.T) { // G-01, B-01, M-07
	names := codec.NamesOf(genesis)
	for _, c := range []struct {
		name, topic string
		data        []byte
		want        peer.Offense
	}{
		{"no snappy", names.Block, []byte("\xff\xff\xff\xff\xff\xff"), peer.BadEncoding},
		{"bomb", names.Block, []byte("\xff\xff\xff\xff\x07aaaa"), peer.Bomb},
		{"no block", names.Block, codec.Compress(nil, []byte("\xff\xff\xff")), peer.BadEncoding},
		{"no bundle", names.Tx, []byte("\x0a\x7f"), peer.BadEncoding},
		{"long bundle", names.Tx, make([]byte, codec.MaxTxBundle+1), peer.BadFrame},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile(t, func(t *testing.T, a *running, h libhost.Host, conn network.Conn) {
				s := stream(t, h, conn, pubsub.GossipSubID_v11)
				rpc(t, s, &pb.RPC{Publish: []*pb.Message{{Topic: proto.String(c.topic), Data: c.data}}})
				if o := offended(t, a, c.want); o.Session == nil {
					t.Error("the charge names no session")
				}
				if got := a.host.Checked(); len(got) != 0 {
					t.Errorf("the Host was asked about %+v", got)
				}
			})
		})
	}
}

func TestPanickingValidatorCostsThePeerAndNotTheProcess(t *testing.T) { // M-12
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a := inBed(t, n, 1, &wiretest.Host{
			OnCheck: func(context.Context, wire.Session, wire.Message) chain.Verdict { panic("check") },
			OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) { panic("serve") },
		})
		b := inBed(t, n, 2, nil)
		if err := b.Dial(within(t, 10*time.Second), a.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if _, err := b.Publish(context.Background(), wire.Block{Block: wiretest.BlockOf(1, 10)}); err != nil {
			t.Fatal(err)
		}
		offended(t, a, peer.BrokeHandler)
		if _, err := b.host.Sessions()[0].Request(within(t, 20*time.Second), wire.GetTxs{Hashes: []chain.Hash{{1}}}); err == nil {
			t.Error("Request = nil though Serve panicked")
		}
		a.stop()
		b.stop()
	})
}

func TestAbandonedRequestStreamsAreCapped(t *testing.T) { // Z-06
	hostile(t, func(t *testing.T, a *running, h libhost.Host, c network.Conn) {
		for range 200 {
			s, err := c.NewStream(context.Background())
			if err != nil {
				break
			}
			s.Write([]byte("\x13/multistream/1.0.0\n\x14" + codec.RequestProtocol + "\n"))
		}
		offended(t, a, peer.StreamFlood)
		n := a.node.Load()
		var links []*link
		for _, c := range n.p2p.P2P().Network().Conns() {
			links = append(links, n.book.Link(c))
		}
		n.book.Lock()
		for _, l := range links {
			if l.Own.requests > maxStreams {
				t.Errorf("%d request streams are open, want at most %d", l.Own.requests, maxStreams)
			}
		}
		n.book.Unlock()
		time.Sleep(40 * time.Second)
		n.book.Lock()
		for _, l := range links {
			if l.Own.requests != 0 {
				t.Errorf("%d abandoned request streams are open after 40 s", l.Own.requests)
			}
		}
		n.book.Unlock()
	})
}

func TestFloodsOfKeepAliveAreCharged(t *testing.T) {
	hostile(t, func(t *testing.T, a *running, h libhost.Host, c network.Conn) {
		s := stream(t, h, c, "/ipfs/ping/1.0.0")
		go func() {
			for range 100 {
				if _, err := s.Write(make([]byte, 32)); err != nil {
					return
				}
			}
		}()
		offended(t, a, peer.PingFlood)
	})
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h := inBed(t, n, 1, nil), libp2pIn(t, n, 2)
		s := shake(t, h, connect(t, h, a))
		for range 20 {
			s.Write(codec.AppendFrame(nil, codec.AppendStatus(nil, codec.Status{Version: 1, Chain: status()})))
			time.Sleep(time.Second)
		}
		offended(t, a, peer.PingFlood)
		closed(t, a, peer.BadScore)
		h.Close()
		a.stop()
	})
}

func TestGossipBeforeTheSessionIsHeldNotLost(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h := inBed(t, n, 1, nil), libp2pIn(t, n, 2)
		c := connect(t, h, a)
		names := codec.NamesOf(genesis)
		s := stream(t, h, c, pubsub.GossipSubID_v11)
		rpc(t, s, subscription(names.Block))
		time.Sleep(3 * time.Second)
		if got := wiretest.Reports[wire.TopicChanged](a.host); len(got) != 0 {
			t.Errorf("gossip of a peer without a session was heard: %+v", got)
		}
		shake(t, h, c)
		time.Sleep(time.Second)
		if got := wiretest.Reports[wire.TopicChanged](a.host); len(got) != 1 || got[0].Topic != names.Block {
			t.Errorf("TopicChanged = %+v, want the subscription that came early", got)
		}
		h.Close()
		a.stop()
	})
}

func TestNothingIsServedBeforeTheStatus(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h := inBed(t, n, 1, nil), libp2pIn(t, n, 2)
		c := connect(t, h, a)
		s := stream(t, h, c, codec.RequestProtocol)
		s.Write([]byte{2, 0, 0})
		start := time.Now()
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("a request was answered before the handshake")
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("the stream was held for %v", took)
		}
		h.Close()
		a.stop()
	})
}

func TestRSAIdentityIsRefused(t *testing.T) { // H-04
	key, _, err := crypto.GenerateRSAKeyPair(2048, nil)
	if err != nil {
		key, _, err = crypto.GenerateKeyPair(crypto.RSA, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a := inBed(t, n, 1, nil)
		h, err := libp2p.New(bed.Options(n.Host(hostAddr(2)), key, bed.Libp2p{})...)
		if err != nil {
			t.Fatal(err)
		}
		info, _ := libpeer.AddrInfoFromString(a.Addrs()[0].Text)
		h.Connect(within(t, 10*time.Second), *info) // it may only notice later
		time.Sleep(time.Second)
		if got := len(a.node.Load().p2p.P2P().Network().Conns()); got != 0 {
			t.Errorf("%d connections of an RSA identity, want none", got)
		}
		if r := wiretest.Reports[wire.Refused](a.host); len(r) == 0 || r[0].Reason != peer.KeyType {
			t.Errorf("Refused = %+v, want %s", r, peer.KeyType)
		}
		h.Close()
		a.stop()
	})
}

func TestSilentForwarderFallsBelowZero(t *testing.T) { // G-12 (CVE-2022-47547)
	for seed := range uint64(8) {
		inBubble(t, time.Duration(5+rand.N(30))*time.Millisecond, func(t *testing.T, n *bed.Net) {
			const honest = 7
			source := inBed(t, n, 1, nil)
			victim := inBed(t, n, 2, nil)
			silent := inBed(t, n, 3, &wiretest.Host{OnCheck: func(context.Context, wire.Session, wire.Message) chain.Verdict { return chain.Ignored("mine") }})
			all := []*running{source, victim, silent}
			for i := range honest {
				all = append(all, inBed(t, n, 4+i, nil))
			}
			for _, r := range all[2:] { // a ring of honest peers between source and victim, and the silent one
				for _, to := range []*running{source, victim} {
					if err := r.Dial(within(t, 10*time.Second), to.Addrs()[0]); err != nil {
						t.Fatal(err)
					}
				}
			}
			score := func(r *running) float64 {
				id, _ := libpeer.Decode(string(r.Self()))
				return victim.node.Load().gossip.Score(id)
			}
			start, fell, meshed := time.Now(), time.Duration(0), time.Duration(0)
			silentID, _ := libpeer.Decode(string(silent.Self()))
			inMesh := func() bool { return victim.node.Load().gossip.InMesh(victim.names.Block, silentID) }
			for i := range 150 {
				time.Sleep(2 * time.Second)
				if _, err := source.Publish(context.Background(), wire.Block{Block: wiretest.BlockOf(byte(i), 200)}); err != nil {
					t.Fatal(err)
				}
				if inMesh() {
					meshed += 2 * time.Second
				}
				if fell == 0 && score(silent) < 0 {
					fell = time.Since(start)
				}
			}
			// Whether the mesh takes it in at all is chance.
			if meshed > 90*time.Second && fell == 0 || inMesh() && fell == 0 {
				t.Errorf("seed %d: the silent forwarder's score never fell below zero in 5 min, %v of which in the mesh", seed, meshed)
			}
			t.Logf("seed %d: below zero after %v; %v in the mesh", seed, fell, meshed)
			for _, r := range all[3:] {
				if s := score(r); s < 0 {
					t.Errorf("seed %d: an honest peer's score is %.1f", seed, s)
				}
			}
			for _, r := range all {
				r.stop()
			}
		})
	}
}

func TestControlSpamIsBounded(t *testing.T) {
	hostile(t, func(t *testing.T, a *running, h libhost.Host, c network.Conn) {
		names := codec.NamesOf(genesis)
		var wanted atomic.Int64
		h.SetStreamHandler(pubsub.GossipSubID_v11, func(s network.Stream) {
			in := protodelimReader(s)
			for {
				var m pb.RPC
				if err := protodelim.UnmarshalFrom(in, &m); err != nil {
					return
				}
				for _, w := range m.GetControl().GetIwant() {
					wanted.Add(int64(len(w.MessageIDs)))
				}
			}
		})
		c.Close()
		time.Sleep(2 * time.Second)
		c = connect(t, h, a)
		shake(t, h, c)
		s := stream(t, h, c, pubsub.GossipSubID_v11)
		rpc(t, s, subscription(names.Block))
		time.Sleep(3 * time.Second) // into the mesh
		id := h.ID()
		for second := range 30 {
			for k := range 10 {
				ihave := &pb.ControlIHave{TopicID: proto.String(names.Block)}
				for i := range 5000 {
					ihave.MessageIDs = append(ihave.MessageIDs, fmt.Sprintf("%d.%d.%d", second, k, i))
				}
				graft := []*pb.ControlGraft{{TopicID: proto.String("/unknown")}}
				dont := []*pb.ControlIDontWant{{MessageIDs: ihave.MessageIDs[:1000]}}
				rpc(t, s, &pb.RPC{Control: &pb.ControlMessage{Ihave: []*pb.ControlIHave{ihave}, Graft: graft, Idontwant: dont}})
			}
			time.Sleep(time.Second)
		}
		if got := a.node.Load().gossip.Score(id); got > -80 {
			t.Errorf("score after 30 s of broken promises is %.1f, want graylisted (-80)", got)
		}
		if n := wanted.Load(); n == 0 || n > 31*5000 {
			t.Errorf("we asked for %d messages in 30 s, want some, and at most 5000 a heartbeat", n)
		}
	})
}

func TestPeerCannotHogValidation(t *testing.T) { // G-11
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		release := make(chan struct{})
		hog := bed.Key(2)
		hogID, _ := libpeer.IDFromPrivateKey(hog)
		a := inBed(t, n, 1, &wiretest.Host{OnCheck: func(ctx context.Context, s wire.Session, _ wire.Message) chain.Verdict {
			if s.Peer().ID == peer.ID(hogID.String()) {
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			return chain.Accepted()
		}})
		h, b := libp2pIn(t, n, 2), inBed(t, n, 3, nil)
		c := connect(t, h, a)
		shake(t, h, c)
		if err := b.Dial(within(t, 10*time.Second), a.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		s := stream(t, h, c, pubsub.GossipSubID_v11)
		names := codec.NamesOf(genesis)
		honest := wiretest.BlockOf(99, 50)
		for i := range 100 { // the hog also sends the honest block, to have it dropped
			rpc(t, s, &pb.RPC{Publish: []*pb.Message{{Topic: proto.String(names.Block), Data: codec.AppendGossipBlock(nil, wiretest.BlockOf(byte(i), 50))}}})
		}
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		if _, err := b.Publish(context.Background(), wire.Block{Block: honest}); err != nil {
			t.Fatal(err)
		}
		if err := a.host.Until(within(t, 10*time.Second), func() bool { return len(a.host.Checked()) > 0 }); err != nil {
			t.Error("an honest block that the hog had sent before was lost")
		}
		if took := time.Since(start); took > 250*time.Millisecond {
			t.Errorf("the honest block took %v behind the hog, want at most 250 ms", took)
		}
		dropped := 0
		for _, d := range wiretest.Reports[wire.Dropped](a.host) {
			if d.Queue == "gossip-peer-quota" {
				dropped += d.Count
			}
		}
		if dropped != 92 {
			t.Errorf("%d messages of the hog were dropped, want 92: 8 may wait", dropped)
		}
		close(release)
		synctest.Wait()
		h.Close()
		a.stop()
		b.stop()
	})
}
