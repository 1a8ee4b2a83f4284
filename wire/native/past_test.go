package native

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/book"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Gossip marks a message as seen before it is judged, so one that waited when
// its session ended would be lost for good, from whomever it comes again. It is
// judged, and paid for, for some seconds.
func TestMessageOutlivesItsSession(t *testing.T) {
	host := &wiretest.Host{}
	gossiping(t, host, func(t *testing.T, _ *bed.Net, a *running, h libhost.Host, _ network.Stream, _ *ear) {
		n := a.node.Load()
		from := n.p2p.P2P().Network().ConnsToPeer(h.ID())[0]
		from.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(n.p2p.P2P().Network().ConnsToPeer(h.ID())); got != 0 {
			t.Fatalf("%d connections are left", got)
		}
		judge := func(data []byte) chain.Action { return n.validate(context.Background(), from, a.names.Block, data) }
		good := codec.AppendGossipBlock(nil, wiretest.BlockOf(1, 100))
		if got := judge(good); got != chain.Accept {
			t.Errorf("a block that came before the session's end: %v, want accept", got)
		}
		if got := len(host.Checked()); got != 1 {
			t.Errorf("%d messages were judged, want 1", got)
		}
		if got := judge([]byte("nonsense")); got != chain.Reject {
			t.Errorf("nonsense that came before the session's end: %v, want reject", got)
		}
		o := offended(t, a, peer.BadEncoding)
		if o.Session == nil || o.Session.Peer().ID != peer.ID(h.ID().String()) {
			t.Errorf("charged is %+v, want the session that has ended", o)
		}
		time.Sleep(book.PastTime)
		if got := judge(good); got != chain.Ignore {
			t.Errorf("a block that comes long after the session's end: %v, want ignore", got)
		}
		if got := len(wiretest.Reports[wire.Closed](a.host)); got != 1 {
			t.Errorf("%d sessions were closed, want 1", got)
		}
	})
}
