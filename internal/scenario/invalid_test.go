package scenario

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/native"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// villain is a native wire that nobody restrains: what it does is up to the
// test.
type villain struct {
	lab  *lab
	id   peer.ID
	wire *native.Wire
	host *wiretest.Host
}

// villain runs a wire on the i-th host until the lab is stopped.
func (l *lab) villain(i int, like *chaintest.Chain, h *wiretest.Host) *villain {
	l.t.Helper()
	w, err := native.New(native.Config{
		Status: like.Status, Key: bed.Key(uint64(i)), Listen: []string{bed.Multiaddr(addr(i), 0).String()}, NoDHT: true,
		Libp2pOptions: []libp2p.Option{bed.Bubble(l.net.Host(addr(i)), false)},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.atEnd = append(l.atEnd, wiretest.Start(l.t, w, h))
	l.hostile[idOf(i)] = true
	return &villain{l, idOf(i), w, h}
}

// dial opens a session with a node.
func (v *villain) dial(to *node) error {
	a, err := v.wire.ParseAddr(at(to.i))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return v.wire.Dial(ctx, a)
}

// publish gossips a message once somebody listens.
func (v *villain) publish(m wire.Message) {
	v.lab.t.Helper()
	v.lab.await(10*time.Second, "somebody who hears the villain", func() bool {
		_, err := v.wire.Publish(context.Background(), m)
		if err != nil && !errors.Is(err, wire.ErrUnheard) {
			v.lab.t.Fatal(err)
		}
		return err == nil
	})
}

// A peer that gossips forged blocks is disconnected at its second and banned
// at its fifth, each within a second; it comes back as often as it is let.
// Nobody else is charged, and nobody relays what it says. (G-01)
func TestForgedBlocksDisconnectAtTheSecondAndBanAtTheFifth(t *testing.T) {
	virtual(t, ordinary(), func(l *lab) {
		nodes := l.many(0, 5, 0, 1)
		nodes[0].produce()
		l.awaitPeers(time.Minute, 4, nodes...)
		victim := nodes[2]
		v := l.villain(9, victim.toy, &wiretest.Host{})
		connect := func() {
			t.Helper()
			l.await(2*time.Minute, "the villain's session", func() bool {
				return v.host.Session(victim.id) != nil || v.dial(victim) == nil
			})
			time.Sleep(time.Second) // topics
		}
		start := time.Now()
		for i := 1; i <= 5; i++ {
			connect()
			forged := victim.toy.Forge(victim.toy.Next(victim.toy.Head().Header, branch(uint64(100+i))))
			v.publish(wire.Block{Block: forged})
			sent := time.Now()
			l.await(time.Second, "a charge", func() bool {
				return len(events[starling.PeerCharged](victim.log, start)) == i
			})
			closed := len(events[starling.PeerClosed](victim.log, sent)) > 0
			l.await(time.Second-time.Since(sent), "what follows", func() bool {
				closed = len(events[starling.PeerClosed](victim.log, sent)) > 0
				return closed == (i >= 2)
			})
			bans := events[starling.PeerBanned](victim.log, start)
			if (len(bans) > 0) != (i == 5) {
				t.Fatalf("after %d forged blocks: %+v", i, bans)
			}
		}
		ban := events[starling.PeerBanned](victim.log, start)[0]
		if ban.Who != string(v.id) || ban.For != time.Hour || !ban.ByScore {
			t.Errorf("ban = %+v", ban)
		}
		if err := v.dial(victim); err == nil {
			t.Error("a banned peer had a session")
		}
		time.Sleep(time.Minute)
		for _, n := range nodes {
			if n == victim {
				continue
			}
			if got := len(events[starling.PeerCharged](n.log, start)); got != 0 {
				t.Errorf("node %d, which the villain was not connected to, charged %d times", n.i, got)
			}
			if got := n.client.Verdicts()[starling.VerdictKey{Message: "block", Action: "reject", Reason: chaintest.ReasonSeal}]; got != 0 {
				t.Errorf("node %d was relayed %d forged blocks", n.i, got)
			}
		}
		l.awaitOneTip(10*time.Second, nodes[0].head().Number, nodes...)
	})
}
