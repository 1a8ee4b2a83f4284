package ontology

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Reserved peers are exact addresses, and names that are looked up beside what
// is going on: nobody else is let in, dialled, or waits for DNS.
func TestOnlyReservedPeersAreMet(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		var lookups atomic.Int32
		a := start(t, n, 1, nil, func(c *Config) {
			c.ReservedOnly, c.Reserved = true, []string{ipOf(9).String(), "slow.example", "gone.example"}
			c.Resolve = func(ctx context.Context, name string) ([]netip.Addr, error) {
				lookups.Add(1)
				if name == "gone.example" {
					return nil, errors.New("no such name")
				}
				time.Sleep(5 * time.Second)
				return []netip.Addr{ipOf(20)}, ctx.Err()
			}
		})
		call(t, n, ipOf(9), portOf(1)).shakes(nil) // while DNS is asked
		until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
		refused := func(what string, from netip.Addr) {
			t.Helper()
			before := len(wiretest.Reports[wire.Refused](a.host))
			if took := call(t, n, from, portOf(1)).closed(); took > time.Second {
				t.Errorf("%s was refused after %v", what, took)
			}
			until(t, a.host, "a refusal", func() bool {
				all := wiretest.Reports[wire.Refused](a.host)
				return len(all) == before+1 && all[before].Reason == peer.NetRestricted
			})
		}
		refused("an address that begins like a reserved one", ipOf(90))
		refused("a name that is not found yet", ipOf(20))
		time.Sleep(10 * time.Second)
		p := call(t, n, ipOf(20), portOf(1))
		p.nonce = 43
		p.shakes(nil)
		until(t, a.host, "the named peer's session", func() bool { return len(a.host.Sessions()) == 2 })

		start(t, n, 2, nil, nil)
		at, _ := a.ParseAddr(portOf(2))
		if err := a.Dial(t.Context(), at); !errors.Is(err, peer.Refuse(peer.NetRestricted)) {
			t.Errorf("a stranger is dialled: %v", err)
		}
		time.Sleep(3 * resolveEvery)
		if got := lookups.Load(); got < 6 || got > 8 {
			t.Errorf("%d look-ups in three minutes of two names", got)
		}
	})
}

// A peers.recent brings addresses at start, and keeps those that have stayed
// above those that it had; before anybody has stayed it is left as it is.
func TestRecentPeersAreKept(t *testing.T) {
	for old, want := range map[string]string{
		`["203.0.113.77:20338",""]`:                        `["203.0.113.9:20338","203.0.113.77:20338"]`,
		`{"299":["203.0.113.77:20338"],"7":["1.2.3.4:5"]}`: `{"299":["203.0.113.9:20338","203.0.113.77:20338"],"7":["1.2.3.4:5"]}`,
		``:       `{"299":["203.0.113.9:20338"]}`,
		`broken`: `broken`,
	} {
		path := filepath.Join(t.TempDir(), "peers.recent")
		if old != "" {
			if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		inBed(t, func(t *testing.T, n *bed.Net) {
			a := start(t, n, 1, nil, func(c *Config) { c.RecentFile = path })
			time.Sleep(3 * recentEvery)
			if got, _ := os.ReadFile(path); string(got) != old {
				t.Errorf("over %q, with no peer: %s", old, got)
			}
			p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
			for range 50 {
				time.Sleep(3 * time.Second)
				p.send(codec.CmdPing, codec.Ping{}.Append(nil))
			}
			late := call(t, n, ipOf(10), portOf(1))
			late.nonce = 43
			late.shakes(nil)
			for range 12 {
				time.Sleep(3 * time.Second)
				p.send(codec.CmdPing, codec.Ping{}.Append(nil))
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != want {
				t.Errorf("over %q: %s, %v", old, got, err)
			}
			found := wiretest.Reports[wire.Found](a.host)
			if known := old != "" && old != "broken"; known != (len(found) == 1 && found[0].Source == wire.SourceRecent && found[0].Peers[0].Addrs[0].Text == "203.0.113.77:20338") {
				t.Errorf("over %q: found %+v", old, found)
			}
		})
	}
}

func TestOlderRecentPeersAreBounded(t *testing.T) {
	var before []netip.AddrPort
	for i := range uint16(3 * recentKept) {
		before = append(before, netip.AddrPortFrom(ipOf(9), i+1))
	}
	now := []netip.AddrPort{before[7], netip.AddrPortFrom(ipOf(10), 1)}
	got := above(now, before)
	if len(got) != recentKept || !slices.Equal(got[:3], []netip.AddrPort{now[0], now[1], before[0]}) || slices.Index(got[1:], before[7]) >= 0 {
		t.Errorf("%d addresses: %v", len(got), got[:3])
	}
	if got := above(before, now); len(got) != len(before) {
		t.Errorf("%d of %d of now", len(got), len(before))
	}
}
