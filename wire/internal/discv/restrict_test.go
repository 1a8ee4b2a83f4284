package discv

import (
	"context"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
)

// A node that is restricted to some networks says nothing to others, by either
// version: not to a boot node there, nor to who asks from there.
func TestARestrictedNodeTalksToNobodyElse(t *testing.T) {
	for what, c := range map[string]PairConfig{"both": {}, "v4": {NoV5: true}, "v5": {NoV4: true}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // they wait
			outside, inside := newStranger(t, key(t), "127.0.0.7", nil), newStranger(t, key(t), "127.0.0.9", nil)
			c.NetRestrict = "127.0.0.8/31,10.0.0.0/8"
			for _, s := range []*stranger{outside, inside} {
				c.BootnodesV4, c.Bootnodes = append(c.BootnodesV4, s.record(t)), append(c.Bootnodes, s.record(t))
			}
			p := listenPair(t, c)
			for _, s := range []*stranger{outside, inside} {
				s.aim(p)
				s.say(t, s.ping())
				s.send(t, ping5(t, s, p))
			}
			// What came first has been dealt with by then.
			if !inside.hears(t, 20*time.Second) {
				t.Error("a node inside hears nothing")
			}
			round, end := context.WithTimeout(t.Context(), time.Second)
			p.Discover(round)
			end()
			if outside.hears(t, 100*time.Millisecond) {
				t.Error("a node outside is talked to")
			}
		})
	}
}

// record is a stranger's own, as a boot node has one.
func (s *stranger) record(t *testing.T) string {
	t.Helper()
	r := new(enr.Record)
	r.Set(enr.IPv4Addr(s.at.Addr()))
	r.Set(enr.UDP(s.at.Port()))
	r.Set(enr.TCP(30303))
	if err := enode.SignV4(r, s.key); err != nil {
		t.Fatal(err)
	}
	n, err := enode.New(enode.ValidSchemes, r)
	if err != nil {
		t.Fatal(err)
	}
	return n.String()
}

// hears reports whether anything comes in that time.
func (s *stranger) hears(t *testing.T, within time.Duration) bool {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(within))
	n, _ := s.Read(make([]byte, 2048))
	return n > 0
}
