package p2phost

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

type lenient struct{}

func (lenient) Admit(wire.Link) peer.Reason { return peer.OK }
func (lenient) Report(wire.Report)          {}

// Threat E-02: an answer of Kademlia names a victim under ever new identities.
func TestDiscoveryDialsAVictimOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGater(lenient{}, func() bool { return true })
		someone := func() libpeer.ID {
			k, _ := NewKey()
			return idOf(t, k)
		}
		dials := func(format string, n int) (made int) {
			for i := range n {
				m := ma.StringCast(fmt.Sprintf(format, 1000+i))
				if g.InterceptAddrDial(someone(), m) {
					made++
				}
			}
			return made
		}
		one := ma.StringCast("/ip4/8.8.8.8/tcp/443")
		made := 0
		for range 10 * 60 {
			if g.InterceptAddrDial(someone(), one) {
				made++
			}
			time.Sleep(time.Second)
		}
		if made > 11 {
			t.Errorf("%d dials in ten minutes, want one a minute", made)
		}
		if n := dials("/ip4/9.9.9.9/tcp/%d", 100); n > pacerPerIP {
			t.Errorf("%d ports of one machine were dialled in a minute, want %d", n, pacerPerIP)
		}
		if n := dials("/ip4/127.0.0.1/tcp/%d", 100); n != 100 {
			t.Errorf("%d nodes of this machine, want all", n)
		}
		// A dial that the node asked for is the node's to pace.
		id := someone()
		defer g.ask(id, []ma.Multiaddr{one})()
		if !g.InterceptAddrDial(id, one) {
			t.Error("a dial of the node's own was refused")
		}
		g.pace.reached(time.Now(), endpointOf(one))
		for range 3 {
			if !g.InterceptAddrDial(someone(), one) {
				t.Error("a proven address was refused")
			}
		}
	})
}

func TestDiscoveryKeepsOffOtherServices(t *testing.T) { // E-03
	keep := keepAddr(true)
	for text, want := range map[string]bool{
		"/ip4/8.8.8.8/tcp/22": false, "/ip4/8.8.8.8/tcp/25": false, "/ip4/8.8.8.8/tcp/0": false, "/ip4/224.0.0.1/tcp/4001": false, "/ip4/8.8.8.8/tcp/4001": true,
	} {
		if got := keep(ma.StringCast(text)); got != want {
			t.Errorf("%s is kept: %v, want %v", text, got, want)
		}
	}
}

func idOf(t *testing.T, k crypto.PrivKey) libpeer.ID {
	t.Helper()
	id, err := libpeer.IDFromPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
