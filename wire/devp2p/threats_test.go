package devp2p

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Threat H-08: dials of both sides, begun at any distance in time and with
// either side the lower identity, leave one link and charge nobody.
func TestSimultaneousDialsOverManySeeds(t *testing.T) {
	seeds := uint64(1000)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		bubble(t, func(t *testing.T, n *bed.Net) {
			n.SetLink(hostAddr(2*seed+1), hostAddr(2*seed+2), bed.Link{Latency: time.Duration(1+seed%40) * time.Millisecond})
			a, b := start(t, n, 2*seed+1, nil), start(t, n, 2*seed+2, nil)
			late := time.Duration(seed%19) * 7 * time.Millisecond
			if e1, e2 := wiretest.DialEachOther(t, a, b, a.host, b.host, late); t.Failed() {
				t.Logf("seed %d: dials: %v; %v", seed, e1, e2)
			}
			a.stop(t)
			b.stop(t)
		})
	}
}

// Threat H-01: links that say nothing hold the places for handshakes for 5 s at
// most, and an honest peer gets in.
func TestSilentLinksGiveTheirPlacesBack(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil, func(c *Config) { c.MaxPending = 10 }), start(t, n, 2, nil)
		_, host, _, _ := parts(a.Addrs()[0])
		var silent []net.Conn
		for i := range uint64(30) {
			c, err := n.Host(hostAddr(100+i)).Dial(t.Context(), "tcp", net.JoinHostPort(host, "30303"))
			if err != nil {
				t.Fatal(err)
			}
			silent = append(silent, c)
		}
		time.Sleep(16 * time.Second)
		if got := len(wiretest.Reports[wire.Refused](a.host)); got != 30 {
			t.Errorf("%d links were refused, want 30", got)
		}
		join(t, b, a)
		for _, c := range silent {
			c.Close()
		}
		a.stop(t)
		b.stop(t)
	})
}

// Threat H-11: a Hello with a thousand capabilities costs its sender.
func TestTooManyCapabilitiesAreCharged(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil)
		b := dialBare(t, n, 2, a)
		var caps []base.Cap
		for i := range uint(200) {
			caps = append(caps, base.Cap{Name: "a", Version: i})
		}
		b.send(t, base.HelloMsg, b.hello(caps...).Append(nil))
		b.drain(t)
		o := wiretest.Reports[wire.Offended](a.host)
		if len(o) != 1 || o[0].Severity != peer.High || o[0].Link.ID != IDOf(&keyFor(2).PublicKey) {
			t.Errorf("charges = %+v, want one of severity high", o)
		}
		b.Close()
		a.stop(t)
	})
}

func TestHelloOfAnotherIdentityIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil)
		b := dialBare(t, n, 2, a)
		b.key = 3 // which it cannot have proven
		b.send(t, base.HelloMsg, b.hello(base.Cap{Name: "eth", Version: 69}).Append(nil))
		b.read(t) // its Hello, which comes first
		b.codec.Establish(maxMessage, false)
		if why, told := b.drain(t); !told || why != base.UnexpectedIdentity {
			t.Errorf("told %v, %v", why, told)
		}
		if r := wiretest.Reports[wire.Refused](a.host); len(r) != 1 || r[0].Reason != peer.WrongIdentity {
			t.Errorf("Refused = %+v", r)
		}
		b.Close()
		a.stop(t)
	})
}

func TestPeersWithoutACommonProtocolAreUseless(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil)
		for i, caps := range [][]base.Cap{nil, {{Name: "eth", Version: 66}}, {{Name: "les", Version: 4}}} {
			b := dialBare(t, n, uint64(2+i), a)
			b.greet(t, caps...)
			if why, told := b.drain(t); !told || why != base.UselessPeer {
				t.Errorf("%v: told %v, %v", caps, why, told)
			}
			b.Close()
		}
		if o := offenses(a); len(o) > 0 {
			t.Errorf("charged with %v", o)
		}
		a.stop(t)
	})
}

// Threat H-05: each difference of a Status is refused for what it is, without a
// charge.
func TestStatusIsJudged(t *testing.T) {
	for name, tt := range map[string]struct {
		v      eth.Version
		change func(*eth.Status)
		want   peer.Reason
	}{
		"network":        {eth.V69, func(s *eth.Status) { s.Network++ }, peer.WrongNetwork},
		"genesis":        {eth.V69, func(s *eth.Status) { s.Genesis[0]++ }, peer.WrongGenesis},
		"fork id":        {eth.V69, func(s *eth.Status) { s.Fork.Sum[0]++ }, peer.WrongNetwork},
		"fork id of 68":  {eth.V68, func(s *eth.Status) { s.Fork.Sum[0]++ }, peer.WrongNetwork},
		"version":        {eth.V69, func(s *eth.Status) { s.Version = 70 }, peer.NoCommonProto},
		"range":          {eth.V70, func(s *eth.Status) { s.Earliest = s.Latest + 1 }, peer.HandshakeFailed},
		"hash of a head": {eth.V70, func(s *eth.Status) { s.Head = chain.Hash{} }, peer.HandshakeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				a := start(t, n, 1, nil)
				b := dialBare(t, n, 2, a)
				b.greet(t, base.Cap{Name: "eth", Version: uint(tt.v)})
				s := status(tt.v, a)
				tt.change(&s)
				b.send(t, b.offset, s.Append(nil, tt.v))
				if _, told := b.drain(t); !told {
					t.Error("it was not told why")
				}
				if r := wiretest.Reports[wire.Refused](a.host); len(r) != 1 || r[0].Reason != tt.want {
					t.Errorf("Refused = %+v, want %s", r, tt.want)
				}
				if o := offenses(a); len(o) > 0 {
					t.Errorf("charged with %v", o)
				}
				b.Close()
				a.stop(t)
			})
		})
	}
}

// Threat L-08: answers to nothing are dropped and charged, and do not end the
// session; threat M-09: unknown messages are charged, and a hundred end it.
func TestUnaskedAndUnknownMessagesAreCharged(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := besiege(t, n, eth.V69, nil)
		for i := range uint64(25) {
			b.send(t, b.offset+eth.BlockHeadersMsg, eth.BlockHeaders{ID: 1000 + i}.Append(nil))
		}
		time.Sleep(time.Second)
		if o := offenses(a); o[peer.Unasked] != 25 || len(a.host.Sessions()) != 1 {
			t.Fatalf("charges = %v, %d sessions", o, len(a.host.Sessions()))
		}
		if all := wiretest.Reports[wire.Offended](a.host); all[0].Severity != peer.None || all[24].Severity != peer.High {
			t.Errorf("severities are %v first and %v at last", all[0].Severity, all[24].Severity)
		}
		go b.drain(t)
		for range 101 {
			b.send(t, 99, nil)
		}
		closedWith(t, a, peer.BadScore)
		if o := offenses(a); o[peer.UnknownMessage] != 101 {
			t.Errorf("charges = %v", o)
		}
		b.Close()
		a.stop(t)
	})
}

// Threat M-07: a malformed message ends the session and is charged,
// whatever its kind.
func TestMalformedMessagesEndTheSession(t *testing.T) {
	for _, v := range []eth.Version{eth.V68, eth.V69, eth.V70} {
		for code := range uint64(v.Length()) {
			if ethTypes[code] == "" || code == eth.StatusMsg ||
				!v.HasDifficulty() && (code == eth.NewBlockMsg || code == eth.NewBlockHashesMsg) ||
				v.HasDifficulty() && code == eth.BlockRangeUpdateMsg {
				continue
			}
			t.Run(v.String()+" "+ethTypes[code], func(t *testing.T) {
				bubble(t, func(t *testing.T, n *bed.Net) {
					a, b := besiege(t, n, v, nil)
					go b.drain(t)
					b.send(t, b.offset+code, []byte{0xc2, 0x81, 0x00})
					closedWith(t, a, peer.BadScore)
					if o := offenses(a); o[peer.BadEncoding] != 1 {
						t.Errorf("charges = %v", o)
					}
					b.Close()
					a.stop(t)
				})
			})
		}
	}
}

// Threat R-06 (CVE-2023-40591: each ping of a flood had a goroutine): of a flood
// of pings one a second is answered, the rest charged, and none starts anything.
func TestPingFloodsAreCharged(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := besiege(t, n, eth.V69, nil)
		before := runtime.NumGoroutine()
		for range 60 {
			b.send(t, base.PingMsg, []byte{0xc0})
		}
		if now := runtime.NumGoroutine(); now > before+10 {
			t.Errorf("%d goroutines became %d", before, now)
		}
		time.Sleep(time.Second)
		if o := offenses(a); o[peer.PingFlood] < 40 || len(a.host.Sessions()) != 1 {
			t.Errorf("charges = %v", o)
		}
		charged(t, a, peer.PingFlood, peer.Low, offenses(a)[peer.PingFlood])
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// Threats R-01 and M-05: requests beyond those that wait are dropped and
// charged; impossible ones ask the Host for no more than the limits.
func TestRequestFloodsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		release := make(chan struct{})
		var most int
		h := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
			if g, ok := r.(wire.GetHeaders); ok {
				most = max(most, g.Range.Count)
				if g.Range.Skip < 0 || g.Range.Count < 1 {
					t.Errorf("the Host is asked for %+v", g.Range)
				}
			}
			<-release
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}}
		a, b := besiege(t, n, eth.V69, h)
		for i := range uint64(100) {
			b.send(t, b.offset+eth.GetBlockHeadersMsg, eth.GetBlockHeaders{ID: i, Origin: chain.Ref{Number: 1}, Amount: 1 << 63, Skip: 1 << 63}.Append(nil))
		}
		time.Sleep(time.Second)
		taken := 100 - offenses(a)[peer.RequestFlood]
		if taken < 64 || taken > 65 { // one may be under way already
			t.Errorf("%d requests were taken in, want 64", taken)
		}
		close(release)
		last := uint64(0)
		for i := range taken {
			f, err := b.read(t)
			if err != nil || f.Code != b.offset+eth.BlockHeadersMsg {
				t.Fatalf("answer %d = %+v, %v", i, f, err)
			}
			id, _ := eth.RequestID(f.Payload)
			if i > 0 && id <= last { // those that were dropped leave gaps
				t.Fatalf("answer %d is that to request %d, after %d: they come in order", i, id, last)
			}
			last = id
		}
		if most != 1 {
			t.Errorf("the Host was asked for %d headers, want 1: the second lies past any chain", most)
		}
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// Threat M-12: a handler that panics costs the peer a charge.
func TestPanicsInTheHostDoNotEndTheNode(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		h := &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) { panic("boom") }}
		a, b := besiege(t, n, eth.V69, h)
		b.send(t, b.offset+eth.GetBlockBodiesMsg, eth.GetBlockBodies{ID: 1, Hashes: []chain.Hash{{1}}}.Append(nil))
		time.Sleep(time.Second)
		if o := offenses(a); o[peer.BrokeHandler] != 1 {
			t.Errorf("charges = %v", o)
		}
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// Threat M-01: random bytes in place of frames end the link, charge nobody,
// and store nothing.
func TestBytesFlippedInASessionEndIt(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := besiege(t, n, eth.V69, nil)
		junk := make([]byte, 4096)
		rand.Read(junk)
		b.raw.Write(junk)
		closedWith(t, a, peer.LinkLost)
		if o := offenses(a); len(o) > 0 {
			t.Errorf("charged with %v", o)
		}
		b.Close()
		a.stop(t)
	})
}

// Threat T-03: announcements over the limit of a message are dropped and
// charged by the thousand.
func TestAnnouncementFloodsAreCharged(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		var got int
		h := &wiretest.Host{OnCheck: func(_ context.Context, _ wire.Session, m wire.Message) chain.Verdict {
			got += len(m.(wire.TxAnnounce).Txs)
			return chain.Accepted()
		}}
		a, b := besiege(t, n, eth.V69, h)
		m := eth.NewPooledTransactionHashes{Txs: make([]eth.Announced, 10_000)}
		b.send(t, b.offset+eth.NewPooledTransactionHashesMsg, m.Append(nil))
		time.Sleep(time.Second)
		o := wiretest.Reports[wire.Offended](a.host)
		if got != eth.MaxAnnounced || len(o) != 1 || o[0].Severity != peer.Severity(-1-5) {
			t.Errorf("%d came in, charges = %+v", got, o)
		}
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// Threat H-07: a link to ourselves is refused, by whatever address.
func TestSelfIsRefusedByAnyAddress(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil)
		to, err := a.ParseAddr(enodeAt(1, "8.8.9.9", 30303))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Dial(t.Context(), to); fmt.Sprint(err) != fmt.Sprint(peer.Refuse(peer.Self)) {
			t.Errorf("Dial = %v", err)
		}
		// The same key on another machine: an inbound link of our own identity.
		b := dialBare(t, n, 1, a)
		if f, err := b.read(t); err != nil || f.Code != base.DisconnectMsg {
			t.Errorf("Read = %+v, %v", f, err)
		}
		b.Close()
		time.Sleep(3 * time.Second)
		if r := wiretest.Reports[wire.Refused](a.host); len(r) != 1 || r[0].Reason != peer.Self {
			t.Errorf("Refused = %+v", r)
		}
		a.stop(t)
	})
}

// Threat H-07 (CVE-2025-54604: a node that was led to itself, over and over,
// filled its disk with log lines): what comes of it is in the reports, which the
// node rations, and no line of the wire's log is for the operator.
func TestLinksToOurselvesFillNoLog(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		var lines bytes.Buffer
		a := start(t, n, 1, nil, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&lines, nil)) })
		synctest.Wait() // it has said that it listens
		before := lines.Len()
		for range 50 {
			b := dialBare(t, n, 1, a)
			b.drain(t)
			b.Close()
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if r := wiretest.Reports[wire.Refused](a.host); len(r) != 50 || r[49].Reason != peer.Self {
			t.Errorf("%d links were refused, the last as %+v", len(r), r[len(r)-1])
		}
		if lines.Len() > before {
			t.Errorf("the log has %s", lines.Bytes()[before:])
		}
		charged(t, a, "", peer.None, 0)
		a.stop(t)
	})
}
