package opstack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// withClient runs a wire and a bare host that has a session with it.
func withClient(t *testing.T, h *wiretest.Host, f func(p *place, w *Wire, client libhost.Host, id libpeer.ID)) {
	t.Helper()
	inBubble(t, func(p *place) {
		w := p.wire(1, h)
		client := p.bare(2, codec.Protocols(chainID)[0])
		f(p, w, client, p.connect(client, w, h))
	})
}

// open opens a request stream.
func (p *place) open(from libhost.Host, to libpeer.ID) network.Stream {
	p.t.Helper()
	s, err := from.NewStream(p.t.Context(), to, protocol.ID(codec.Protocols(chainID)[0]))
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// Threat M-02: a request that ends in its middle is a fault (low), at every
// length; one that never began is none.
func TestRequestsThatAreCutAreCharged(t *testing.T) {
	h := serving()
	withClient(t, h, func(p *place, _ *Wire, client libhost.Host, id libpeer.ID) {
		whole := codec.AppendRequest(nil, 1)
		for n := range whole {
			s := p.open(client, id)
			s.Write(whole[:n])
			s.CloseWrite()
			time.Sleep(time.Second)
			s.Reset()
			if got := charged(t, h, peer.TruncatedFrame, peer.Low); got != n {
				t.Fatalf("%d charges after requests of up to %d bytes", got, n)
			}
		}
	})
}

// Threat Z-01: a request that comes a byte at a time ends at its deadline, and
// costs its sender (mid); who says nothing at all is ended too, and pays nothing.
func TestARequestThatDripsInIsEnded(t *testing.T) {
	h := serving()
	withClient(t, h, func(p *place, _ *Wire, client libhost.Host, id libpeer.ID) {
		silent, s := p.open(client, id), p.open(client, id)
		silent.Write(nil)
		began := time.Now()
		for i := range codec.RequestSize {
			if _, err := s.Write([]byte{byte(i)}); err != nil {
				break
			}
			time.Sleep(5 * time.Second)
		}
		if took := time.Since(began); took > readTime+6*time.Second {
			t.Errorf("a request was awaited for %v, want %v", took, readTime)
		}
		if n := charged(t, h, peer.SlowFrame, peer.Mid); n != 1 {
			t.Errorf("%d charges, want 1", n)
		}
		if _, err := silent.Read(make([]byte, 1)); err == nil {
			t.Error("a stream without a request got an answer")
		}
	})
}

// Threat Z-02: answers that nobody reads hold memory for ten seconds, and four
// at a time; then it is given back, and others were served meanwhile.
func TestAnswersThatNobodyReadsAreGivenUp(t *testing.T) {
	tx := make([]byte, 4<<20)
	rand.Read(tx) // or it would be compressed to nothing
	e, err := codec.Draft{Version: codec.V4, Parent: chain.Ref{Number: 6}, Time: genesisTime + 14, Txs: [][]byte{tx}}.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	var made atomic.Int32
	large := signedBy(keyOf(1), e)
	h := &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
		made.Add(1)
		return wire.Blocks{Blocks: []chain.Block{large}}, nil
	}}
	withClient(t, h, func(p *place, w *Wire, client libhost.Host, id libpeer.ID) {
		honest := p.bare(3, codec.Protocols(chainID)[0])
		p.connect(honest, w, h)
		for range 20 {
			s := p.open(client, id)
			s.Write(codec.AppendRequest(nil, 7))
			s.CloseWrite() // and reads nothing
		}
		time.Sleep(2 * time.Second)
		if n := made.Load(); n > maxAnswering {
			t.Errorf("%d answers of 4 MiB are held for one peer, want %d", n, maxAnswering)
		}
		began := time.Now()
		if res, _ := p.ask(honest, id, codec.Protocols(chainID)[0], 7); res != codec.ResultOK || time.Since(began) > 2*time.Second {
			t.Errorf("who reads got %d after %v", res, time.Since(began))
		}
		time.Sleep(2 * time.Minute)
		release, err := w.node.Load().budget.Take(p.t.Context(), int(w.node.Load().budget.Size()))
		if err != nil {
			t.Fatalf("the memory was not given back: %v", err)
		}
		release()
	})
}

// Threat Z-06: of ten thousand streams 64 are held, and the rest is charged
// (mid).
func TestStreamsThatAreLeftOpenAreBounded(t *testing.T) {
	h := serving()
	withClient(t, h, func(p *place, w *Wire, client libhost.Host, id libpeer.ID) {
		for range 10_000 {
			s, err := client.NewStream(p.t.Context(), id, protocol.ID(codec.Protocols(chainID)[0]))
			if err != nil {
				continue
			}
			s.Write([]byte{1})
		}
		time.Sleep(time.Second)
		held := 0
		for _, c := range w.node.Load().p2p.P2P().Network().ConnsToPeer(client.ID()) {
			for _, s := range c.GetStreams() {
				if _, ok := codec.ProtocolChain(string(s.Protocol())); ok {
					held++
				}
			}
		}
		if held > maxStreams {
			t.Errorf("%d streams are held, want %d", held, maxStreams)
		}
		n := 0
		for _, o := range wiretest.Reports[wire.Offended](h) {
			if o.Offense == peer.StreamFlood && o.Offense.Severity() == peer.Mid {
				n++
			}
		}
		if n == 0 {
			t.Errorf("charges: %v, want %s", offenses(h), peer.StreamFlood)
		}
	})
}

// Threat R-02: a flood from fifty identities of one prefix gets what five of
// its peers may have, and somebody elsewhere is served as before. (The node
// admits five of a prefix; the wire does not count on it.)
func TestAFloodFromManyIdentitiesKeepsNobodyWaiting(t *testing.T) {
	inBubble(t, func(p *place) {
		h := serving()
		w := p.wire(1, h)
		name := codec.Protocols(chainID)[0]
		honest := p.bare(400, name) // in another /24
		id := p.connect(honest, w, h)
		p95 := func() time.Duration {
			var took []time.Duration
			for range 15 {
				time.Sleep(250 * time.Millisecond)
				began := time.Now()
				if res, _ := p.ask(honest, id, name, 1); res != codec.ResultOK {
					t.Errorf("the honest peer got %d", res)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			return took[len(took)*95/100]
		}
		base := p95()
		var served atomic.Int32
		began := time.Now()
		for i := range 50 {
			x := p.bare(2+i, name)
			p.connect(x, w, h)
			for range 60 {
				go func() {
					s, err := x.NewStream(context.Background(), id, protocol.ID(name))
					if err != nil {
						return
					}
					s.Write(codec.AppendRequest(nil, 1))
					s.CloseWrite()
					if res, _, err := codec.ReadAnswer(s, func(bool) codec.Version { return codec.V4 }); err == nil && res == codec.ResultOK {
						served.Add(1)
					}
					s.Reset()
				}()
			}
		}
		if got := p95(); got > 2*base {
			t.Errorf("the honest peer's p95 is %v beside the flood, %v without it", got, base)
		}
		for _, o := range wiretest.Reports[wire.Offended](h) {
			if o.Session.Peer().ID == peer.ID(honest.ID().String()) {
				t.Errorf("the honest peer was charged with %s", o.Offense)
			}
		}
		time.Sleep(30 * time.Second) // the last answers
		w5 := prefixPeers * (32 + 8*int(earlyTime.Seconds()+time.Since(began).Seconds()))
		if n := int(served.Load()); n < prefixPeers*32 || n > w5 {
			t.Errorf("the prefix was served %d of 3000 blocks, want %d to %d", n, prefixPeers*32, w5)
		}
	})
}

// Threat R-06: pings faster than one a second cost their sender (low); op-node's
// pace, one in three minutes, does not.
func TestPingFloodsAreCharged(t *testing.T) {
	h := serving()
	withClient(t, h, func(p *place, w *Wire, client libhost.Host, id libpeer.ID) {
		for range 3 {
			ctx, stop := context.WithTimeout(p.t.Context(), 10*time.Second)
			if r := <-ping.Ping(ctx, client, id); r.Error != nil {
				t.Errorf("an honest ping: %v", r.Error)
			}
			stop()
			time.Sleep(pingEvery)
		}
		if got := offenses(h); len(got) > 0 {
			t.Fatalf("charged with %v for honest pings", got)
		}
		s, err := client.NewStream(p.t.Context(), id, ping.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		for range 100 {
			if _, err := s.Write(make([]byte, 32)); err != nil {
				break
			}
		}
		p.until("a charge", func() bool { return len(offenses(h)) > 0 }, h)
		charged(t, h, peer.PingFlood, peer.Low)
	})
}

// Threat M-09: streams of protocols that we do not speak are declined, and cost
// nothing.
func TestStrangeProtocolsAreDeclined(t *testing.T) {
	h := serving()
	withClient(t, h, func(p *place, _ *Wire, client libhost.Host, id libpeer.ID) {
		for i := range 200 {
			name := protocol.ID(fmt.Sprintf("/opstack/req/payload_by_number/%d/%d", chainID, 1+i))
			if s, err := client.NewStream(p.t.Context(), id, name); err == nil {
				s.Reset()
				t.Fatalf("%s was agreed on", name)
			}
		}
		if got := offenses(h); len(got) > 0 || len(h.Sessions()) != 1 {
			t.Errorf("charged with %v; %d sessions", got, len(h.Sessions()))
		}
	})
}

// Threats M-11 and H-11: what a peer says it is is cut and made plain; three
// thousand protocols are more than anybody speaks (high), or no session.
func TestWhatAPeerSaysOfItselfIsBounded(t *testing.T) {
	for name, count := range map[string]int{"few": 1, "many": 300, "far too many": 3000} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(p *place) {
				h := &wiretest.Host{}
				w := p.wire(1, h)
				b, err := libp2p.New(append(bed.Options(p.net.Host(ipOf(2)), bed.Key(2), bed.Libp2p{}), libp2p.UserAgent("evil\x1b[31m\x00\xff\n"+strings.Repeat("a", 1000)))...)
				if err != nil {
					t.Fatal(err)
				}
				p.end = append(p.end, func() { b.Close() })
				b.SetStreamHandler(protocol.ID(codec.Protocols(chainID)[0]), func(s network.Stream) { s.Reset() })
				for i := range count {
					b.SetStreamHandler(protocol.ID(fmt.Sprintf("/p/%d", i)), func(s network.Stream) { s.Reset() })
				}
				info, err := libpeer.AddrInfoFromString(w.Addrs()[0].Text)
				if err != nil {
					t.Fatal(err)
				}
				if err := b.Connect(p.t.Context(), *info); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Second)
				for _, s := range h.Sessions() {
					if a := s.Peer().Agent; len(a) > 300 || strings.ContainsFunc(a, func(r rune) bool { return r < ' ' || r == 0xfffd }) || len(s.Peer().Protocols) > 64 {
						t.Errorf("agent %q, %d protocols", a, len(s.Peer().Protocols))
					}
				}
				switch got := offenses(h); {
				case count == 1 && (len(got) > 0 || len(h.Sessions()) != 1):
					t.Errorf("charged with %v; %d sessions", got, len(h.Sessions()))
				case count == 300:
					charged(t, h, peer.ProtocolFlood, peer.High)
				case count == 3000 && len(h.Sessions()) > 0 && len(got) == 0:
					t.Error("a session with who speaks three thousand protocols")
				}
			})
		})
	}
}

// Threat H-04: an identity key that is costly to check gives no session.
func TestStrangeIdentitiesAreRefused(t *testing.T) {
	h := &wiretest.Host{}
	w := onLoopback(t, h, func(c *Config) { c.DiscoverOn = "" })
	key, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	info, err := libpeer.AddrInfoFromString(w.Addrs()[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	b.Connect(t.Context(), *info) // it may seem to go well: we end it at once
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := h.Until(ctx, func() bool {
		return slices.ContainsFunc(wiretest.Reports[wire.Refused](h), func(r wire.Refused) bool { return r.Reason == peer.KeyType })
	}); err != nil {
		t.Errorf("refusals %+v, want %s", wiretest.Reports[wire.Refused](h), peer.KeyType)
	}
	if len(h.Opened()) > 0 || len(offenses(h)) > 0 {
		t.Error("a session, or a charge")
	}
}

// Threats M-06 and M-13: bits that flip on the way end the link, at nobody's
// charge; what arrives is what was sent, and the next dial succeeds.
func TestFlippedBitsEndTheLink(t *testing.T) {
	inBubble(t, func(p *place) {
		upgraded := func(i int) func(*Config) {
			return func(c *Config) { c.Libp2pOptions = []libp2p.Option{bed.Bubble(p.net.Host(ipOf(i)), true)} }
		}
		ha, hb := serving(), serving()
		a, b := p.wire(1, ha, upgraded(1)), p.wire(2, hb, upgraded(2))
		asked, ok := 0, 0
		for i := range 30 {
			if len(ha.Sessions()) == 0 {
				a.Dial(p.t.Context(), b.Addrs()[0]) // it may fail while bits flip
			}
			share := []float64{0, 0.2, 1}[i%3]
			p.net.Corrupt(ipOf(1), ipOf(2), share)
			p.net.Corrupt(ipOf(2), ipOf(1), share)
			for _, s := range ha.Sessions() {
				ctx, stop := context.WithTimeout(p.t.Context(), 3*time.Second)
				resp, err := s.Request(ctx, wire.GetBlocks{Range: chain.Range{From: chain.Ref{Number: uint64(i) + 1}, Count: 1}})
				stop()
				asked++
				if err != nil {
					continue
				}
				ok++
				if got, want := resp.(wire.Blocks).Blocks[0].Ref(), blockOf(uint64(i)+1, 100).Ref(); got != want {
					t.Errorf("block %v came, want %v", got, want)
				}
			}
			time.Sleep(3 * time.Second)
		}
		p.net.Corrupt(ipOf(1), ipOf(2), 0)
		p.net.Corrupt(ipOf(2), ipOf(1), 0)
		time.Sleep(2 * time.Minute)
		if len(ha.Sessions()) == 0 {
			if err := a.Dial(p.t.Context(), b.Addrs()[0]); err != nil {
				t.Errorf("the dial after the trouble: %v", err)
			}
		}
		if ends := len(wiretest.Reports[wire.Closed](ha)); ends < 3 || ok == 0 || ok == asked {
			t.Errorf("%d sessions ended, %d of %d requests went well: nothing is shown by that", ends, ok, asked)
		}
		for _, h := range []*wiretest.Host{ha, hb} {
			if got := offenses(h); len(got) > 0 {
				t.Errorf("charged with %v", got)
			}
		}
	})
}

// Threat H-13: who wants no encryption gets no session where it is not off.
func TestWhoWantsNoEncryptionHasNoSession(t *testing.T) {
	h := &wiretest.Host{}
	w := onLoopback(t, h, func(c *Config) { c.DiscoverOn = "" })
	b, err := libp2p.New(libp2p.NoSecurity, libp2p.DisableRelay(), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	info, err := libpeer.AddrInfoFromString(w.Addrs()[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Connect(t.Context(), *info); err == nil {
		t.Error("a connection without encryption was accepted")
	}
	to, err := w.ParseAddr(fmt.Sprintf("%s/p2p/%s", b.Addrs()[0], b.ID()))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Dial(t.Context(), to); !errors.Is(err, peer.Refuse(peer.HandshakeFailed)) {
		t.Errorf("a dial to it = %v, want %s", err, peer.HandshakeFailed)
	}
	if len(h.Opened()) > 0 || len(offenses(h)) > 0 {
		t.Error("a session, or a charge")
	}
}

// Threat E-11: what requests showed of a peer is kept when it leaves and comes
// back, for as long as its gossip score is.
func TestAScoreOutlivesAReconnect(t *testing.T) {
	s := newScores(2 * time.Second)
	s.joined("x")
	for range 3 {
		s.rejected("x")
	}
	s.gone("x")
	w := &Wire{scores: s}
	for range 500 { // far more than it would fade in
		s.step(time.Now())
	}
	s.joined("x")
	if got := w.Score("x"); got.RejectedPayloads != 3 || got.Total != -60 {
		t.Errorf("after a reconnect the score is %+v", got)
	}
	s.gone("x")
	s.step(time.Now().Add(retainEpochs*epochSlots*2*time.Second + time.Minute))
	if got := w.Score("x"); got.Total != 0 {
		t.Errorf("long after it left the score is %+v", got)
	}
}
