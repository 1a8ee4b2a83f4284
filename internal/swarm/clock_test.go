package swarm

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func pingAlways(context.Context, wire.Session) (time.Duration, error) { return time.Millisecond, nil }

// Threat T-05: three peers in three prefixes that disagree the same way make
// our own clock suspect, unless as many agree; it clears again.
func TestClockIsSuspectWhenThreePrefixesDisagreeTheSameWay(t *testing.T) {
	h := time.Hour
	tests := []struct {
		name  string
		eps   []string
		skews []time.Duration
		want  bool
	}{
		{"three in three", []string{"2.0.0.1:1", "3.0.0.1:1", "4.0.0.1:1"}, []time.Duration{h, h, h}, true},
		{"behind", []string{"2.0.0.1:1", "3.0.0.1:1", "4.0.0.1:1"}, []time.Duration{-h, -11 * time.Second, -h}, true},
		{"two prefixes", []string{"2.0.0.1:1", "3.0.0.1:1", "3.0.0.2:1"}, []time.Duration{h, h, h}, false},
		{"two peers", []string{"2.0.0.1:1", "3.0.0.1:1"}, []time.Duration{h, h}, false},
		{"not the same way", []string{"2.0.0.1:1", "3.0.0.1:1", "4.0.0.1:1"}, []time.Duration{h, h, -h}, false},
		{"small", []string{"2.0.0.1:1", "3.0.0.1:1", "4.0.0.1:1"}, []time.Duration{9 * time.Second, 9 * time.Second, 9 * time.Second}, false},
		{"as many agree", []string{"2.0.0.1:1", "3.0.0.1:1", "4.0.0.1:1", "5.0.0.1:1", "6.0.0.1:1", "7.0.0.1:1"}, []time.Duration{h, h, h, 0, 0, 0}, false},
		{"one machine", []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, []time.Duration{h, h, h}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1)
			u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
			var sids []sid
			for i, ep := range tt.eps {
				s, why := u.call(peer.ID(fmt.Sprintf("p%d", i)), ep)
				if why != peer.OK {
					t.Fatal(why)
				}
				sids = append(sids, s)
				u.step(inSkewed{Sid: s, Skew: tt.skews[i]})
			}
			if got := u.c.clock.suspect; got != tt.want {
				t.Errorf("suspect = %v, want %v", got, tt.want)
			}
			if ev := eventsOf[ClockSuspect](u); tt.want && (len(ev) != 1 || !ev[0].On || ev[0].Skew.Abs() < 11*time.Second) {
				t.Errorf("events = %+v", ev)
			}
			for _, s := range sids {
				u.step(inSkewed{Sid: s, Skew: time.Second})
			}
			if u.c.clock.suspect {
				t.Error("still suspect when all agree")
			}
		})
	}
}

// Threat T-06: a jump of the wall clock, or a process that stood still, is
// found at the next tick; every session is checked and silence is no fault.
func TestJumpChecksSessionsAndForgivesSilence(t *testing.T) {
	for _, how := range []string{"wall ahead", "wall back", "stood still"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, 2)
			u := w.unit("me", "1.0.0.1:1000", Config{Ping: pingAlways, KeepAlive: time.Hour}, memory{})
			a, _ := u.call("a", "2.0.0.1:1")
			b, _ := u.call("b", "3.0.0.1:1")
			w.run(time.Minute)
			u.events = nil
			switch how {
			case "wall ahead":
				u.skew = 8 * time.Hour
			case "wall back":
				u.skew = -time.Hour
			case "stood still":
				u.gen++ // the tick that was due is lost
				w.run(8 * time.Hour)
				u.step(inTick{Wall: w.now})
			}
			w.run(5 * time.Second)
			if n := len(eventsOf[ClockJumped](u)); n != 1 {
				t.Fatalf("%d jumps seen within 5 s, want 1", n)
			}
			for _, s := range []sid{a, b} {
				if !u.c.sessions[s].pinging {
					t.Errorf("session %d is not being checked", s)
				}
				for range 20 {
					u.step(inOffended{Sid: s, Offense: peer.NoAnswer})
				}
			}
			if n := len(eventsOf[Offended](u)) + len(eventsOf[Banned](u)); n != 0 {
				t.Errorf("%d charges for silence", n)
			}
			w.run(2 * time.Minute)
			u.step(inOffended{Sid: a, Offense: peer.NoAnswer})
			if n := len(eventsOf[Offended](u)); n != 1 {
				t.Errorf("%d charges for silence two minutes later, want 1", n)
			}
		})
	}
}

// Two missed keep-alives end a session; that is no fault, and the peer is
// wanted back.
func TestKeepAliveEndsASilentSessionWithoutCharge(t *testing.T) {
	w := newWorld(t, 3)
	u := w.unit("me", "1.0.0.1:1000", Config{Ping: pingAlways}, memory{})
	s, _ := u.call("a", "2.0.0.1:1")
	w.run(time.Minute)
	u.step(inPong{Sid: s})
	if u.c.sessions[s] == nil {
		t.Fatal("one miss ended the session")
	}
	u.step(inPong{Sid: s, OK: true, RTT: time.Millisecond})
	u.step(inPong{Sid: s})
	u.step(inPong{Sid: s})
	if u.c.sessions[s] != nil {
		t.Fatal("two misses did not end the session")
	}
	if len(u.c.board.by) != 0 {
		t.Error("silence was charged")
	}
	if ev := eventsOf[Closed](u); len(ev) != 1 || ev[0].Reason != peer.Idle {
		t.Errorf("events = %+v", ev)
	}
}
