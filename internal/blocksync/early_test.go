package blocksync

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain/chaintest"
)

// A block that is offered while the chain is still being read is not lost.
func TestBlockOfferedBeforeReadyIsTaken(t *testing.T) {
	c := chaintest.NewChain(chaintest.Config{Seed: 1})
	core := NewCore(CoreConfig{})
	now := time.Unix(1000, 0)
	if out := core.Step(now, Offered{From: "a", Block: c.Build(1)[0]}); len(out) != 0 {
		t.Fatalf("before Ready = %v, want nothing", out)
	}
	out := core.Step(now, Ready{Status: c.Status(), Head: c.Genesis().Header})
	for _, e := range out {
		if _, ok := e.(VerifyHeaders); ok {
			return
		}
	}
	t.Errorf("after Ready = %v, want the block verified", out)
}
