package scenario

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// A node that was killed, and whose seeds are gone, finds the network again
// by what it remembers. (E-06)
func TestRestartedNodeNeedsNoSeeds(t *testing.T) {
	for name, mode := range map[string]bed.Mode{"killed": bed.Break, "power cut": bed.Silent} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			virtual(t, ordinary(), func(l *lab) {
				nodes := l.many(0, 6, 0)
				nodes[1].produce()
				l.awaitPeers(time.Minute, 4, nodes...)
				n := l.start(6, spec{seeds: only(0), peerDir: dir})
				l.awaitPeers(time.Minute, 4, n)
				time.Sleep(time.Minute)
				n.kill(mode)
				nodes[0].kill(bed.Break)
				time.Sleep(10 * time.Minute)
				n.run()
				l.awaitPeers(30*time.Second, 4, n)
				l.awaitOneTip(30*time.Second, nodes[1].head().Number+1, append(nodes[1:6:6], n)...)
			})
		})
	}
}

// What a peer did wrong is remembered: neither its reconnects nor our restart
// give it a new start, and a ban goes on. (E-11)
func TestScoresAndBansOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	virtual(t, ordinary(), func(l *lab) {
		nodes := l.many(0, 3, 0, 1)
		victim := l.start(3, spec{seeds: only(0, 1), peerDir: dir})
		l.awaitPeers(time.Minute, 3, append(nodes, victim)...)
		v := l.villain(9, victim.toy, &wiretest.Host{})
		sin := func(i int) {
			t.Helper()
			l.await(2*time.Minute, "the villain's session", func() bool {
				return v.host.Session(victim.id) != nil || v.dial(victim) == nil
			})
			time.Sleep(time.Second)
			v.publish(wire.Block{Block: victim.toy.Forge(victim.toy.Next(victim.toy.Head().Header, branch(uint64(i))))})
			time.Sleep(time.Second)
		}
		start := time.Now()
		sin(1)
		sin(2)
		time.Sleep(10 * time.Second) // the most that a crash may lose
		victim.kill(bed.Break)
		victim.run()
		l.awaitPeers(time.Minute, 3, victim)
		sin(3)
		sin(4)
		if got := len(events[starling.PeerBanned](victim.log, start)); got != 0 {
			t.Errorf("banned after four")
		}
		sin(5)
		if got := len(events[starling.PeerBanned](victim.log, start)); got != 1 {
			t.Fatalf("%d bans after five, want 1", got)
		}
		time.Sleep(10 * time.Second)
		victim.kill(bed.Break)
		victim.run()
		l.awaitPeers(time.Minute, 3, victim)
		if got := victim.client.Status().Bans; got != 1 {
			t.Errorf("%d bans after a restart, want 1", got)
		}
		if err := v.dial(victim); err == nil {
			t.Error("the banned peer is let in after a restart")
		}
		time.Sleep(time.Hour)
		if got := victim.client.Status().Bans; got != 0 {
			t.Errorf("%d bans after their hour, want none", got)
		}
	})
}
