package starling

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// Threat G-04: what is too old when it comes is free, up to twenty a minute.
func TestStaleMessagesAreFreeUpToTwentyAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStaleCounts()
		for minute := range 3 {
			floods := 0
			for range 30 {
				if s.flood("late") {
					floods++
				}
				time.Sleep(time.Second)
			}
			if floods != 10 {
				t.Errorf("minute %d: %d of 30 were too many, want 10", minute, floods)
			}
			time.Sleep(30 * time.Second)
		}
		for i := range 3 * stalePeers {
			if s.flood(peer.ID(fmt.Sprint(i))) {
				t.Fatal("the first one is too many")
			}
		}
		if len(s.since) > stalePeers || len(s.order) > stalePeers {
			t.Errorf("%d peers are remembered, want at most %d", len(s.since), stalePeers)
		}
	})
}
