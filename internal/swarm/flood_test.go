package swarm

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Reports that come more often than the core may tick do not keep it from
// ticking. Two hundred a second are what busy gossip makes.
func TestReportsDoNotHoldUpTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lifted atomic.Bool
		s := start(t, Config{
			Dial: func(context.Context, peer.Addr) error { return errUnreachable },
			OnEvent: func(ev Event) {
				if u, ok := ev.(Unbanned); ok && u.Auto {
					lifted.Store(true)
				}
			},
		})
		if err := s.Ban(t.Context(), Target{Prefix: netip.MustParsePrefix("2.0.0.9/32")}, 10*time.Second, ""); err != nil {
			t.Fatal(err)
		}
		for range 60 * 200 {
			s.Report(wire.TopicChanged{ID: "x"})
			time.Sleep(5 * time.Millisecond)
		}
		if !lifted.Load() {
			t.Error("a ban of ten seconds is in force after a minute of reports")
		}
	})
}

// Whoever reports faster than the owner works does not keep it from answering:
// here there is a report for each that is taken.
func TestAnEndlessFloodOfReportsHoldsUpNobody(t *testing.T) {
	const most = 3_000_000
	var (
		s       *Swarm
		n       atomic.Int64
		ready   = make(chan struct{})
		flowing = make(chan struct{})
		asked   atomic.Bool
	)
	s = start(t, Config{Dial: func(context.Context, peer.Addr) error { return errUnreachable }, OnEvent: func(ev Event) {
		if _, ok := ev.(TopicChanged); !ok || asked.Load() {
			return
		}
		<-ready
		switch i := n.Add(1); {
		case i == 100:
			close(flowing)
		case i >= most:
			return
		}
		s.Report(wire.TopicChanged{ID: "x"})
	}})
	close(ready)
	s.Report(wire.TopicChanged{ID: "x"})
	<-flowing
	if err := s.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	asked.Store(true)
	if n.Load() >= most {
		t.Errorf("the owner answered after %d reports, when there were no more", most)
	}
}
