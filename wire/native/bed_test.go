package native

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// inBubble runs f in virtual time on a network of links with that latency.
func inBubble(t *testing.T, latency time.Duration, f func(t *testing.T, n *bed.Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := bed.NewNet(bed.Config{Link: bed.Link{Latency: latency}})
		f(t, n)
		n.Close()
	})
}

func hostAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{8, 8, byte(i >> 8), byte(i)}) }

// inBed runs a wire on the i-th machine. The caller stops it before the bubble
// ends.
func inBed(t *testing.T, n *bed.Net, i int, h *wiretest.Host, change ...func(*Config)) *running {
	t.Helper()
	cfg := Config{
		Key: bed.Key(uint64(i)), Listen: []string{bed.Multiaddr(hostAddr(i), 0).String()}, AllowPrivate: true,
		Libp2pOptions: []libp2p.Option{bed.Bubble(n.Host(hostAddr(i)), false)},
	}
	for _, c := range change {
		c(&cfg)
	}
	if h == nil {
		h = &wiretest.Host{}
	}
	return start(t, cfg, h)
}

// libp2pIn is a bare go-libp2p host on the i-th machine: a peer that does as
// the test says. The caller closes it.
func libp2pIn(t *testing.T, n *bed.Net, i int) libhost.Host {
	t.Helper()
	h, err := libp2p.New(append(bed.Options(n.Host(hostAddr(i)), bed.Key(uint64(i)), bed.Libp2p{}), libp2p.Ping(true))...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// connect connects a bare host to a wire and waits for identify.
func connect(t *testing.T, h libhost.Host, to *running) network.Conn {
	t.Helper()
	info, err := libpeer.AddrInfoFromString(to.Addrs()[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(within(t, 10*time.Second), *info); err != nil {
		t.Fatal(err)
	}
	return h.Network().ConnsToPeer(info.ID)[0]
}

// stream opens a stream of a bare host.
func stream(t *testing.T, h libhost.Host, c network.Conn, p protocol.ID) network.Stream {
	t.Helper()
	s, err := h.NewStream(within(t, 10*time.Second), c.RemotePeer(), p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shake makes a bare host's connection a session.
func shake(t *testing.T, h libhost.Host, c network.Conn) network.Stream {
	t.Helper()
	s := stream(t, h, c, codec.StatusProtocol)
	tell(t, s, codec.Status{Version: 1, Chain: status(), Time: uint64(time.Now().UnixMilli())})
	if _, err := codec.ReadFrame(bufio.NewReader(s), codec.MaxStatus); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	return s
}

func tell(t *testing.T, s network.Stream, st codec.Status) {
	t.Helper()
	if _, err := s.Write(codec.AppendFrame(nil, codec.AppendStatus(nil, st))); err != nil {
		t.Fatal(err)
	}
}

// offended waits for a charge of that kind.
func offended(t *testing.T, r *running, want peer.Offense) wire.Offended {
	t.Helper()
	var found wire.Offended
	err := r.host.Until(within(t, time.Minute), func() bool {
		for _, o := range wiretest.Reports[wire.Offended](r.host) {
			if o.Offense == want {
				found = o
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatalf("no %s; charges: %+v", want, wiretest.Reports[wire.Offended](r.host))
	}
	return found
}

func closed(t *testing.T, r *running, why peer.Reason) {
	t.Helper()
	err := r.host.Until(within(t, 2*time.Minute), func() bool {
		c := wiretest.Reports[wire.Closed](r.host)
		return len(c) == 1 && c[0].Reason == why
	})
	if err != nil {
		t.Fatalf("Closed = %+v, want %s", wiretest.Reports[wire.Closed](r.host), why)
	}
}

func TestSimultaneousDialsOverManySeeds(t *testing.T) { // H-08
	seeds := 300
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		inBubble(t, time.Duration(1+seed%40)*time.Millisecond, func(t *testing.T, n *bed.Net) {
			a, b := inBed(t, n, 2*seed+1, nil), inBed(t, n, 2*seed+2, nil)
			// Identities differ with the seed, so each side is the lower one half
			// of the time; the second dial starts anywhere in the first's handshake.
			late := time.Duration(seed%17) * 13 * time.Millisecond
			err1, err2 := wiretest.DialEachOther(t, a, b, a.host, b.host, late)
			if t.Failed() {
				t.Logf("seed %d: dials: %v; %v; closed: %+v; %+v", seed, err1, err2, wiretest.Reports[wire.Closed](a.host), wiretest.Reports[wire.Closed](b.host))
			}
			for _, r := range []*running{a, b} {
				if n := len(r.node.Load().p2p.P2P().Network().Conns()); n != 1 {
					t.Errorf("seed %d: %d connections are left, want 1", seed, n)
				}
			}
			// Trap 4: the link that is left must carry gossip, both ways.
			time.Sleep(3 * time.Second)
			for _, r := range []*running{a, b} {
				if rc, err := r.Publish(context.Background(), wire.Consensus{Bytes: []byte(r.Self())}); err != nil || rc.Queued != 1 {
					t.Errorf("seed %d: Publish = %+v, %v", seed, rc, err)
				}
			}
			time.Sleep(time.Second)
			if len(a.host.Checked()) != 1 || len(b.host.Checked()) != 1 {
				t.Errorf("seed %d: gossip is dead", seed)
			}
			a.stop()
			b.stop()
		})
	}
}

func TestIdlePeerIsClosed(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, b := inBed(t, n, 1, nil), inBed(t, n, 2, nil)
		if err := a.Dial(within(t, 10*time.Second), b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		n.Host(hostAddr(2)).Cut(bed.Silent)
		start := time.Now()
		closed(t, a, peer.Idle)
		closed(t, b, peer.Idle)
		if took := time.Since(start); took > 61*time.Second {
			t.Errorf("the silent peer was closed after %v, want at most 60 s", took)
		}
		a.stop()
		b.stop()
	})
}

func TestTrimByTheOtherSideIsNoFault(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, h := inBed(t, n, 1, nil), libp2pIn(t, n, 2)
		c := connect(t, h, a)
		shake(t, h, c)
		c.CloseWithError(network.ConnGarbageCollected)
		closed(t, a, peer.LinkLost)
		if o := wiretest.Reports[wire.Offended](a.host); len(o) > 0 {
			t.Errorf("charged with %+v", o)
		}
		h.Close()
		a.stop()
	})
}

func TestAuxiliaryConnectionsAreFewAndShort(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a := inBed(t, n, 1, nil)
		var hosts []libhost.Host
		for i := range 40 {
			h := libp2pIn(t, n, 10+i)
			connect(t, h, a)
			hosts = append(hosts, h)
		}
		conns := func() int { return len(a.node.Load().p2p.P2P().Network().Conns()) }
		time.Sleep(12 * time.Second)
		if got := conns(); got > 16 {
			t.Errorf("%d auxiliary connections after 12 s, want at most 16", got)
		}
		time.Sleep(20 * time.Second)
		if got := conns(); got != 0 {
			t.Errorf("%d auxiliary connections after 32 s, want none", got)
		}
		if got := len(wiretest.Reports[wire.Refused](a.host)); got != 40 {
			t.Errorf("%d refusals were reported, want 40", got)
		}
		for _, h := range hosts {
			h.Close()
		}
		a.stop()
	})
}

func TestAuxiliaryConnectionCanBePromoted(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, b := inBed(t, n, 1, nil), inBed(t, n, 2, nil)
		info, _ := libpeer.AddrInfoFromString(b.Addrs()[0].Text)
		if err := a.node.Load().p2p.P2P().Connect(context.Background(), *info); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if err := b.Dial(within(t, 10*time.Second), a.Addrs()[0]); err != nil {
			t.Fatalf("Dial over the auxiliary connection: %v", err)
		}
		time.Sleep(time.Minute)
		if len(a.host.Sessions()) != 1 || len(b.host.Sessions()) != 1 {
			t.Errorf("%d and %d sessions after a minute, want 1 and 1", len(a.host.Sessions()), len(b.host.Sessions()))
		}
		a.stop()
		b.stop()
	})
}

func TestKademliaFindsPeersOfPeers(t *testing.T) {
	inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
		a, b, c := inBed(t, n, 1, nil), inBed(t, n, 2, nil), inBed(t, n, 3, nil)
		for _, r := range []*running{a, c} {
			if err := r.Dial(within(t, 10*time.Second), b.Addrs()[0]); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second) // bootstrap comes after 5 s
		if err := a.Discover(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
		var to peer.Addr
		for _, f := range wiretest.Reports[wire.Found](a.host) {
			for _, p := range f.Peers {
				if p.ID == c.Self() && f.Source == wire.SourceKademlia {
					to = p.Addrs[0]
				}
			}
		}
		if to.IsZero() {
			t.Fatalf("Kademlia did not find the peer's peer; found %+v", wiretest.Reports[wire.Found](a.host))
		}
		if err := a.Dial(within(t, 10*time.Second), to); err != nil {
			t.Fatal(err)
		}
		// A peer that does not answer any more leaves the table.
		gone := c.Self()
		a.host.Session(gone).Close(peer.Requested)
		c.stop()
		time.Sleep(2 * time.Second)
		if err := a.Dial(within(t, 10*time.Second), to); err == nil {
			t.Error("Dial to a peer that has stopped = nil")
		}
		if l := wiretest.Reports[wire.Lost](a.host); len(l) == 0 || l[0].ID != gone {
			t.Errorf("Lost = %+v, want the peer that stopped", l)
		}
		a.stop()
		b.stop()
	})
}

func TestClaimsAndClocksAreReported(t *testing.T) {
	inBubble(t, 25*time.Millisecond, func(t *testing.T, n *bed.Net) {
		var head atomic.Uint64
		head.Store(1)
		wall := skewed(-time.Hour)
		a := inBed(t, n, 1, nil)
		b := inBed(t, n, 2, nil, func(c *Config) {
			genesisStatus := status
			c.Status = func() (s statusOf) { s = genesisStatus(); s.Head.Number = head.Load(); return s }
			c.Wall = wall
		})
		if err := a.Dial(within(t, 10*time.Second), b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		if got := a.host.Opened()[0].Claims.Head.Number; got != 1 {
			t.Errorf("claimed head = %d, want 1", got)
		}
		head.Store(9)
		time.Sleep(20 * time.Second)
		if c := wiretest.Reports[wire.Claimed](a.host); len(c) != 1 || c[0].Status.Head.Number != 9 {
			t.Errorf("Claimed = %+v, want head 9, once", c)
		}
		s := wiretest.Reports[wire.Skewed](a.host)
		if len(s) == 0 || (s[len(s)-1].Skew+time.Hour).Abs() > 100*time.Millisecond {
			t.Errorf("Skewed = %+v, want an hour behind", s)
		}
		a.stop()
		b.stop()
	})
}

func TestDNSAddressesAreResolved(t *testing.T) {
	w, err := New(Config{Status: status})
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.ParseAddr(fmt.Sprintf("/dns4/seed.example.org/tcp/4001/p2p/%s", idText(7)))
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, time.Millisecond, func(t *testing.T, n *bed.Net) {
		r := inBed(t, n, 1, nil, func(c *Config) { c.Resolver = resolverOf(t, "seed.example.org", "8.8.1.2", "8.8.1.3") })
		got, err := r.Resolve(within(t, 5*time.Second), a)
		if err != nil || len(got) != 2 || got[0].Text != fmt.Sprintf("/ip4/8.8.1.2/tcp/4001/p2p/%s", idText(7)) {
			t.Errorf("Resolve = %v, %v", got, err)
		}
		other, _ := r.ParseAddr(fmt.Sprintf("/dns4/nowhere.example.org/tcp/4001/p2p/%s", idText(7)))
		if err := r.Dial(within(t, 5*time.Second), other); !isReason(err, peer.NameUnresolved) {
			t.Errorf("Dial of a name without address = %v, want %s", err, peer.NameUnresolved)
		}
		r.stop()
	})
}
