package devp2p

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/p2p/nat"

	"github.com/starlingp2p/starling/sim/bed"
)

// router is one that no test machine has; its calls are noted with their times.
type router struct {
	ip    net.IP
	extra int   // by how much an outer port differs
	fails error // of AddMapping, guarded by mu
	slow  time.Duration

	mu    sync.Mutex
	under int // calls of AddMapping under way
	most  int
	calls []string
	began time.Time
}

func (r *router) count(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.under += n
	r.most = max(r.most, r.under)
}

func (r *router) setFails(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = err
}

func (r *router) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf("%v ", time.Since(r.began).Round(time.Minute))+fmt.Sprintf(format, args...))
}

func (r *router) AddMapping(protocol string, outer, inner int, _ string, life time.Duration) (uint16, error) {
	r.count(1)
	time.Sleep(r.slow)
	r.count(-1)
	r.mu.Lock()
	fails := r.fails
	r.mu.Unlock()
	if fails != nil {
		r.note("no %s %d", protocol, inner)
		return 0, fails
	}
	if outer == inner {
		outer += r.extra
	}
	r.note("map %s %d to %d for %v", protocol, outer, inner, life)
	return uint16(outer), nil
}

func (r *router) DeleteMapping(protocol string, outer, inner int) error {
	r.note("unmap %s %d to %d", protocol, outer, inner)
	return nil
}

func (r *router) ExternalIP() (net.IP, error) {
	if r.ip == nil {
		return nil, errors.New("no answer")
	}
	return r.ip, nil
}

func (r *router) String() string { return "a router of a test" }

// Ports are mapped at the start, again before the mapping ends, and unmapped at
// the end; what others are told is the outer address. A router that cannot help
// is asked again, and said once. Threat row E-03's loopback is never mapped.
func TestPortsAreMapped(t *testing.T) {
	refused := errors.New("refused")
	for _, tt := range []struct {
		name      string
		router    *router
		listen    string
		advertise []netip.AddrPort
		at        string // what Addrs says at the end
		calls     []string
		warns     string
	}{
		{
			"mapped", &router{ip: net.IPv4(7, 7, 7, 7), extra: 1}, "8.8.0.1:30303", nil, "7.7.7.7:30304",
			[]string{"0s map TCP 30304 to 30303 for 10m0s", "8m0s map TCP 30304 to 30303 for 10m0s", "16m0s map TCP 30304 to 30303 for 10m0s", "19m0s unmap TCP 30304 to 30303"},
			"",
		},
		{"refused", &router{ip: net.IPv4(7, 7, 7, 7), fails: refused}, "8.8.0.1:30303", nil, "8.8.0.1:30303", []string{"0s no TCP 30303", "5m0s no TCP 30303", "10m0s no TCP 30303", "15m0s no TCP 30303"}, "maps no port"},
		{"behind another", &router{ip: net.IPv4(192, 168, 1, 1)}, "8.8.0.1:30303", nil, "8.8.0.1:30303", nil, "private address itself"},
		{"a provider's", &router{ip: net.IPv4(100, 70, 1, 1)}, "8.8.0.1:30303", nil, "8.8.0.1:30303", nil, "private address itself"},
		{"no address", &router{}, "8.8.0.1:30303", nil, "8.8.0.1:30303", nil, "tells an address"},
		{"not what is advertised", &router{ip: net.IPv4(7, 7, 7, 7)}, "8.8.0.1:30303", []netip.AddrPort{netip.MustParseAddrPort("9.9.9.9:1")}, "9.9.9.9:1", nil, "another address than what is advertised"},
		{"loopback", &router{ip: net.IPv4(7, 7, 7, 7)}, "127.0.0.1:30303", nil, "127.0.0.1:30303", []string{}, ""},
		{"for ever", &router{ip: net.IPv4(7, 7, 7, 7), slow: time.Hour}, "8.8.0.1:30303", nil, "8.8.0.1:30303", nil, "maps no port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				var log bytes.Buffer
				tt.router.began = time.Now()
				a := start(t, n, 1, nil, func(c *Config) {
					c.Router, c.Listen, c.Advertise = tt.router, tt.listen, tt.advertise
					c.Net = n.Host(netip.MustParseAddrPort(tt.listen).Addr())
					c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
				})
				time.Sleep(19 * time.Minute)
				if got := a.Addrs()[0].Text; !strings.Contains(got, "@"+tt.at) {
					t.Errorf("others are told %s, want %s", got, tt.at)
				}
				a.stop(t)
				if tt.calls != nil && !slices.Equal(tt.router.calls, tt.calls) {
					t.Errorf("the router was asked\n%q, want\n%q", tt.router.calls, tt.calls)
				}
				if got := strings.Count(log.String(), "\n"); tt.warns == "" && got > 0 || tt.warns != "" && (got != 1 || !strings.Contains(log.String(), tt.warns)) {
					t.Errorf("the log says %q, want %q once", log.String(), tt.warns)
				}
				time.Sleep(2 * time.Hour) // for calls under way to end
			})
		})
	}
}

// What a router no longer maps is no longer told to others; when it maps again,
// it is.
func TestALostMappingIsNotTold(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		r := &router{ip: net.IPv4(7, 7, 7, 7), extra: 1, began: time.Now()}
		var log bytes.Buffer
		a := start(t, n, 1, nil, func(c *Config) {
			c.Router, c.Listen, c.Net = r, "8.8.0.1:30303", n.Host(netip.MustParseAddr("8.8.0.1"))
			c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		told := func(what, want string) {
			t.Helper()
			if got := a.Addrs()[0].Text; !strings.Contains(got, "@"+want) {
				t.Errorf("%s others are told %s, want %s", what, got, want)
			}
		}
		time.Sleep(time.Minute)
		told("mapped,", "7.7.7.7:30304")
		r.setFails(errors.New("rebooted"))
		time.Sleep(8 * time.Minute)
		told("not mapped any more,", "8.8.0.1:30303")
		r.setFails(nil)
		time.Sleep(5 * time.Minute)
		told("mapped again,", "7.7.7.7:30304")
		a.stop(t)
		if !strings.Contains(log.String(), "no port for us any more") {
			t.Errorf("the log says %q", log.String())
		}
	})
}

// A router that does not answer has one call under way at most, and the node does
// not wait for that when it stops; what it maps so late ends by itself.
func TestAStopDoesNotWaitForARouter(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		r := &router{ip: net.IPv4(7, 7, 7, 7), slow: 40 * time.Minute, began: time.Now()}
		a := start(t, n, 1, nil, func(c *Config) {
			c.Router, c.Listen, c.Net = r, "8.8.0.1:30303", n.Host(netip.MustParseAddr("8.8.0.1"))
		})
		time.Sleep(30 * time.Minute)
		began := time.Now()
		a.stop(t)
		if took := time.Since(began); took > routerStop {
			t.Errorf("the stop took %v", took)
		}
		time.Sleep(2 * time.Hour)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.most != 1 || r.under != 0 || len(r.calls) != 1 {
			t.Errorf("%d calls at once, %d still, the router was asked %q", r.most, r.under, r.calls)
		}
	})
}

// The operator's word counts, in a private network too.
func TestAGivenAddressIsTakenAsItIs(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		var log bytes.Buffer
		a := start(t, n, 1, nil, func(c *Config) {
			c.Router, c.Listen = nat.ExtIP(net.IPv4(192, 168, 1, 5)), "8.8.0.1:30303"
			c.Net = n.Host(netip.MustParseAddr("8.8.0.1"))
			c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		time.Sleep(time.Minute)
		if got := a.Addrs()[0].Text; !strings.Contains(got, "@192.168.1.5:30303") {
			t.Errorf("others are told %s", got)
		}
		a.stop(t)
		if log.Len() > 0 {
			t.Errorf("the log says %q", log.String())
		}
	})
}

func TestNATIsReadAsGethDoes(t *testing.T) {
	for spec, want := range map[string]bool{"": false, "none": false, "any": true, "upnp": true, "pmp": true, "pmp:192.168.0.1": true, "extip:7.7.7.7": true} {
		if r, err := ParseNAT(spec); err != nil || (r != nil) != want {
			t.Errorf("ParseNAT(%q) = %v, %v", spec, r, err)
		}
	}
	for _, spec := range []string{"magic", "extip", "extip:me"} {
		if _, err := ParseNAT(spec); err == nil || !strings.Contains(err.Error(), "want any") {
			t.Errorf("ParseNAT(%q) = %v", spec, err)
		}
	}
}
