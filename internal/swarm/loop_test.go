package swarm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// start runs a swarm of its own until the test ends.
func start(t *testing.T, cfg Config) *Swarm {
	t.Helper()
	if cfg.Endpoint == nil {
		cfg.Endpoint = endpointOfAddr
	}
	cfg.Seed = 1
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return s
}

// Pains: static peers with DNS names are looked up anew for every attempt, and
// net_restrict holds for what the name turns out to be.
func TestStaticNamesAreLookedUpForEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looked, dialled, wrong atomic.Int32
		start(t, Config{
			Static: []peer.Addr{at("s@seed.example:30303")},
			Resolve: func(context.Context, peer.Addr) ([]peer.Addr, error) {
				n := looked.Add(1)
				if n == 1 {
					return nil, errors.New("no such host")
				}
				return []peer.Addr{at("s@10.9.9.9:1"), at(fmt.Sprintf("s@2.0.0.%d:30303", n))}, nil
			},
			Dial: func(_ context.Context, a peer.Addr) error {
				dialled.Add(1)
				if want := at(fmt.Sprintf("s@2.0.0.%d:30303", looked.Load())); a != want {
					wrong.Add(1)
				}
				return errUnreachable
			},
			NetRestrict: prefixes("2.0.0.0/8"),
		})
		time.Sleep(5 * time.Minute)
		if l, d := looked.Load(), dialled.Load(); l < 5 || d != l-1 || wrong.Load() != 0 {
			t.Errorf("%d look-ups, %d dials, %d to another address", l, d, wrong.Load())
		}
	})
}

// A wire that is not listening yet costs no back-off: what was to be dialled is
// dialled once it is, requests included.
func TestDialsWaitForTheWireToListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var first atomic.Int64
		s := start(t, Config{
			Static: []peer.Addr{at("s@2.0.0.2:1")},
			Dial: func(_ context.Context, a peer.Addr) error {
				if time.Since(began) < 3*time.Second {
					return fmt.Errorf("dial: %w", wire.ErrClosed)
				}
				first.CompareAndSwap(0, int64(time.Since(began)))
				return errUnreachable
			},
		})
		if err := s.Connect(t.Context(), at("x@3.0.0.3:1")); !errors.Is(err, peer.Refuse(peer.DialFailed)) {
			t.Errorf("Connect = %v, want the outcome of a dial", err)
		}
		if got := time.Duration(first.Load()); got < 3*time.Second || got > 4*time.Second {
			t.Errorf("first dial after %v, want soon after 3 s", got)
		}
	})
}

// A dial and a discovery round that never return hold up nobody: the owner
// answers, and each ends at its deadline.
func TestStalledWorkersHoldUpNobody(t *testing.T) {
	for _, queue := range []int{-1, 1} {
		synctest.Test(t, func(t *testing.T) {
			var under atomic.Int32
			hang := func(ctx context.Context) error {
				under.Add(1)
				defer under.Add(-1)
				<-ctx.Done()
				return ctx.Err()
			}
			var static []peer.Addr
			for i := range 100 {
				static = append(static, at(fmt.Sprintf("9.%d.9.9:1", i)))
			}
			s := start(t, Config{
				Queue: queue, Static: static, MaxDials: 8, KeepAlive: time.Second,
				Dial:     func(ctx context.Context, _ peer.Addr) error { return hang(ctx) },
				Discover: hang,
				Ping:     func(ctx context.Context, _ wire.Session) (time.Duration, error) { return 0, hang(ctx) },
			})
			for range 200 {
				time.Sleep(time.Second)
				if n := under.Load(); n > 10 {
					t.Fatalf("%d workers under way, want at most 8 dials, a round and a ping", n)
				}
				if err := s.Ban(t.Context(), ByPrefix(prefixes("77.0.0.0/24")[0]), time.Hour, "test"); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.Counters().Decisions; !slices.ContainsFunc(got, func(n Tally) bool {
				return n.Kind == KindDialFailed && n.Reason == peer.DialTimeout && n.Count >= 100
			}) {
				t.Errorf("decisions = %+v, want a hundred dial timeouts", got)
			}
		})
	}
}

// Reporting never blocks, whoever is stalled; what is dropped is counted, and
// the end of a session is never dropped.
func TestReportsAreBoundedAndEndsAreKept(t *testing.T) {
	for _, queue := range []int{-1, 1, 16} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(time.Millisecond)
			gate := make(chan struct{})
			var stall atomic.Bool
			b := n.join(t, "b", "2.0.0.2:30303", Config{Queue: queue, OnEvent: func(Event) {
				if stall.Load() {
					<-gate
				}
			}})
			for i := range 5 {
				a := n.join(t, peer.ID(fmt.Sprintf("a%d", i)), host(10+i, 1, 1, 1), Config{})
				if err := a.Connect(t.Context(), b.addr); err != nil {
					t.Fatal(err)
				}
			}
			links := make([]*link, 5)
			for i := range links {
				links[i] = b.session(peer.ID(fmt.Sprintf("a%d", i)))
			}
			stall.Store(true)
			b.Report(wire.Lost{ID: "x"}) // the owner is now stuck in OnEvent
			synctest.Wait()
			for range 1000 {
				b.Report(wire.Lost{ID: "x"})
				b.Report(wire.TopicChanged{ID: "x"})
			}
			// A peer cannot drown its own charge.
			b.Report(wire.Offended{Link: wire.Link{ID: "liar"}, Offense: peer.BadFrame})
			for _, l := range links {
				l.end(peer.LinkLost, true)
			}
			stall.Store(false)
			close(gate)
			synctest.Wait()
			if got := len(b.Peers()); got != 0 {
				t.Errorf("queue %d: %d sessions left, want none", queue, got)
			}
			c := b.Counters().ReportsDropped
			for _, kind := range []string{"lost", "topic-changed"} {
				if kept := 1000 - int(c[kind]); kept > max(queue, 0)+1 {
					t.Errorf("queue %d: %d reports of %s were kept", queue, kept, kind)
				}
			}
			if got := b.Score("liar"); got > -50 {
				t.Errorf("queue %d: the score is %v: the charge was lost", queue, got)
			}
		})
	}
}

// Pains: an outbound-only node keeps its peers over days of churn.
func TestOutboundOnlyNodeDoesNotDecay(t *testing.T) {
	w := newWorld(t, 5)
	addrs := w.honest(60, time.Hour)
	u := w.unit("me", "1.0.0.1:1000", Config{NoListen: true, MaxPeers: 20}, memory{})
	u.step(found(wire.SourceKademlia, "", addrs...))
	w.run(5 * time.Minute)
	for range 48 {
		w.run(30 * time.Minute)
		if n := len(u.outbound()); n < 8 {
			t.Fatalf("%d peers after %v", n, w.now.Sub(epoch))
		}
	}
}

// Pains: a node that was cut off for half a day, without seeds, comes back out
// of its book, whether its addresses were ever proven or not.
func TestNodeThatWasCutOffComesBackOutOfItsBook(t *testing.T) {
	for _, proven := range []bool{true, false} {
		w := newWorld(t, 8)
		addrs := w.honest(40, 0)
		hosts := w.hosts
		if !proven {
			w.hosts = nil
		}
		u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
		u.step(found(wire.SourceKademlia, "", addrs...))
		w.run(10 * time.Minute)
		w.hosts = nil
		for _, s := range u.outbound() {
			u.lose(s.id, peer.LinkLost)
		}
		w.run(12 * time.Hour)
		if n := u.c.book.len(); n < 35 {
			t.Errorf("proven %v: %d of 40 addresses left", proven, n)
		}
		w.hosts = hosts
		w.run(80 * time.Second)
		if n := len(u.outbound()); n < 8 {
			t.Errorf("proven %v: %d outbound sessions 80 s after the cut healed", proven, n)
		}
	}
}

// Pains: a full table does not freeze; those that deliver stay.
func TestFullTableLetsTheUselessGo(t *testing.T) {
	w := newWorld(t, 6)
	addrs := w.honest(100, 0)
	u := w.unit("me", "1.0.0.1:1000", Config{NoListen: true, MaxPeers: 9, Feelers: time.Minute}, memory{})
	u.step(found(wire.SourceKademlia, "", addrs...))
	w.run(5 * time.Minute)
	first := u.outbound()
	var useful []peer.ID
	for _, s := range first[:len(first)/2] {
		useful = append(useful, s.info.ID)
	}
	for range 240 {
		for _, id := range useful {
			u.step(inUseful{ID: id, Note: Usefulness{Blocks: 1}})
		}
		w.run(time.Minute)
	}
	kept := 0
	for _, s := range first {
		if _, ok := u.c.byID[s.info.ID]; ok {
			kept++
			continue
		}
		if slices.Contains(useful, s.info.ID) {
			t.Errorf("%s delivers and was let go", s.info.ID)
		}
	}
	if kept == len(first) {
		t.Error("after four hours the same peers are here")
	}
}

// K-rows and T-05: half an hour of churn, loss, our clock an hour off and a
// jump back, with nobody banned and everybody connected at the end.
func TestNoHonestPeerIsEverBanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(150 * time.Millisecond)
		wall := &env.SkewedWall{}
		wall.SetSkew(time.Hour)
		seed := n.join(t, "seed", "2.0.0.2:30303", Config{})
		me := n.join(t, "me", "1.0.0.1:30303", Config{Wall: wall, Seeds: []peer.Addr{seed.addr}})
		nodes := []*node{seed, me}
		for i := range 10 {
			nodes = append(nodes, n.join(t, peer.ID(fmt.Sprintf("n%d", i)), host(10+i, 0, 0, 1), Config{Seeds: []peer.Addr{me.addr}}))
		}
		for range 30 {
			for _, p := range me.Peers() {
				me.Report(wire.Skewed{Session: me.session(p.Info.ID), Skew: -time.Hour})
			}
			for i, p := range me.Peers() {
				if i%3 == 0 { // a third of the links is lost
					me.session(p.Info.ID).end(peer.LinkLost, false)
				}
			}
			time.Sleep(time.Minute)
		}
		if !me.ClockSuspect() {
			t.Error("our clock is an hour off and not suspect")
		}
		wall.SetSkew(0)
		time.Sleep(time.Minute)
		if count[ClockJumped](me) != 1 {
			t.Errorf("%d jumps, want 1", count[ClockJumped](me))
		}
		if me.ClockSuspect() {
			t.Error("the clock is right and still suspect")
		}
		time.Sleep(2 * time.Minute)
		for _, nd := range nodes {
			if k := count[Banned](nd) + count[Offended](nd); k != 0 {
				t.Errorf("%s banned or charged %d", nd.id, k)
			}
		}
		if got := len(me.Peers()); got != 11 {
			t.Errorf("%d peers at the end, want 11: %v", got, me.ids())
		}
	})
}

// Threat C-04: no goroutine for a peer, and none left behind.
func TestGoroutinesDoNotGrowWithPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		b := n.join(t, "b", "2.0.0.2:30303", Config{})
		before := runtime.NumGoroutine()
		for i := range 20 {
			if s, err := New(Config{Dial: noDial, Seed: 1}); err != nil || s == nil {
				t.Fatal(err)
			}
			a := n.join(t, peer.ID(fmt.Sprintf("a%02d", i)), host(10+i, 1, 1, 1), Config{})
			if err := a.Connect(t.Context(), b.addr); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := runtime.NumGoroutine() - before - 20; got > 15 { // one owner each; some may still be ending
			t.Errorf("%d goroutines beside the 20 owners", got)
		}
	})
}
