package p2phost

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// namedConn is a connection that only knows its peer.
type namedConn struct {
	network.Conn
	id libpeer.ID
}

func (c *namedConn) RemotePeer() libpeer.ID { return c.id }

// What a peer told can be judged for some seconds after its session, also when
// it is back already; few are remembered, however many come and go.
func TestMessagesOfEndedSessionsAreJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sessionHost{bus: eventbus.NewBus(), gates: map[network.Conn]*gate{}, peers: map[libpeer.ID]network.Conn{}}
		var err error
		if s.connected, err = s.bus.Emitter(new(event.EvtPeerConnectednessChanged)); err != nil {
			t.Fatal(err)
		}
		end := func(c *namedConn) {
			s.peers[c.id] = c
			s.disconnected(c)
		}
		first, second := &namedConn{id: "a"}, &namedConn{id: "a"}
		end(first)
		if got := s.judged("a"); got != first {
			t.Errorf("judged after the end is %v, want the connection that ended", got)
		}
		if got := s.conn("a"); got != nil {
			t.Errorf("conn after the end is %v, want none", got)
		}
		s.peers["a"] = second
		if got := s.judged("a"); got != second {
			t.Errorf("judged after it came back is %v, want the new connection", got)
		}
		s.disconnected(second)
		time.Sleep(pastTime)
		if got := s.judged("a"); got != nil {
			t.Errorf("judged long after the end is %v, want none", got)
		}
		for i := range 3 * maxPast {
			end(&namedConn{id: libpeer.ID(fmt.Sprint(i))})
		}
		if len(s.past) != maxPast {
			t.Errorf("%d connections that ended are kept, want %d", len(s.past), maxPast)
		}
	})
}
