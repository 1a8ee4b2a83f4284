package swarm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// Threat row Z-07: a peer that only keeps its session alive is kept as long as
// there is room, at no charge; in a full table it is the first to go.
func TestIdlePeersStayUntilTheTableIsFull(t *testing.T) {
	w := newWorld(t, 7)
	u := w.unit("me", "1.0.0.1:1000", Config{MaxPeers: 100, MaxInbound: 60}, memory{})
	const busy, idle = 40, 20
	names := map[peer.ID]sid{}
	call := func(name string, i int) {
		t.Helper()
		s, why := u.call(peer.ID(name), fmt.Sprintf("%d.%d.0.1:4001", 11+i, i))
		if why != peer.OK {
			t.Fatalf("%s is refused: %s", name, why)
		}
		names[peer.ID(name)] = s
		w.run(time.Second)
	}
	for i := range busy {
		call(fmt.Sprintf("busy%d", i), i)
	}
	for i := range idle {
		call(fmt.Sprintf("idle%d", i), busy+i)
	}
	for range 12 * 60 {
		for i := range busy {
			u.step(inUseful{ID: peer.ID(fmt.Sprintf("busy%d", i)), Note: Usefulness{Blocks: 1}})
		}
		w.run(time.Minute)
	}
	for id := range names {
		if _, ok := u.c.byID[id]; !ok {
			t.Errorf("%s was let go though there is room", id)
		}
	}
	const callers = 16 // four of the idle may be protected by the rank of their prefix
	for i := range callers {
		call(fmt.Sprintf("new%d", i), busy+idle+i)
	}
	gone := 0
	for id := range names {
		if _, ok := u.c.byID[id]; ok {
			continue
		}
		gone++
		if !strings.HasPrefix(string(id), "idle") {
			t.Errorf("%s was let go before all the idle", id)
		}
	}
	if gone != callers {
		t.Errorf("%d sessions were let go for %d callers", gone, callers)
	}
	if got := eventsOf[Offended](u); len(got) > 0 {
		t.Errorf("charged: %+v", got)
	}
	for _, c := range eventsOf[Closed](u) {
		if c.Reason != peer.Useless {
			t.Errorf("%s was closed: %s", c.ID, c.Reason)
		}
	}
}
