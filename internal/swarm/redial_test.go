package swarm

import (
	"net/netip"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// Where peers throttle whoever comes again soon, no address is dialled sooner,
// be it configured, lost or of the book; nobody throttles loopback.
func TestAnAddressIsNotRedialledTooSoon(t *testing.T) {
	const least = 35 * time.Second
	for _, tt := range []struct {
		name, ep string
		host     *remote
		cfg      Config
		soon     bool // it may be
	}{
		{"refused", "2.0.0.2:30303", &remote{id: "b", refuse: peer.TooManyPeers}, Config{}, false},
		{"lost at once", "2.0.0.2:30303", &remote{id: "b", life: func() time.Duration { return time.Second }}, Config{}, false},
		{"on loopback", "127.0.0.2:30303", &remote{id: "b", refuse: peer.TooManyPeers}, Config{}, true},
		{"on counted loopback", "127.0.0.2:30303", &remote{id: "b", refuse: peer.TooManyPeers}, Config{CountLoopback: true}, false},
	} {
		for _, static := range []bool{true, false} {
			w := newWorld(t, 7)
			w.hosts[netip.MustParseAddrPort(tt.ep)] = tt.host
			cfg := tt.cfg
			cfg.MinRedial, cfg.AllowPrivate = least, true
			if at := []peer.Addr{{Scheme: "test", Text: tt.ep}}; static {
				cfg.Static = at
			} else {
				cfg.Seeds = at
			}
			w.unit("a", "1.0.0.1:30303", cfg, memory{})
			w.run(20 * time.Minute)
			var last time.Time
			shortest := time.Hour
			for _, d := range w.dials {
				if !last.IsZero() {
					shortest = min(shortest, d.at.Sub(last))
				}
				last = d.at
			}
			if len(w.dials) < 3 || (shortest < least) != tt.soon {
				t.Errorf("%s, static %v: %d dials in 20 min, %v apart at least", tt.name, static, len(w.dials), shortest)
			}
		}
	}
}

// A peer that lets us go as useless, or says that we have no protocol in common,
// may only be short of places: it is dialled again after a pause, and nobody is
// alarmed. Where we see ourselves that it is foreign, it is left alone for a day.
func TestAPeersWordThatWeAreOfNoUseIsChurn(t *testing.T) {
	for _, tt := range []struct {
		why   peer.Reason
		churn bool
	}{{peer.Useless, true}, {peer.NoCommonProto, true}, {peer.WrongGenesis, false}} {
		for _, static := range []bool{true, false} {
			w := newWorld(t, 7)
			w.hosts[netip.MustParseAddrPort("2.0.0.2:30303")] = &remote{id: "b", refuse: tt.why}
			var cfg Config
			if at := []peer.Addr{addrOf("b", "2.0.0.2:30303")}; static {
				cfg.Static = at
			} else {
				cfg.Seeds = at
			}
			u := w.unit("a", "1.0.0.1:30303", cfg, memory{})
			w.run(20 * time.Minute)
			alarms := 0
			for _, e := range u.events {
				if a, ok := e.(Alarm); ok && a.Kind == "foreign-peer-configured" {
					alarms++
				}
			}
			if (len(w.dials) > 5) != tt.churn || (alarms == 0) != tt.churn {
				t.Errorf("%s, static %v: %d dials and %d alarms in 20 min", tt.why, static, len(w.dials), alarms)
			}
		}
	}
}

// Where who is trusted calls by itself, it is let in though the table is full,
// and neither dialled nor called missing; elsewhere it is dialled for ever.
func TestATrustedPeerIsLetInNotDialled(t *testing.T) {
	for _, calls := range []bool{true, false} {
		w := newWorld(t, 7)
		w.hosts[netip.MustParseAddrPort("2.0.0.2:30303")] = &remote{id: "b"}
		trusted := addrOf("b", "2.0.0.2:30303")
		u := w.unit("a", "1.0.0.1:30303", Config{Trusted: []peer.Addr{trusted}, TrustedCall: calls, MaxPeers: 3, MaxInbound: 2, Grace: time.Hour}, memory{})
		w.run(20 * time.Minute)
		if (len(w.dials) == 0) != calls {
			t.Errorf("trusted calls %v: %d dials", calls, len(w.dials))
		}
		if f := u.c.outlook(w.now).Fixed; len(f) != 1 || f[0].Wanted == calls {
			t.Errorf("trusted calls %v: it looks like %+v", calls, f)
		}
		if !calls {
			continue
		}
		for i, from := range []string{"11.0.0.1:1", "12.0.0.1:1"} {
			if _, why := u.call(peer.ID([]string{"x", "y"}[i]), from); why != peer.OK {
				t.Fatalf("caller %d is refused: %s", i, why)
			}
		}
		if _, why := u.call("z", "13.0.0.1:1"); why == peer.OK {
			t.Fatal("the table is not full: nothing is shown by that")
		}
		if _, why := u.call("b", "2.0.0.2:1"); why != peer.OK {
			t.Errorf("a trusted peer is refused by a full table: %s", why)
		}
	}
}
