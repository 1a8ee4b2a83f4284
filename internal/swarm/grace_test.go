package swarm

import (
	"fmt"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// In a full table a new session is not let go for another before its grace is
// over; then it is as before.
func TestANewSessionIsNotLetGoInItsGrace(t *testing.T) {
	w := newWorld(t, 7)
	u := w.unit("me", "1.0.0.1:1000", Config{MaxPeers: 9, MaxInbound: 6, Grace: 30 * time.Second}, memory{})
	call := func(i int) peer.Reason {
		_, why := u.call(peer.ID(fmt.Sprintf("p%d", i)), fmt.Sprintf("%d.%d.0.1:4001", 11+i, i))
		w.run(time.Second)
		return why
	}
	for i := range 6 {
		if why := call(i); why != peer.OK {
			t.Fatalf("caller %d is refused: %s", i, why)
		}
	}
	if why := call(6); why != peer.TooManyInbound {
		t.Errorf("a caller while all are new: %q, want %q", why, peer.TooManyInbound)
	}
	w.run(31 * time.Second)
	if why := call(7); why != peer.OK {
		t.Errorf("a caller after the grace: %q", why)
	}
}
