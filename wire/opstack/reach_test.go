package opstack

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// What is advertised is held against what is listened on, before the start.
func TestAdvertiseSettingsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name, listen, advertise, bad, odd string
	}{
		{"as it is", "/ip4/203.0.113.5/tcp/9222", "/ip4/203.0.113.5/tcp/9222", "", ""},
		{"everywhere", "/ip4/0.0.0.0/tcp/9222", "/ip4/203.0.113.5/tcp/9222", "", ""},
		{"behind a router", "/ip4/10.1.2.3/tcp/9222", "/ip4/203.0.113.5/tcp/9222", "", ""},
		{"a name", "/ip4/0.0.0.0/tcp/9222", "/dns/node.example.org/tcp/9222", "", ""},
		{"any port", "/ip4/0.0.0.0/tcp/0", "/ip4/203.0.113.5/tcp/9222", "", ""},
		{"both versions", "/ip6/::/tcp/9222", "/ip4/203.0.113.5/tcp/9222", "", ""},
		{"the default", "", "/ip4/203.0.113.5/tcp/9222", "", ""},
		{"on loopback", "/ip4/127.0.0.1/tcp/9222", "/ip4/127.0.0.1/tcp/9222", "", ""},
		{"only loopback", "/ip4/127.0.0.1/tcp/9222", "/ip4/203.0.113.5/tcp/9222", "you advertise /ip4/203.0.113.5/tcp/9222 but listen on /ip4/127.0.0.1/tcp/9222, which nobody else", ""},
		{"told loopback", "/ip4/0.0.0.0/tcp/9222", "/ip4/127.0.0.1/tcp/9222", "nobody else can dial the first", ""},
		{"another version", "/ip4/0.0.0.0/tcp/9222", "/ip6/2001:db8::1/tcp/9222", "of the other IP version", ""},
		{"nothing", "none", "/ip4/203.0.113.5/tcp/9222", "but listen on nothing", ""},
		{"another port", "/ip4/0.0.0.0/tcp/9222", "/ip4/203.0.113.5/tcp/9223", "", "but listen on /ip4/0.0.0.0/tcp/9222, another port"},
		{"another address", "/ip4/203.0.113.6/tcp/9222", "/ip4/203.0.113.5/tcp/9222", "", "but listen on /ip4/203.0.113.6/tcp/9222, another address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{Rules: rulesOf(t), Status: func() chain.Status { return chain.Status{} }, Advertise: []string{tt.advertise}, NoListen: tt.listen == "none"}
			if tt.listen != "" && !c.NoListen {
				c.Listen = []string{tt.listen}
			}
			_, err := New(c)
			if tt.bad == "" && err != nil || tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)) {
				t.Errorf("New = %v, want %q", err, tt.bad)
			}
			listen, advertise, err := c.addrs()
			if err != nil {
				t.Fatal(err)
			}
			if _, odd := reach(listen, advertise); strings.Join(odd, "; ") != tt.odd && (tt.odd == "" || !strings.Contains(strings.Join(odd, "; "), tt.odd)) {
				t.Errorf("warnings %q, want %q", odd, tt.odd)
			}
		})
	}
}

// A mapping that only a router can make right is told in the log.
func TestOddAdvertiseSettingsAreToldAtTheStart(t *testing.T) {
	inBubble(t, func(p *place) {
		var log strings.Builder
		p.wire(1, &wiretest.Host{}, func(c *Config) {
			c.Advertise, c.Logger = []string{"/ip4/8.9.9.9/tcp/4001"}, slog.New(slog.NewTextHandler(&log, nil))
		})
		synctest.Wait() // until it has logged
		if !strings.Contains(log.String(), "you advertise /ip4/8.9.9.9/tcp/4001 but listen on /ip4/8.8.0.1/tcp/4001, another address") {
			t.Errorf("the log is %s", log.String())
		}
	})
}

func TestMeshesAreBounded(t *testing.T) {
	for name, m := range map[string]Mesh{
		"none of its own": {}, "wide": {D: 20, Lo: 15, Hi: 40, Lazy: 30}, "small": {D: 6, Lo: 4, Hi: 7, Lazy: 1},
	} {
		if err := m.validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		w := onLoopback(t, &wiretest.Host{}, func(c *Config) { c.DiscoverOn, c.Mesh = "", m })
		if got := params(w.cfg.Mesh); m.D != 0 && (got.D != m.D || got.Dlo != m.Lo || got.Dhi != m.Hi || got.Dlazy != m.Lazy) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, m := range map[string]Mesh{"upside down": {D: 6, Lo: 7}, "too small": {D: 5, Lo: 5}, "too large": {Hi: 101}, "below none": {Lazy: -1}} {
		if err := m.validate(); err == nil {
			t.Errorf("%s: %+v is taken", name, m)
		}
	}
}

// Threat H-13: nothing is sent in plain text unless that is asked for, and then
// to nobody but on loopback; a peer that wants no encryption otherwise has no
// session.
func TestPlaintextStaysOnLoopback(t *testing.T) {
	ha, hb, hc := &wiretest.Host{}, &wiretest.Host{}, &wiretest.Host{}
	plain := func(c *Config) { c.DiscoverOn, c.Plaintext = "", true }
	a, b := onLoopback(t, ha, plain), onLoopback(t, hb, plain)
	c := onLoopback(t, hc, func(c *Config) { c.DiscoverOn = "" })
	if err := a.Dial(t.Context(), b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	conns := a.node.Load().p2p.P2P().Network().Conns()
	if len(conns) != 1 || conns[0].ConnState().Security != "/plaintext/2.0.0" {
		t.Errorf("connections %v", conns)
	}
	for _, pair := range [][2]*Wire{{a, c}, {c, a}} {
		if err := pair[0].Dial(t.Context(), pair[1].Addrs()[0]); err == nil {
			t.Error("one side encrypts, the other does not, and they met")
		}
	}
	if len(hc.Opened()) > 0 || len(ha.Sessions()) != 1 {
		t.Error("a session with the one that encrypts")
	}
	away, err := a.ParseAddr("/ip4/192.0.2.1/tcp/9222/p2p/" + string(c.Self()))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Dial(t.Context(), away); !errors.Is(err, peer.Refuse(peer.AddrUnwanted)) {
		t.Errorf("a dial away from loopback = %v, want %s", err, peer.AddrUnwanted)
	}
	ep, _, _ := a.Locate(away)
	if why := (judge{a.node.Load()}).Admit(wire.Link{Direction: peer.Inbound, Endpoint: ep}); why != peer.AddrUnwanted {
		t.Errorf("a link from elsewhere: %q, want %q", why, peer.AddrUnwanted)
	}
	for name, change := range map[string]func(*Config){
		"listens everywhere": func(c *Config) { c.Listen = nil },
		"listens on a name":  func(c *Config) { c.Listen = []string{"/dns4/localhost/tcp/1"} },
		"with TLS":           func(c *Config) { c.TLS = true },
	} {
		cfg := Config{Rules: rulesOf(t), Status: func() chain.Status { return chain.Status{} }, Plaintext: true, Listen: []string{"/ip4/127.0.0.1/tcp/0"}}
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "plaintext") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
