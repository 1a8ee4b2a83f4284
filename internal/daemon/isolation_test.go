package daemon

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/rpc"
)

// steps is how often the node's owners were at work.
func (s *served) steps() (n uint64) {
	for _, l := range s.node.node.Client().Counters().Loops {
		for _, c := range l.Steps.Counts {
			n += c
		}
	}
	return n
}

// during counts the owners' steps while f runs, and what a node alone may take
// in that time by itself: its own clock, and looks at what is not a snapshot,
// which are answered from one that is a second old.
func (s *served) during(f func()) (steps, own uint64) {
	began, before := time.Now(), s.steps()
	f()
	return s.steps() - before, 40 + 20*uint64(time.Since(began)/time.Second+1)
}

// However much somebody asks, the node's owners do nothing for it: reads come
// from snapshots, and a change that is refused does not reach them. A change
// costs them a bounded number of steps. Threat rows R-09 and Z-08.
func TestCallsCauseFewStepsOfTheOwners(t *testing.T) {
	first := newConfig(t)
	cfg := follower(t, first)
	cfg.Networks[0].Seeds, cfg.Networks[0].NoDiscovery = nil, true // alone: nothing else happens
	cfg.RPC.Rate = 1 << 16
	s := serveNode(t, cfg)
	ctx := inTime(t)

	const (
		conns = 10
		each  = 200
	)
	reads := []string{}
	for _, m := range s.node.methods() {
		if !m.Write && (len(m.Params) == 0 || m.Params[0].Optional) {
			reads = append(reads, m.Name)
		}
	}
	steps, own := s.during(func() {
		var wg sync.WaitGroup
		for range conns {
			c := s.dial(t)
			wg.Go(func() {
				for i := range each {
					if err := c.Call(ctx, reads[i%len(reads)], nil); err != nil {
						t.Errorf("%s: %v", reads[i%len(reads)], err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
	if steps > own {
		t.Errorf("%d calls that read caused %d steps, want at most the node's own %d", conns*each, steps, own)
	}

	steps, own = s.during(func() {
		for i := range each {
			call := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"starling_ban","params":["192.0.2.%d",60]}`, i)
			if status, text := s.post(t, call, false); status != 401 {
				t.Fatalf("a ban without the token: %d %s", status, text)
			}
		}
	})
	if steps > own {
		t.Errorf("%d calls without authority caused %d steps, want at most the node's own %d", each, steps, own)
	}

	const most = 3 // steps for one change: the question, the change, the timer that it moves
	c := s.dial(t)
	steps, own = s.during(func() {
		for i := range each {
			if err := c.Call(ctx, "starling_ban", nil, fmt.Sprintf("192.0.2.%d", i), 60); err != nil {
				t.Fatal(err)
			}
		}
	})
	if steps < each || steps > most*each+own {
		t.Errorf("%d changes caused %d steps, want at most %d each and the node's own %d", each, steps, most, own)
	}
}

// A subscriber that reads nothing stops nobody, and other calls are answered.
// Threat row Z-08.
func TestASilentSubscriberStopsNobody(t *testing.T) {
	s := serveNode(t, newConfig(t)) // makes a block each 20 ms
	ctx := inTime(t)
	for range 20 {
		if _, err := s.dial(t).Subscribe(ctx, "starling", "events"); err != nil { // and then nothing
			t.Fatal(err)
		}
	}
	notes, err := s.dial(t).Subscribe(ctx, "starling", "heads")
	if err != nil {
		t.Fatal(err)
	}
	c := s.dial(t)
	for range 20 {
		var head HeadEvent
		if err := notes.Next(ctx, &head); err != nil {
			t.Fatal(err)
		}
		var own *rpc.Error
		if err := c.Call(ctx, "starling_block", nil, head.Number); errors.As(err, &own) {
			t.Errorf("block %d: %v", head.Number, err)
		}
	}
}
