package native

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// ear is what a bare host hears by gossip. It is put up before the host
// connects.
type ear struct {
	mu     sync.Mutex     // a leaf
	copies map[string]int // of a message, by its bytes
	prunes map[string]int // by topic
	grafts map[string]int
	wants  int
}

func listen(h libhost.Host) *ear {
	e := &ear{copies: map[string]int{}, prunes: map[string]int{}, grafts: map[string]int{}}
	h.SetStreamHandler(pubsub.GossipSubID_v11, func(s network.Stream) {
		in := protodelimReader(s)
		for {
			var m pb.RPC
			if protodelim.UnmarshalFrom(in, &m) != nil {
				return
			}
			e.take(&m)
		}
	})
	return e
}

func (e *ear) take(m *pb.RPC) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range m.GetPublish() {
		e.copies[string(p.GetData())]++
	}
	for _, p := range m.GetControl().GetPrune() {
		e.prunes[p.GetTopicID()]++
	}
	for _, g := range m.GetControl().GetGraft() {
		e.grafts[g.GetTopicID()]++
	}
	for _, w := range m.GetControl().GetIwant() {
		e.wants += len(w.MessageIDs)
	}
}

func (e *ear) count(of map[string]int, key string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return of[key]
}

// gossiping runs a wire and a bare host that has a session with it and listens
// on the block topic.
func gossiping(t *testing.T, host *wiretest.Host, f func(t *testing.T, n *bed.Net, a *running, h libhost.Host, s network.Stream, e *ear)) {
	t.Helper()
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h := inBed(t, n, 1, host), libp2pIn(t, n, 2)
		e := listen(h)
		c := connect(t, h, a)
		shake(t, h, c)
		s := stream(t, h, c, pubsub.GossipSubID_v11)
		rpc(t, s, subscription(a.names.Block))
		time.Sleep(3 * time.Second) // into the mesh
		f(t, n, a, h, s, e)
		h.Close()
		a.stop()
	})
}

// Corrupted segments on real Noise and yamux, in handshakes and in sessions:
// links end and come back, nobody is charged, and what arrives is what was
// sent. Threat rows M-06, M-13.
func TestCorruptedLinksComeBack(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		upgraded := func(i int) func(*Config) {
			return func(c *Config) { c.Libp2pOptions = bedUpgraded(n, i) }
		}
		a, b := inBed(t, n, 1, nil, upgraded(1)), inBed(t, n, 2, nil, upgraded(2))
		ends := 0
		for i := range 40 {
			if a.host.Session(b.Self()) == nil {
				a.Dial(within(t, 10*time.Second), b.Addrs()[0]) // it may fail: see below
			}
			share := []float64{0, 0.2, 1, 0.05}[i%4]
			n.Corrupt(hostAddr(1), hostAddr(2), share)
			n.Corrupt(hostAddr(2), hostAddr(1), share)
			for _, r := range []*running{a, b} {
				for _, s := range r.host.Sessions() {
					s.Send(within(t, time.Second), wire.LaneConsensus, wire.Consensus{Bytes: []byte("vote")})
				}
			}
			time.Sleep(3 * time.Second)
		}
		n.Corrupt(hostAddr(1), hostAddr(2), 0)
		n.Corrupt(hostAddr(2), hostAddr(1), 0)
		time.Sleep(2 * time.Minute)
		if a.host.Session(b.Self()) == nil {
			if err := a.Dial(within(t, 10*time.Second), b.Addrs()[0]); err != nil {
				t.Errorf("Dial after the trouble = %v", err)
			}
		}
		for _, r := range []*running{a, b} {
			ends += len(wiretest.Reports[wire.Closed](r.host))
			for _, c := range r.host.Checked() {
				if got := c.Message.(wire.Consensus).Bytes; string(got) != "vote" {
					t.Errorf("%q was taken in", got)
				}
			}
		}
		if ends < 4 {
			t.Errorf("only %d sessions ended: nothing was corrupted", ends)
		}
		uncharged(t, a, b)
		a.stop()
		b.stop()
	})
}

// A peer that speaks very many protocols is told of in bounds, or has no
// session, and is charged; long names cost it nothing. Threat row H-11.
func TestManyProtocolsAreCapped(t *testing.T) {
	for name, c := range map[string]struct{ count, length int }{"many": {300, 12}, "far too many": {3000, 12}, "long": {64, 4000}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
				a, h := inBed(t, n, 1, nil), libp2pIn(t, n, 2)
				for i := range c.count {
					h.SetStreamHandler(protocol.ID(fmt.Sprintf("/%0*d", c.length, i)), func(s network.Stream) { s.Reset() })
				}
				conn := connect(t, h, a)
				s := stream(t, h, conn, codec.StatusProtocol)
				tell(t, s, codec.Status{Version: 1, Chain: status(), Time: uint64(time.Now().UnixMilli())})
				time.Sleep(30 * time.Second)
				sessions := a.host.Sessions()
				t.Logf("%d sessions", len(sessions))
				for _, s := range sessions {
					if got := s.Peer().Protocols; len(got) > 64 {
						t.Errorf("%d protocols are told of, want at most 64", len(got))
					}
					for _, p := range s.Peer().Protocols {
						if len(p) > 512 {
							t.Errorf("a protocol of %d bytes is told of", len(p))
						}
					}
				}
				if name == "many" && len(sessions) != 1 {
					t.Error("a peer with 300 protocols has no session")
				}
				b := inBed(t, n, 3, nil)
				if err := b.Dial(within(t, 10*time.Second), a.Addrs()[0]); err != nil {
					t.Errorf("an honest dial beside it: %v", err)
				}
				charges := wiretest.Reports[wire.Offended](a.host)
				switch {
				case c.count <= 64 && len(charges) > 0:
					t.Errorf("charged with %+v for %d protocols", charges, c.count)
				case name == "many" && (len(charges) != 1 || charges[0].Offense != peer.ProtocolFlood || charges[0].Offense.Severity() != peer.High || charges[0].Link.ID != peer.ID(h.ID().String())):
					t.Errorf("charged with %+v for %d protocols, want one %s", charges, c.count, peer.ProtocolFlood)
				}
				uncharged(t, b)
				h.Close()
				b.stop()
				a.stop()
			})
		})
	}
}

// Streams of protocols that we do not speak are declined, and a request of a
// kind that we do not know is answered so; neither costs the peer anything.
// Threat row M-09.
func TestUnknownProtocolsAndKindsAreDeclined(t *testing.T) {
	hostile(t, func(t *testing.T, a *running, h libhost.Host, c network.Conn) {
		for i := range 200 {
			s, err := h.NewStream(within(t, 10*time.Second), c.RemotePeer(), protocol.ID(fmt.Sprintf("/nobody/speaks/%d", i)))
			if err == nil {
				s.Reset()
				t.Fatal("a protocol that nobody speaks was agreed on")
			}
		}
		s := stream(t, h, c, codec.RequestProtocol)
		later := []byte{0x98, 0x06, 1} // field 99
		if _, err := s.Write(codectest.Pack(later)); err != nil {
			t.Fatal(err)
		}
		s.CloseWrite()
		raw, err := codectest.Unpack(bufio.NewReader(s), codec.MaxAnswer)
		if err != nil {
			t.Fatal(err)
		}
		var got codec.Answer
		if err := codec.DecodeAnswer(raw, &got); err != nil || got.End == nil || got.End.Code != wire.RefusedUnsupported {
			t.Errorf("answer = %+v, %v, want %v", got, err, wire.RefusedUnsupported)
		}
		time.Sleep(20 * time.Second)
		if len(a.host.Sessions()) != 1 {
			t.Error("the session has ended")
		}
		uncharged(t, a)
	})
}

// The same message again, in the same bytes, is judged once; the same block in
// other bytes comes to the Host, which ignores what it has. Neither is a fault.
// Threat row G-05.
func TestTheSameMessageAgainIsNoFault(t *testing.T) {
	var mu sync.Mutex
	seen := map[chain.Ref]int{}
	host := &wiretest.Host{OnCheck: func(_ context.Context, _ wire.Session, m wire.Message) chain.Verdict {
		mu.Lock()
		defer mu.Unlock()
		ref := m.(wire.Block).Block.Ref()
		if seen[ref]++; seen[ref] > 1 {
			return chain.Ignored("known")
		}
		return chain.Accepted()
	}}
	gossiping(t, host, func(t *testing.T, n *bed.Net, a *running, h libhost.Host, s network.Stream, e *ear) {
		b := inBed(t, n, 3, nil)
		if err := b.Dial(within(t, 10*time.Second), a.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		block := wiretest.BlockOf(1, 500)
		data := codec.AppendGossipBlock(nil, block)
		raw, err := codec.Decompress(data, codec.MaxBlock)
		if err != nil {
			t.Fatal(err)
		}
		other := literal(raw)
		if back, err := codec.Decompress(other, codec.MaxBlock); err != nil || !bytes.Equal(back, raw) || bytes.Equal(other, data) {
			t.Fatalf("the other encoding is none: %v", err)
		}
		if _, err := b.Publish(t.Context(), wire.Block{Block: block}); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			for _, d := range [][]byte{data, other} {
				rpc(t, s, &pb.RPC{Publish: []*pb.Message{{Topic: proto.String(a.names.Block), Data: d}}})
			}
			time.Sleep(time.Second)
		}
		if got := len(a.host.Checked()); got != 2 {
			t.Errorf("the Host was asked %d times, want once for each encoding", got)
		}
		if got := len(b.host.Checked()); got > 1 {
			t.Errorf("what was ignored was passed on %d times", got)
		}
		if len(a.host.Sessions()) != 2 || a.node.Load().gossip.Score(h.ID()) < 0 {
			t.Errorf("%d sessions, score %.1f after honest copies", len(a.host.Sessions()), a.node.Load().gossip.Score(h.ID()))
		}
		uncharged(t, a, b)
		b.stop()
	})
}

// literal is the snappy block of raw that compresses nothing.
func literal(raw []byte) []byte {
	out := []byte{byte(len(raw)) | 0x80, byte(len(raw) >> 7)}
	if len(raw) < 128 || len(raw) >= 1<<14 {
		panic("literal is for 128 bytes to 16 KiB")
	}
	for len(raw) > 0 {
		k := min(len(raw), 256)
		out = append(append(out, 60<<2, byte(k-1)), raw[:k]...)
		raw = raw[k:]
	}
	return out
}

// A peer that asks for a message again and again gets three copies at most,
// besides the one that it was sent. Threat row X-02.
func TestAMessageIsSentThreeTimesAtMostOnDemand(t *testing.T) {
	gossiping(t, nil, func(t *testing.T, _ *bed.Net, a *running, _ libhost.Host, s network.Stream, e *ear) {
		block := wiretest.BlockOf(1, 50_000)
		if _, err := a.Publish(t.Context(), wire.Block{Block: block}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		data := codec.AppendGossipBlock(nil, block)
		pushed := e.count(e.copies, string(data))
		id := codec.MessageID(a.names.Block, data)
		for range 100 {
			rpc(t, s, &pb.RPC{Control: &pb.ControlMessage{Iwant: []*pb.ControlIWant{{MessageIDs: slices.Repeat([]string{id}, 10)}}}})
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		got := e.count(e.copies, string(data))
		t.Logf("%d copies were pushed, %d were asked for", pushed, got-pushed)
		if pushed != 1 || got-pushed < 1 || got-pushed > 3 {
			t.Errorf("%d copies were pushed and %d sent on demand, want 1, and 1 to 3", pushed, got-pushed)
		}
	})
}

// Grafts for topics that are not ours get no answer; grafts during back-off are
// answered with a prune until the peer's score is so low that it is not read
// any more. Threat row X-03.
func TestGraftFloodsAreAnsweredInBounds(t *testing.T) {
	gossiping(t, nil, func(t *testing.T, _ *bed.Net, a *running, h libhost.Host, s network.Stream, e *ear) {
		block := a.names.Block
		var strange []*pb.ControlGraft
		for i := range 1000 {
			strange = append(strange, &pb.ControlGraft{TopicID: proto.String(fmt.Sprintf("/unknown/%d", i))})
		}
		rpc(t, s, &pb.RPC{Control: &pb.ControlMessage{Graft: strange}})
		time.Sleep(3 * time.Second)
		e.mu.Lock()
		for topic := range e.prunes {
			t.Errorf("a graft for %s was answered", topic)
		}
		e.mu.Unlock()
		if got := a.node.Load().gossip.Score(h.ID()); got < 0 {
			t.Errorf("score %.1f for topics that we do not know, want no charge", got)
		}
		uncharged(t, a)
		rpc(t, s, &pb.RPC{Control: &pb.ControlMessage{Prune: []*pb.ControlPrune{{TopicID: proto.String(block), Backoff: proto.Uint64(60)}}}})
		time.Sleep(time.Second)
		for range 500 {
			rpc(t, s, &pb.RPC{Control: &pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: proto.String(block)}}}})
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		prunes, score := e.count(e.prunes, block), a.node.Load().gossip.Score(h.ID())
		t.Logf("%d prunes for 500 grafts in back-off; score %.1f", prunes, score)
		if prunes == 0 || prunes > 150 {
			t.Errorf("500 grafts in back-off were answered by %d prunes, want some, and an end of it", prunes)
		}
		if score > -80 {
			t.Errorf("score after the flood is %.1f, want graylisted (-80)", score)
		}
		if a.node.Load().gossip.InMesh(block, h.ID()) {
			t.Error("who grafts in back-off is in the mesh")
		}
		charges := 0
		for _, o := range wiretest.Reports[wire.Offended](a.host) {
			if o.Offense != peer.GraftFlood || o.Offense.Severity() != peer.Mid {
				t.Errorf("charged with %+v", o)
			}
			charges++
		}
		if charges < 4 || charges > 20 { // four of -5 end the session; it is not read any more after some
			t.Errorf("%d charges for 500 grafts in back-off, want 4 to 20", charges)
		}
	})
}

// Peers that a prune recommends are not dialled, however well we think of who
// sends it. Threat row X-07 (CVE-2023-40583).
func TestPeerExchangeIsNotFollowed(t *testing.T) {
	fond := &wiretest.Host{OnScore: func(peer.ID) float64 { return 100 }}
	gossiping(t, fond, func(t *testing.T, n *bed.Net, a *running, h libhost.Host, s network.Stream, e *ear) {
		lured := libp2pIn(t, n, 7)
		var px []*pb.PeerInfo
		for i := range 2000 {
			info := bed.AddrInfo(hostAddr(7), bed.Key(uint64(7+i%50)))
			rec := &libpeer.PeerRecord{PeerID: info.ID, Addrs: info.Addrs, Seq: uint64(1 + i)}
			env, err := record.Seal(rec, bed.Key(uint64(7+i%50)))
			if err != nil {
				t.Fatal(err)
			}
			signed, err := env.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			px = append(px, &pb.PeerInfo{PeerID: []byte(info.ID), SignedPeerRecord: signed})
		}
		known := len(a.node.Load().p2p.P2P().Peerstore().Peers())
		for len(px) > 0 {
			some := px[:100]
			px = px[100:]
			rpc(t, s, &pb.RPC{Control: &pb.ControlMessage{Prune: []*pb.ControlPrune{{TopicID: proto.String(a.names.Block), Peers: some}}}})
			time.Sleep(time.Second)
		}
		time.Sleep(20 * time.Second)
		host := a.node.Load().p2p.P2P()
		if conns := len(host.Network().Conns()); conns != 1 {
			t.Errorf("%d connections, want the one with who sent the records", conns)
		}
		if got := len(lured.Network().Conns()); got != 0 {
			t.Errorf("%d connections to the recommended peer", got)
		}
		if got := len(host.Peerstore().Peers()); got > known {
			t.Errorf("%d peers are in the library's store, %d before", got, known)
		}
		if f := wiretest.Reports[wire.Found](a.host); slices.ContainsFunc(f, func(f wire.Found) bool {
			return slices.ContainsFunc(f.Peers, func(p wire.FoundPeer) bool { return strings.HasSuffix(string(p.ID), idText(7)) })
		}) {
			t.Error("the recommended peer was passed on to the node")
		}
		lured.Close()
	})
}

// A peer that reads nothing holds a bounded queue of its lane, and is let go
// after 20 s; who stands beside it notices nothing. Threat row Z-02.
func TestAPeerThatReadsNothingIsLetGo(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h, b := inBed(t, n, 1, nil), libp2pIn(t, n, 2), inBed(t, n, 3, nil)
		never := make(chan struct{})
		deaf := func(s network.Stream) { <-never }
		h.SetStreamHandler(codec.ConsensusProtocol, deaf)
		h.SetStreamHandler(pubsub.GossipSubID_v11, deaf)
		c := connect(t, h, a)
		shake(t, h, c)
		s := stream(t, h, c, pubsub.GossipSubID_v11)
		rpc(t, s, subscription(a.names.Consensus))
		if err := b.Dial(within(t, 10*time.Second), a.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		toH, toB := a.host.Session(peer.ID(h.ID().String())), a.host.Session(b.Self())
		start := time.Now()
		taken, told := 0, 0
		msg := make([]byte, 64<<10)
		for i := 0; time.Since(start) < 15*time.Second; i++ {
			switch err := toH.Send(t.Context(), wire.LaneConsensus, wire.Consensus{Bytes: msg}); {
			case err == nil:
				taken += len(msg)
			case !errors.Is(err, wire.ErrQueueFull):
				t.Fatalf("Send = %v, want %v", err, wire.ErrQueueFull)
			}
			vote := wire.Consensus{Bytes: fmt.Appendf(nil, "vote %d", i)}
			if err := toB.Send(t.Context(), wire.LaneConsensus, vote); err != nil {
				t.Fatalf("Send to who reads: %v", err)
			}
			if _, err := a.Publish(t.Context(), wire.Consensus{Bytes: append(fmt.Appendf(nil, "all %d ", i), msg...)}); err != nil {
				t.Fatalf("Publish: %v", err)
			}
			told++
		}
		if taken > laneBytes+4<<20 {
			t.Errorf("%d bytes were taken for who reads nothing, want at most %d and a window", taken, laneBytes)
		}
		if o := offended(t, a, peer.NotReading); o.Session != toH {
			t.Error("the charge names another session")
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("it was let go after %v, want at most 30 s", took)
		}
		closed(t, a, peer.Slow)
		time.Sleep(time.Second)
		votes, all := 0, 0
		for _, c := range b.host.Checked() {
			switch m := c.Message.(wire.Consensus).Bytes; {
			case bytes.HasPrefix(m, []byte("vote ")):
				votes++
			case bytes.HasPrefix(m, []byte("all ")):
				all++
			}
		}
		if votes != told || all != told {
			t.Errorf("who reads got %d votes and %d broadcasts of %d", votes, all, told)
		}
		dropped := map[string]int{}
		for _, d := range wiretest.Reports[wire.Dropped](a.host) {
			dropped[d.Queue] += d.Count
		}
		if dropped["consensus"] == 0 {
			t.Errorf("dropped = %v, want the consensus queue's counted", dropped)
		}
		t.Logf("%d bytes taken, dropped %v", taken, dropped)
		close(never)
		h.Close()
		a.stop()
		b.stop()
	})
}

// Two nodes that tell each other what they hear carry each bundle of
// transactions over their link once. Threat row T-08.
func TestTransactionsCrossALinkOnce(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, b := inBed(t, n, 1, nil), inBed(t, n, 2, nil)
		if err := a.Dial(within(t, 10*time.Second), b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		const bundles = 50
		for i := range bundles {
			tx := chain.Tx{Hash: chain.Hash{1, byte(i)}, Bytes: fmt.Appendf(nil, "transaction %d", i)}
			for _, r := range []*running{a, b, a, b} {
				if _, err := r.Publish(t.Context(), wire.Txs{Txs: []chain.Tx{tx}}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		time.Sleep(10 * time.Second)
		if got := len(b.host.Checked()); got != bundles {
			t.Errorf("%d bundles arrived, want %d", got, bundles)
		}
		if got := len(a.host.Checked()); got != 0 {
			t.Errorf("%d bundles came back", got)
		}
		uncharged(t, a, b)
		a.stop()
		b.stop()
	})
}

// bedUpgraded are the options of a wire on real Noise and yamux.
func bedUpgraded(n *bed.Net, i int) []libp2p.Option {
	return []libp2p.Option{bed.Bubble(n.Host(hostAddr(i)), true)}
}
