package swarm

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// Threat S-11: contradictory limits are named with value and bound, all at once.
func TestConfigReportsEveryProblem(t *testing.T) {
	_, err := New(Config{
		MaxPeers: 10, MaxInbound: 9, Reserved: 2, LowWater: 11, MinScore: 5, FlushEvery: time.Hour,
		NetRestrict: []netip.Prefix{{}}, Static: []peer.Addr{{}},
	})
	if err == nil {
		t.Fatal("New took it")
	}
	for _, want := range []string{
		"Dial is missing",
		"MaxInbound is 9, but MaxPeers 10 less Reserved 2 less the outbound floor 4 leaves 4",
		"LowWater is 11, want 0 to 10",
		"MinScore is 5, want -100 to 0",
		"FlushEvery is 1h0m0s, want 100ms to 10s",
		"NetRestrict entry 0",
		"Static entry 0",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
}

func TestZeroConfigIsValidForEveryTableSize(t *testing.T) {
	for n := range 200 {
		if _, err := New(Config{Dial: noDial, MaxPeers: n}); err != nil {
			t.Errorf("MaxPeers %d: %v", n, err)
		}
	}
}

func TestAllOffIsExactlyOneWarning(t *testing.T) {
	for all, want := range map[bool]int{true: 1, false: 0} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			dials := 0
			s, err := New(Config{
				Dial:     func(context.Context, peer.Addr) error { dials++; return nil },
				Discover: func(context.Context) error { t.Error("discovery is off"); return nil },
				Static:   []peer.Addr{at("9.9.9.9:1")},
				NoDial:   all, NoListen: true, NoDiscovery: true,
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := s.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(log.String(), "level=WARN"); got != want {
				t.Errorf("%d warnings, want %d:\n%s", got, want, &log)
			}
			if all && dials != 0 {
				t.Errorf("%d dials with dialling off", dials)
			}
		})
	}
}
