package opstack

import (
	"testing"
	"time"

	libhost "github.com/libp2p/go-libp2p/core/host"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// A peer that came to us and then serves nothing is let go after an hour, at
// no charge; one that asks, one that gossips, and one that we dialled stay.
func TestUnusedConnectionsAreEnded(t *testing.T) {
	inBubble(t, func(p *place) {
		h := serving()
		w := p.wire(1, h)
		name := codec.Protocols(chainID)[0]
		idle, asks, ours := p.bare(2, name), p.bare(3, name), p.bare(4, name)
		p.connect(idle, w, h)
		self := p.connect(asks, w, h)
		gossips, _ := p.gossiper(5, w, h, codec.V4)
		a, err := w.ParseAddr(ours.Addrs()[0].String() + "/p2p/" + ours.ID().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Dial(p.t.Context(), a); err != nil {
			t.Fatal(err)
		}
		open := func(b libhost.Host) bool {
			for _, s := range h.Sessions() {
				if s.Peer().ID == peer.ID(b.ID().String()) {
					return true
				}
			}
			return false
		}
		for range 2 {
			time.Sleep(29 * time.Minute)
			if res, _ := p.ask(asks, self, name, 1); res != codec.ResultOK {
				t.Errorf("result %d", res)
			}
		}
		if !open(idle) {
			t.Error("it was let go before its hour was over")
		}
		time.Sleep(5 * time.Minute)
		if open(idle) || !open(asks) || !open(gossips) || !open(ours) {
			t.Errorf("open: idle %v, asks %v, gossips %v, dialled %v; want all but the first", open(idle), open(asks), open(gossips), open(ours))
		}
		for _, c := range wiretest.Reports[wire.Closed](h) {
			if c.Reason != peer.Useless || c.ByRemote {
				t.Errorf("a session ended: %s", c.Reason)
			}
		}
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
		if n := len(idle.Network().Conns()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// Use is held against the monotonic clock: a jump of the wall clock ends nothing.
func TestUseIsTakenInMonotonicTime(t *testing.T) {
	s := &session{began: time.Now()}
	s.use()
	if now := time.Now(); s.isUnused(now) || !s.isUnused(now.Add(unusedTime)) {
		t.Error("an hour is not an hour")
	}
	if used := time.Duration(s.used.Load()); used < 0 || used > unusedTime {
		t.Errorf("used %v after the session's start", used)
	}
}

// Every peer is pinged in the background; one that is gone without a word is
// found out by that.
func TestAPeerThatIsGoneWithoutAWordIsFoundOut(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		b := p.bare(2, codec.Protocols(chainID)[0])
		p.connect(b, w, h)
		time.Sleep(2*pingEvery + time.Second)
		if len(h.Sessions()) != 1 {
			t.Fatal("a peer that answers was let go")
		}
		p.net.Stall(ipOf(1), ipOf(2))
		began := time.Now()
		for len(h.Sessions()) > 0 && time.Since(began) < time.Hour {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > pingEvery+pingTime+time.Second {
			t.Errorf("it was found out after %v, want at most %v", took, pingEvery+pingTime)
		}
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
	})
}
