package devp2p

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// What is told is compared with where others see us, each IP version for itself.
func TestWhatIsToldIsHeldAgainstWhereWeAreSeen(t *testing.T) {
	ip := netip.MustParseAddr
	for _, tt := range []struct {
		name        string
		told        []netip.Addr
		four, six   netip.Addr
		wrong, seen string
	}{
		{"nothing told", nil, ip("7.7.7.7"), netip.Addr{}, "", ""},
		{"nobody said", []netip.Addr{ip("9.9.9.9")}, netip.Addr{}, netip.Addr{}, "", ""},
		{"the same", []netip.Addr{ip("7.7.7.7")}, ip("7.7.7.7"), netip.Addr{}, "", ""},
		{"another", []netip.Addr{ip("9.9.9.9")}, ip("7.7.7.7"), netip.Addr{}, "9.9.9.9", "7.7.7.7"},
		{"one of two", []netip.Addr{ip("9.9.9.9"), ip("7.7.7.7")}, ip("7.7.7.7"), netip.Addr{}, "", ""},
		{"the other IP version", []netip.Addr{ip("2a00::1")}, ip("7.7.7.7"), netip.Addr{}, "", ""},
		{"both, one wrong", []netip.Addr{ip("7.7.7.7"), ip("2a00::1")}, ip("7.7.7.7"), ip("2a00::2"), "2a00::1", "2a00::2"},
	} {
		m, ok := mistold(tt.told, func(four bool) (netip.Addr, int) {
			if four {
				return tt.four, 3
			}
			return tt.six, 3
		})
		if ok != (tt.wrong != "") || ok && (m.Told.String() != tt.wrong || m.Seen.String() != tt.seen || m.By != 3) {
			t.Errorf("%s: %+v, %v, want %s seen at %s", tt.name, m, ok, tt.wrong, tt.seen)
		}
	}
}

// A node that advertises an address at which the nodes of discovery do not see it
// says so, once.
func TestAWrongAdvertisedAddressIsNoticed(t *testing.T) {
	var boot []string
	for i := range 3 {
		w, _ := onLoopbackAt(t, uint64(11+i), fmt.Sprintf("127.%d.0.1", 41+i), Discovery{}, nil, nil)
		boot = append(boot, w.Record())
	}
	for _, tt := range []struct {
		advertise string
		wrong     bool
	}{{"203.0.113.7:30303", true}, {"127.78.0.1:30303", false}} {
		var log bytes.Buffer
		a, _ := onLoopbackAt(t, 21, "127.78.0.1", Discovery{BootnodesV4: boot, BootnodesV5: boot, CountLoopback: true},
			[]netip.AddrPort{netip.MustParseAddrPort(tt.advertise)}, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))
		seen := netip.Addr{}
		for late := time.Now().Add(2 * time.Minute); !seen.IsValid() && time.Now().Before(late); {
			round, end := context.WithTimeout(t.Context(), time.Second)
			err := a.Discover(round)
			end()
			if err != nil {
				t.Fatal(err)
			}
			seen, _ = a.node.Load().finder.pair.SeenAs(true)
		}
		if seen.String() != "127.78.0.1" {
			t.Fatalf("advertising %s: after two minutes others see the node at %v", tt.advertise, seen)
		}
		for range 2 {
			a.node.Load().checkTold()
		}
		m, ok := a.Mistold()
		if ok != tt.wrong || ok && (m.Told.String() != "203.0.113.7" || m.Seen != seen || m.By != 3) {
			t.Errorf("advertising %s: %+v, %v", tt.advertise, m, ok)
		}
		if got := strings.Count(log.String(), "at another address than it tells"); got != map[bool]int{true: 1}[tt.wrong] {
			t.Errorf("advertising %s: the log says %q", tt.advertise, log.String())
		}
	}
}

// onLoopbackAt runs a wire on an address of the machine's own.
func onLoopbackAt(t *testing.T, i uint64, at string, d Discovery, advertise []netip.AddrPort, log *slog.Logger) (*Wire, *wiretest.Host) {
	t.Helper()
	d.Listen = netip.AddrPortFrom(netip.MustParseAddr(at), 0)
	w, err := New(Config{
		NetworkID: 5, Key: keyFor(i), Listen: at + ":0", Forks: eth.NewForks(testGenesis, 0, nil, nil), Advertise: advertise, Logger: log,
		Status:    func() chain.Status { return chain.Status{Genesis: testGenesis} },
		Discovery: d,
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &wiretest.Host{}
	wiretest.Start(t, w, h)
	return w, h
}
