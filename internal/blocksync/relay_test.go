package blocksync

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
)

// Threat E-13: a node that is still syncing passes blocks on that it can only
// check, not place. It has not said that it has what is below them.
func TestASyncingRelayIsNotBlamedForWhatItPassesOn(t *testing.T) {
	c := chaintest.NewChain(chaintest.Config{Seed: 1})
	core := NewCore(CoreConfig{Caps: nativeCaps})
	now := time.Unix(1000, 0)
	core.Step(now, Ready{Status: c.Status(), Head: c.Genesis().Header})
	claims := c.Status()
	claims.Head = chain.Ref{Number: 5, Hash: chain.Hash{5}}
	core.Step(now, Joined{Peer: "relay", Claims: claims})
	p := core.byID["relay"]
	charges := func(do func()) (n int) {
		core.out = nil
		do()
		for _, e := range core.out {
			if _, ok := e.(Charge); ok {
				n++
			}
		}
		return n
	}
	j := core.newJob(true)
	for i := range 10 {
		b := chain.Block{Header: chain.Header{Ref: chain.Ref{Number: 1000 + uint64(i), Hash: chain.Hash{1, byte(i)}}, Parent: chain.Hash{2, byte(i)}}}
		core.Step(now, Offered{From: "relay", Block: b})
		if p.claim.Head.Number != 999+uint64(i) {
			t.Fatalf("claim = %d: a relay may well have what it passes on", p.claim.Head.Number)
		}
		if n := charges(func() { core.undelivered(p, 100) }); n != 0 {
			t.Fatalf("charged for a head that it never claimed")
		}
		core.Step(now, Offered{From: "relay", Block: b})
		if n := charges(func() { core.emptyRange(j, p, 100) }); n != 0 {
			t.Fatalf("charged for a range that it never claimed")
		}
	}
	claims.Head.Number = 5000
	core.Step(now, Claims{Peer: "relay", Status: claims})
	if n := charges(func() { core.emptyRange(j, p, 100) }); n != 1 {
		t.Errorf("%d charges for a range that it did claim, want 1", n)
	}
}
