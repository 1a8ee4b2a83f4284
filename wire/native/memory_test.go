package native

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire/native/codec"
)

// Threats M-03 and C-03: Kademlia is open to everybody, and its library takes
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

// Threats Z-06 and H-01: streams that name no protocol count for nobody's but
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
