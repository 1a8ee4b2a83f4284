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
