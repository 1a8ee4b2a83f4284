package native

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	kadpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Threat M-03: Kademlia is open to everybody, and its library takes
// the memory for a message as soon as it knows the length.
func TestAStrangersKademliaMessageIsSmall(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h := inBed(t, n, 1, nil), libp2pIn(t, n, 2)
		c := connect(t, h, a) // no session
		s := stream(t, h, c, protocol.ID(codec.NamesOf(genesis).Prefix+"/kad/1.0.0"))
		s.Write(binary.AppendUvarint(nil, 4<<20))
		s.SetReadDeadline(time.Now().Add(5 * time.Second))
		start := time.Now()
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("it was answered")
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("a message of 4 MiB is still awaited after %v", took)
		}
		h.Close()
		a.stop()
	})
}

// Threat Z-06: streams that name no protocol count for nobody's but
// their own connection's sake.
func TestOneConnectionLeavesStreamsForOthers(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h, honest := inBed(t, n, 1, nil), libp2pIn(t, n, 2), libp2pIn(t, n, 3)
		c := connect(t, h, a)
		open := 0
		for range 2000 {
			s, err := c.NewStream(context.Background())
			if err != nil {
				break
			}
			s.Write([]byte{19}) // or it would not travel
			open++
		}
		time.Sleep(time.Second)
		if open < 200 {
			t.Fatalf("%d streams were opened, want a flood", open)
		}
		shake(t, honest, connect(t, honest, a))
		var held int
		for _, in := range a.node.Load().p2p.P2P().Network().ConnsToPeer(h.ID()) {
			held += len(in.GetStreams())
		}
		if held > 128 {
			t.Errorf("a stranger holds %d streams", held)
		}
		for _, x := range []libhost.Host{h, honest} {
			x.Close()
		}
		a.stop()
	})
}

// Threats Z-02 and R-03: answers that nobody reads, and requests that
// never end, hold little memory however many there are.
func TestRequestsOfOnePeerHoldLittleMemory(t *testing.T) {
	const size = 1 << 20
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		var made atomic.Int32
		a := inBed(t, n, 1, &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
			made.Add(1)
			return wire.Blocks{Blocks: []chain.Block{wiretest.BlockOf(1, size)}}, nil
		}})
		h := libp2pIn(t, n, 2)
		c := connect(t, h, a)
		shake(t, h, c)
		time.Sleep(time.Second)
		ask, err := codec.AppendRequest(nil, codec.Request{Ask: wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 1}}, AckEvery: 32 << 10})
		if err != nil {
			t.Error(err)
		}
		for range 60 {
			s, err := c.NewStream(context.Background())
			if err != nil {
				t.Error(err)
				break
			}
			s.Write([]byte("\x13/multistream/1.0.0\n\x14" + codec.RequestProtocol + "\n"))
			s.Write(codectest.Pack(ask)) // and reads nothing
		}
		time.Sleep(5 * time.Second)
		// The size of items is learned from the first answers; those that are made
		// at that moment are not yet counted in full.
		const most = (16<<20)/size + reqresp.MaxInFlight
		if got := made.Load(); got == 0 || got > most {
			t.Errorf("%d answers of 1 MiB are in memory, want at most %d", got, most)
		}
		time.Sleep(time.Minute)
		for _, l := range a.host.Sessions() {
			if _, serving := l.(*session).requests.Held(); serving != 0 {
				t.Errorf("%d bytes were not given back", serving)
			}
		}
		h.Close()
		a.stop()
	})
}

// decoder is a node that only decodes.
func decoder() *node {
	return &node{w: &Wire{cfg: Config{MaxBlockBytes: codec.MaxBlock}}, budget: p2phost.NewBudget(0)}
}

// For any payload of the block topic, what is allocated is in proportion to it:
// 22 is more than snappy can make of a byte.
func TestGossipBlocksAllocateInProportion(t *testing.T) {
	n := decoder()
	for name, in := range map[string][]byte{
		"a block":        codec.AppendGossipBlock(nil, wiretest.BlockOf(1, 100_000)),
		"nothing":        nil,
		"a large claim":  binary.AppendUvarint(nil, 1<<32-1),
		"the most":       binary.AppendUvarint(nil, codec.MaxBlock),
		"zeros":          codec.Compress(nil, make([]byte, codec.MaxBlock)),
		"empty parts":    codec.Compress(nil, bytes.Repeat([]byte{0x12, 0}, 1_000_000)),
		"empty headers":  codec.Compress(nil, bytes.Repeat([]byte{0x0a, 0}, 1_000_000)),
		"unknown fields": codec.Compress(nil, append(codec.AppendBlock(nil, wiretest.BlockOf(1, 100)), unknownField(9<<20)...)),
		"not compressed": make([]byte, 1<<20),
	} {
		decode := func() {
			_, release, _ := n.decodeBlock(context.Background(), in)
			release()
		}
		if got, most := codectest.Allocated(decode), uint64(22*len(in)+64<<10); got > most {
			t.Errorf("%s: %d bytes allocated for %d, at most %d", name, got, len(in), most)
		}
	}
}

// FuzzGossipBlock checks that a block that decodes is the same once more, and
// that what is held while it is looked at is given back.
func FuzzGossipBlock(f *testing.F) {
	f.Add(codec.AppendGossipBlock(nil, wiretest.BlockOf(1, 100)))
	f.Add(codec.Compress(nil, append(codec.AppendBlock(nil, wiretest.BlockOf(2, 10)), unknownField(100)...)))
	f.Add(binary.AppendUvarint(nil, codec.MaxBlock+1))
	n := decoder()
	f.Fuzz(func(t *testing.T, in []byte) {
		m, release, err := n.decodeBlock(t.Context(), in)
		defer release()
		if err != nil {
			return
		}
		again, release, err := n.decodeBlock(t.Context(), codec.AppendGossipBlock(nil, m.(wire.Block).Block))
		defer release()
		if diff := cmp.Diff(m, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v: %s", err, diff)
		}
	})
}

// Threat E-13: whoever is first to pass a good block on must not make
// it longer for everybody. Who relays it is not to blame.
func TestPaddedBlocksAreNotRelayed(t *testing.T) {
	n := decoder()
	b := codec.AppendBlock(nil, wiretest.BlockOf(1, 100))
	pad := func(size int) []byte { return codec.Compress(nil, append(b[:len(b):len(b)], unknownField(size)...)) }
	for size, good := range map[int]bool{0: true, 1000: true, 5000: false, 9 << 20: false} {
		_, release, err := n.decodeBlock(context.Background(), pad(size))
		release()
		var fault *wire.Fault
		if (err == nil) != good || errors.As(err, &fault) {
			t.Errorf("%d bytes of unknown fields: %v, want good %v and nobody blamed", size, err, good)
		}
	}
}

func unknownField(n int) []byte {
	return append(binary.AppendUvarint(binary.AppendUvarint(nil, 99<<3|2), uint64(n)), make([]byte, n)...)
}

// Threat R-08: small questions with large answers, from anybody.
func TestKademliaQuestionsHaveAPace(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h := inBed(t, n, 1, nil), libp2pIn(t, n, 2)
		c := connect(t, h, a)
		question, err := proto.Marshal(&kadpb.Message{Type: kadpb.Message_FIND_NODE, Key: []byte(a.node.Load().p2p.ID())})
		if err != nil {
			t.Error(err)
		}
		question = append(binary.AppendUvarint(nil, uint64(len(question))), question...)
		answered := 0
		for range 5 { // each stream after the first finds the pace used up
			s := stream(t, h, c, protocol.ID(codec.NamesOf(genesis).Prefix+"/kad/1.0.0"))
			in := bufio.NewReader(s)
			for range 100 {
				s.SetDeadline(time.Now().Add(time.Second))
				if _, err := s.Write(question); err != nil {
					break
				}
				size, err := binary.ReadUvarint(in)
				if err != nil {
					break
				}
				if _, err := in.Discard(int(size)); err != nil {
					break
				}
				answered++
			}
			s.Reset()
		}
		if answered < 20 || answered > 150 {
			t.Errorf("%d questions were answered in some seconds", answered)
		}
		h.Close()
		a.stop()
	})
}
