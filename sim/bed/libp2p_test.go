package bed

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/control"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

// node starts a go-libp2p host on the i-th host of the net. The caller closes
// it before the bubble ends.
func node(t *testing.T, n *Net, i int, want Libp2p, more ...libp2p.Option) libhost.Host {
	t.Helper()
	h, err := libp2p.New(append(Options(n.Host(host(i)), Key(uint64(i)), want), more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// eachTransport runs fn over both, in a bubble each.
func eachTransport(t *testing.T, cfg Config, fn func(t *testing.T, n *Net, want Libp2p)) {
	t.Helper()
	for name, want := range map[string]Libp2p{"light": {}, "upgraded": {Upgraded: true}} {
		t.Run(name, func(t *testing.T) {
			virtual(t, cfg, func(t *testing.T, n *Net) { fn(t, n, want) })
		})
	}
}

func TestLibp2pHostsPing(t *testing.T) {
	eachTransport(t, Config{Link: Link{Latency: 50 * time.Millisecond}}, func(t *testing.T, n *Net, want Libp2p) {
		a, b := node(t, n, 1, want), node(t, n, 2, want)
		defer a.Close()
		defer b.Close()
		start := time.Now()
		if err := a.Connect(t.Context(), AddrInfo(host(2), Key(2))); err != nil {
			t.Fatal(err)
		}
		between(t, "connect and identify", time.Since(start), 300*time.Millisecond, 400*time.Millisecond)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		res := <-ping.Ping(ctx, a, b.ID())
		if res.Error != nil {
			t.Error(res.Error)
		}
		between(t, "ping", res.RTT, 100*time.Millisecond, 100*time.Millisecond)
		if got := a.Addrs(); len(got) != 1 || !got[0].Equal(Multiaddr(host(1), 0)) {
			t.Errorf("Addrs = %v, want the host's own", got)
		}
	})
}

func TestADialIntoABlackHoleEndsWithItsHost(t *testing.T) {
	eachTransport(t, Config{}, func(t *testing.T, n *Net, want Libp2p) {
		a := node(t, n, 1, want)
		start := time.Now()
		if err := a.Connect(t.Context(), AddrInfo(host(9), Key(9))); err == nil {
			t.Error("connected to nobody")
		}
		between(t, "dial timeout", time.Since(start), 15*time.Second, 15*time.Second)
		err := make(chan error)
		go func() { err <- a.Connect(t.Context(), AddrInfo(host(8), Key(8))) }()
		time.Sleep(time.Second)
		a.Close()
		if err := <-err; err == nil {
			t.Error("connected to nobody")
		}
	})
}

func TestNamesAreResolvedInTheBed(t *testing.T) {
	virtual(t, Config{}, func(t *testing.T, n *Net) {
		a, b := node(t, n, 1, Libp2p{NoListen: true}), node(t, n, 2, Libp2p{})
		defer a.Close()
		defer b.Close()
		n.SetName("seed.example", netip.MustParseAddr("2001:db8::1"), host(2))
		to := peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{
			ma.StringCast("/dns4/nobody.example/tcp/4001"), ma.StringCast("/dns4/seed.example/tcp/4001"),
		}}
		if err := a.Connect(t.Context(), to); err != nil {
			t.Error(err)
		}
	})
}

// gater refuses one step of one direction and counts what it was asked.
type gater struct {
	refuse string
	asked  chan string // with room for all
}

func (g *gater) ask(step string) bool {
	g.asked <- step
	return step != g.refuse
}

func (g *gater) InterceptPeerDial(peer.ID) bool               { return g.ask("peer") }
func (g *gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return g.ask("addr") }
func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	return g.ask("accept " + c.RemoteMultiaddr().String()[:len("/ip4/1.2.0.1")])
}

func (g *gater) InterceptSecured(d network.Direction, _ peer.ID, _ network.ConnMultiaddrs) bool {
	return g.ask("secured " + d.String())
}

func (g *gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return g.ask("upgraded " + c.Stat().Direction.String()), 0
}

func TestTheGaterIsAskedAtEachStep(t *testing.T) {
	tests := []struct {
		side, refuse string
		connects     bool // as the dialler's Connect sees it
		asked        int
	}{
		{"dialler", "peer", false, 1},
		{"dialler", "addr", false, 2},
		{"dialler", "secured Outbound", false, 3},
		{"dialler", "upgraded Outbound", false, 4},
		{"dialler", "", true, 4},
		{"listener", "accept /ip4/1.2.0.1", false, 1},
		{"listener", "secured Inbound", true, 2}, // the trap: the dialler has finished its handshake
		{"listener", "upgraded Inbound", true, 3},
		{"listener", "", true, 3},
	}
	for _, tt := range tests {
		t.Run(tt.side+" "+tt.refuse, func(t *testing.T) {
			eachTransport(t, Config{Link: Link{Latency: 10 * time.Millisecond}}, func(t *testing.T, n *Net, want Libp2p) {
				g := &gater{tt.refuse, make(chan string, 100)}
				gated := want
				gated.Gater = g
				wants := map[string]Libp2p{"dialler": want, "listener": want}
				wants[tt.side] = gated
				a, b := node(t, n, 1, wants["dialler"]), node(t, n, 2, wants["listener"])
				defer a.Close()
				defer b.Close()
				err := a.Connect(t.Context(), AddrInfo(host(2), Key(2)))
				time.Sleep(5 * time.Second)
				up := len(a.Network().Conns()) == 1 && len(b.Network().Conns()) == 1
				if up != (tt.refuse == "") {
					t.Errorf("connected = %v", up)
				}
				if light := !want.Upgraded; (err == nil) != tt.connects && (light || tt.side == "dialler") {
					t.Errorf("Connect = %v, want success %v", err, tt.connects)
				}
				if len(g.asked) != tt.asked {
					t.Errorf("the gater was asked %d times, want %d", len(g.asked), tt.asked)
				}
			})
		})
	}
}

// limited returns a resource manager with so many inbound connections.
func limited(t *testing.T, inbound int) network.ResourceManager {
	t.Helper()
	system := rcmgr.ResourceLimits{ConnsInbound: rcmgr.LimitVal(inbound)}
	if inbound == 0 {
		system.ConnsInbound = rcmgr.BlockAllLimit
	}
	limits := rcmgr.PartialLimitConfig{System: system}.Build(rcmgr.InfiniteLimits)
	m, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// used is what the resource manager counts.
func used(m network.ResourceManager) (stat network.ScopeStat) {
	m.ViewSystem(func(s network.ResourceScope) error {
		stat = s.Stat()
		return nil
	})
	return stat
}

func TestResourcesAreCountedAndGivenBack(t *testing.T) {
	eachTransport(t, Config{Link: Link{Latency: 10 * time.Millisecond}}, func(t *testing.T, n *Net, want Libp2p) {
		ra, rb := limited(t, 10), limited(t, 1)
		wa, wb := want, want
		wa.Resources, wb.Resources = ra, rb
		a, b, c := node(t, n, 1, wa), node(t, n, 2, wb), node(t, n, 3, want)
		defer c.Close()
		if err := a.Connect(t.Context(), AddrInfo(host(2), Key(2))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if x, y := used(ra), used(rb); x.NumConnsOutbound != 1 || x.NumFD != 1 || y.NumConnsInbound != 1 {
			t.Errorf("dialler uses %+v, listener %+v", x, y)
		}
		rb.ViewPeer(a.ID(), func(s network.PeerScope) error {
			if got := s.Stat().NumConnsInbound; got != 1 {
				t.Errorf("the peer is charged with %d connections, want 1", got)
			}
			return nil
		})
		err := c.Connect(t.Context(), AddrInfo(host(2), Key(2)))
		time.Sleep(time.Second)
		if len(c.Network().Conns()) != 0 {
			t.Errorf("a second inbound connection was let in: %v", err)
		}
		n.Host(host(1)).Kill(Break)
		time.Sleep(time.Second)
		if x, y := used(ra), used(rb); x != (network.ScopeStat{}) || y.NumConnsInbound != 0 || y.NumStreamsInbound != 0 {
			t.Errorf("after the end, dialler uses %+v, listener %+v", x, y)
		}
		a.Close()
		b.Close()
	})
}

func TestKademliaFindsPeersInVirtualTime(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 50 * time.Millisecond}}, func(t *testing.T, n *Net) {
		const count = 10
		var hosts []libhost.Host
		var tables []*dht.IpfsDHT
		for i := range count {
			h := node(t, n, i, Libp2p{})
			d, err := dht.New(h, dht.Mode(dht.ModeServer), dht.ProtocolPrefix("/bed"))
			if err != nil {
				t.Fatal(err)
			}
			hosts, tables = append(hosts, h), append(tables, d)
		}
		synctest.Wait()
		for i := 1; i < count; i++ { // a line: all know the one before
			if err := hosts[i].Connect(t.Context(), AddrInfo(host(i-1), Key(uint64(i-1)))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		for _, d := range tables {
			if err := d.Bootstrap(t.Context()); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
		found, err := tables[0].FindPeer(t.Context(), hosts[count-1].ID())
		if err != nil || len(found.Addrs) == 0 {
			t.Errorf("FindPeer = %v, %v", found, err)
		}
		if k := tables[0].RoutingTable().Size(); k < count/2 {
			t.Errorf("the first knows %d peers of %d", k, count-1)
		}
		for i := range count {
			tables[i].Close()
			hosts[i].Close()
		}
	})
}

func TestBlackHoleCountersAreOff(t *testing.T) {
	virtual(t, Config{}, func(t *testing.T, n *Net) {
		a := node(t, n, 1, Libp2p{})
		defer a.Close()
		six := netip.MustParseAddr("2600::1") // public: others are not counted
		n.Host(six)
		for i := range 150 { // go-libp2p gives up on IPv6 after 100
			err := a.Connect(network.WithForceDirectDial(t.Context(), "no back-off"), AddrInfo(six, Key(uint64(i+10))))
			if err == nil || errors.Is(err, swarm.ErrDialRefusedBlackHole) {
				t.Fatalf("dial %d = %v", i, err)
			}
		}
	})
}
