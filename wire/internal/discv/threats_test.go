package discv

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/p2p/discover/v4wire"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
)

// Threat R-08: who has not proven its address gets at most three bytes for each
// of its own by discv4, and neither nodes nor a record; who has proven one gets
// nothing at another.
func TestAddressesThatAreNotProvenGetLittle(t *testing.T) {
	p := listenPair(t, PairConfig{Config: Config{TCP: 30303}})
	s := newStranger(t, key(t), "127.0.0.1", p)
	find := &v4wire.Findnode{Target: v4wire.EncodePubkey(&s.key.PublicKey), Expiration: later()}
	record := &v4wire.ENRRequest{Expiration: later()}

	in := 0
	for range 20 {
		a, _ := s.say(t, find)
		b, _ := s.say(t, record)
		in += a + b
	}
	got := s.upToPong(t, false)
	in += got.asks * len(s.signed(v4wire.PingPacket, make([]byte, 30)))
	if got.has(v4wire.NeighborsPacket) || got.has(v4wire.ENRResponsePacket) || got.bytes > 3*in {
		t.Errorf("%d bytes got %d and %v", in, got.bytes, got.packets)
	}
	// A ping, the smallest at that, gets a pong and a ping.
	n, _ := s.say(t, s.ping())
	if got = s.upToPong(t, false); got.bytes > 3*(1+got.asks)*n { // it sends some too
		t.Errorf("%d pings of %d bytes got %d", 1+got.asks, n, got.bytes)
	}

	// It answers a ping, which proves that address.
	for range 100 {
		s.say(t, record)
		if got = s.upToPong(t, true); got.has(v4wire.ENRResponsePacket) {
			break
		}
	}
	if !got.has(v4wire.ENRResponsePacket) {
		t.Fatalf("a proven address gets no record, but %v", got.packets)
	}
	// The same identity, at an address that may be anybody's.
	victim := newStranger(t, s.key, "127.0.0.2", p)
	victim.say(t, find)
	victim.say(t, record)
	if got = victim.upToPong(t, false); got.has(v4wire.NeighborsPacket) || got.has(v4wire.ENRResponsePacket) {
		t.Errorf("an address that is not proven got %v", got.packets)
	}
}

// Threat R-08: by discv5 a packet of a stranger gets a challenge that is no
// longer than itself, whoever it says that it is of.
func TestChallengesAreNoLongerThanWhatTheyAnswer(t *testing.T) {
	p := listenPair(t, PairConfig{NoV4: true})
	s := newStranger(t, key(t), "127.0.0.1", p)
	buf := make([]byte, 2048)
	for range 10 {
		first := ping5(t, s, p)
		var n int
		var err error
		for range 100 {
			s.send(t, first)
			s.SetReadDeadline(time.Now().Add(2 * time.Second))
			if n, err = s.Read(buf); err == nil {
				break // else a datagram was lost
			}
		}
		if err != nil || n == 0 || n > len(first) {
			t.Fatalf("a packet of %d bytes got one of %d, %v", len(first), n, err)
		}
	}
}

// Threat E-01: a list of three hundred invented nodes gives sixteen a round at
// most.
func TestARoundGivesFewNodesHoweverManyThereAre(t *testing.T) {
	var nodes []*enode.Node
	for i := range 300 {
		r := new(enr.Record)
		r.Set(enr.IPv4Addr(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})))
		r.Set(enr.TCP(30303))
		if err := enode.SignV4(r, key(t)); err != nil {
			t.Fatal(err)
		}
		n, err := enode.New(enode.ValidSchemes, r)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	tree, url := signedTree(t, key(t), nodes)
	synctest.Test(t, func(t *testing.T) {
		l, err := NewLists([]string{url}, tree, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		sum := 0
		for range 5 {
			began := time.Now()
			got := l.Discover(context.Background())
			if len(got) > RoundFound || time.Since(began) > RoundTime {
				t.Errorf("a round gave %d nodes in %v", len(got), time.Since(began))
			}
			sum += len(got)
		}
		if sum == 0 {
			t.Error("the list gave nobody: nothing is shown by that")
		}
	})
}
