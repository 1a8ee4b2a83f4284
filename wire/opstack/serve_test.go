package opstack

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// place is a network in virtual time.
type place struct {
	t   *testing.T
	net *bed.Net
	end []func()
	// budget is that of whole nodes; zero: the usual one.
	budget starling.Budget
}

func inBubble(t *testing.T, f func(p *place)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &place{t: t, net: bed.NewNet(bed.Config{Link: bed.Link{Latency: 20 * time.Millisecond}})}
		defer p.net.Close()
		defer func() {
			for i := len(p.end) - 1; i >= 0; i-- {
				p.end[i]()
			}
		}()
		f(p)
	})
}

func ipOf(i int) netip.Addr { return netip.AddrFrom4([4]byte{8, 8, byte(i >> 8), byte(i)}) }

// serving answers every request for a block.
func serving() *wiretest.Host {
	return &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		return wire.Blocks{Blocks: []chain.Block{blockOf(r.(wire.GetBlocks).Range.From.Number, 100)}}, nil
	}}
}

// wire runs one on the i-th machine.
func (p *place) wire(i int, h *wiretest.Host, change ...func(*Config)) *Wire {
	p.t.Helper()
	cfg := p.config(i)
	for _, c := range change {
		c(&cfg)
	}
	w, err := New(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	p.end = append(p.end, wiretest.Start(p.t, w, h))
	return w
}

// config is that of a wire on the i-th machine.
func (p *place) config(i int) Config {
	p.t.Helper()
	return Config{
		Rules: rulesOf(p.t), Status: func() chain.Status { return chain.Status{Network: "test", Genesis: chain.Hash{1}} },
		Key: bed.Key(uint64(i)), Listen: []string{bed.Multiaddr(ipOf(i), 0).String()}, AllowPrivate: true,
		Libp2pOptions: []libp2p.Option{bed.Bubble(p.net.Host(ipOf(i)), false)},
	}
}

// bare is a bare go-libp2p host on the i-th machine, which says that it speaks
// the chain's protocol: a peer that does as the test says.
func (p *place) bare(i int, protocols ...string) libhost.Host {
	p.t.Helper()
	h, err := libp2p.New(append(bed.Options(p.net.Host(ipOf(i)), bed.Key(uint64(i)), bed.Libp2p{}), libp2p.Ping(true))...)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, name := range protocols {
		h.SetStreamHandler(protocol.ID(name), func(s network.Stream) { s.Reset() })
	}
	p.end = append(p.end, func() { h.Close() })
	return h
}

// connect connects a bare host to a wire and waits for the session.
func (p *place) connect(h libhost.Host, w *Wire, host *wiretest.Host) libpeer.ID {
	p.t.Helper()
	info, err := libpeer.AddrInfoFromString(w.Addrs()[0].Text)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := h.Connect(p.t.Context(), *info); err != nil {
		p.t.Fatal(err)
	}
	p.until("a session", func() bool { return len(host.Sessions()) > 0 }, host)
	return info.ID
}

func (p *place) until(what string, cond func() bool, h *wiretest.Host) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	if h.Until(ctx, cond) != nil {
		p.t.Fatalf("within a minute there was not %s", what)
	}
}

// ask sends a raw request and gives the first byte of the answer.
func (p *place) ask(h libhost.Host, to libpeer.ID, proto string, number uint64) (codec.Result, *codec.Envelope) {
	p.t.Helper()
	s, err := h.NewStream(p.t.Context(), to, protocol.ID(proto))
	if err != nil {
		p.t.Fatal(err)
	}
	defer s.Reset()
	if _, err := s.Write(codec.AppendRequest(nil, number)); err != nil {
		p.t.Fatal(err)
	}
	s.CloseWrite()
	res, e, err := codec.ReadAnswer(s, func(bool) codec.Version { return codec.V4 })
	if err != nil {
		p.t.Fatal(err)
	}
	return res, e
}

func offenses(h *wiretest.Host) map[peer.Offense]int {
	out := map[peer.Offense]int{}
	for _, o := range wiretest.Reports[wire.Offended](h) {
		out[o.Offense]++
	}
	return out
}

// Threat R-01: a peer that asks at op-node's pace, with 16 requests out at
// once, never sees an error and never waits longer than the pace explains.
func TestAPeerAtOpNodesPaceSeesNoError(t *testing.T) {
	inBubble(t, func(p *place) {
		h := serving()
		w := p.wire(1, h)
		names := codec.Protocols(chainID)
		client := p.bare(2, names[0])
		id := p.connect(client, w, h)
		start, places := time.Now(), make(chan struct{}, 16)
		var wg sync.WaitGroup
		for i := range 200 {
			if i >= 15 { // its burst; then four a second
				time.Sleep(250 * time.Millisecond)
			}
			places <- struct{}{}
			wg.Go(func() {
				defer func() { <-places }()
				number := uint64(i%150) + 1
				if res, e := p.ask(client, id, names[i%2], number); res != codec.ResultOK || e.Number != number {
					t.Errorf("request %d: result %d", i, res)
				}
			})
		}
		wg.Wait()
		if took, most := time.Since(start), 185*250*time.Millisecond+time.Second; took > most {
			t.Errorf("200 requests took %v, want at most %v", took, most)
		}
		if got := offenses(h); len(got) > 0 || w.Refusals() > 0 {
			t.Errorf("charged with %v, refused %d times", got, w.Refusals())
		}
	})
}

// Threat R-01: a flood is refused, then charged, and nobody else waits.
func TestAFloodIsRefusedAndCharged(t *testing.T) {
	inBubble(t, func(p *place) {
		h := serving()
		w := p.wire(1, h)
		name := codec.Protocols(chainID)[0]
		flooder, honest := p.bare(2, name), p.bare(3, name)
		id := p.connect(flooder, w, h)
		if err := honest.Connect(p.t.Context(), libpeer.AddrInfo{ID: id, Addrs: flooder.Peerstore().Addrs(id)}); err != nil {
			t.Fatal(err)
		}
		p.until("both sessions", func() bool { return len(h.Sessions()) == 2 }, h)
		var wg sync.WaitGroup
		var mu sync.Mutex
		results := map[codec.Result]int{}
		for range 3 {
			for range 60 {
				wg.Go(func() {
					res, _ := p.ask(flooder, id, name, 1)
					mu.Lock()
					defer mu.Unlock()
					results[res]++
				})
				time.Sleep(time.Millisecond) // or a busy machine has more than 64 under way
			}
			start := time.Now()
			if res, _ := p.ask(honest, id, name, 1); res != codec.ResultOK || time.Since(start) > 200*time.Millisecond {
				t.Errorf("an honest peer got %d after %v", res, time.Since(start))
			}
			time.Sleep(500 * time.Millisecond)
		}
		wg.Wait()
		// 32 at once and 32 that waited up to 4 s for their turn, with what came
		// due meanwhile.
		if ok := results[codec.ResultOK]; ok < 64 || ok > 80 {
			t.Errorf("%d of 180 were served, want about 64: %v", ok, results)
		}
		if got := offenses(h)[peer.RequestFlood]; got < 80 || got >= results[codec.ResultOther] {
			t.Errorf("%d charges for %d refusals, want one for each but the first", got, results[codec.ResultOther])
		}
		for _, o := range wiretest.Reports[wire.Offended](h) {
			if o.Session.Peer().ID != peer.ID(flooder.ID().String()) {
				t.Errorf("%s was charged", o.Session.Peer().ID)
			}
		}
	})
}

// A chain that panics costs no place: the peer is answered after it.
func TestPanicsOfTheChainKeepNoPlace(t *testing.T) {
	inBubble(t, func(p *place) {
		broken := true
		h := &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
			if broken {
				panic("a bug")
			}
			return wire.Blocks{Blocks: []chain.Block{blockOf(1, 100)}}, nil
		}}
		w := p.wire(1, h)
		p.connect(p.bare(2, codec.Protocols(chainID)[0]), w, h)
		s := h.Sessions()[0].(*session)
		for range maxAnswering {
			func() {
				defer func() { recover() }()
				s.answer(p.t.Context(), 1)
			}()
		}
		broken = false
		ctx, cancel := context.WithTimeout(p.t.Context(), serveTime)
		defer cancel()
		free, _, res := s.answer(ctx, 1)
		if res != codec.ResultOK || len(s.answers) != 1 {
			t.Errorf("after %d panics: result %d, %d places are taken", maxAnswering, res, len(s.answers))
		}
		free()
		if n := len(s.answers); n != 0 {
			t.Errorf("%d places are taken in the end", n)
		}
	})
}

// Threats R-04 and M-05: what is unknown, before the genesis or in the future is
// answered, at no cost to the peer.
func TestNumbersThatAreNotThere(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}}
		w := p.wire(1, h)
		name := codec.Protocols(chainID)[0]
		client := p.bare(2, name)
		id := p.connect(client, w, h)
		for number, want := range map[uint64]codec.Result{7: codec.ResultNotFound, 0: codec.ResultNotFound, 1_000_000: codec.ResultInvalid, 1 << 63: codec.ResultInvalid, 1<<64 - 1: codec.ResultInvalid} {
			if res, _ := p.ask(client, id, name, number); res != want {
				t.Errorf("block %d: result %d, want %d", number, res, want)
			}
		}
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
	})
}

// Threat H-05: a peer of another chain is refused, saying which.
func TestAPeerOfAnotherChainIsRefused(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		other := p.bare(2, codec.Protocols(10)[0])
		a, err := w.ParseAddr(other.Addrs()[0].String() + "/p2p/" + other.ID().String())
		if err != nil {
			t.Fatal(err)
		}
		err = w.Dial(p.t.Context(), a)
		var why *peer.RefusedError
		if !errors.As(err, &why) || why.Reason != peer.WrongNetwork || why.Detail != "ours is chain 901, the peer's is 10" {
			t.Errorf("Dial = %v", err)
		}
		stranger := p.bare(3)
		info, _ := libpeer.AddrInfoFromString(w.Addrs()[0].Text)
		if err := stranger.Connect(p.t.Context(), *info); err != nil {
			t.Fatal(err)
		}
		p.until("a refusal", func() bool {
			for _, r := range wiretest.Reports[wire.Refused](h) {
				if r.Reason == peer.NoCommonProto {
					return true
				}
			}
			return false
		}, h)
		if len(h.Opened()) > 0 {
			t.Error("a session was opened")
		}
	})
}
