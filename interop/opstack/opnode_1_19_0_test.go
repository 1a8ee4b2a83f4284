package opstack

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// TestSyncClientOfOpNodeFillsAGap lets the last sync client of op-node fetch a
// gap from us: 200 blocks, and 1,000 where STARLING_FULL is set. It must not
// see one error.
func TestSyncClientOfOpNodeFillsAGap(t *testing.T) {
	t.Parallel()
	gap, _ := gapOf(200)
	n := newNetwork(t, codec.V4, gap+3, 2, 300)
	op := runOpNode(t, withSync, n.start(map[string]any{"head": 1}))
	s := n.member(t)
	s.dial(t, op)
	op.Until("a connection", func(e event) bool { return e.Event == "connected" })

	end := uint64(gap) + 2
	start, repeats := time.Now(), time.NewTicker(2*blockTime*time.Second)
	defer repeats.Stop()
	deadline := time.NewTimer(patience + time.Duration(gap)*time.Second)
	defer deadline.Stop()
	for { // as op-node's driver does, every two block times: up to the lowest that waits in its queue
		for number := range op.payloads() {
			end = min(end, number)
		}
		if err := op.Try(map[string]any{"do": "sync", "number": 1, "end": end}, nil); err != nil {
			t.Logf("sync: %v", err) // too many under way
		}
		if got := op.payloads(); len(got) >= gap {
			break
		}
		select {
		case <-repeats.C:
		case <-deadline.C:
			t.Fatalf("op-node has %d of %d blocks", len(op.payloads()), gap)
		}
	}
	t.Logf("%d blocks in %v", gap, time.Since(start).Round(time.Millisecond))
	var scores map[string]float64
	op.Do(map[string]any{"do": "scores"}, &scores)
	if got := scores[string(s.Self())]; got <= 0 { // half a point for each answer, one less for each error
		t.Errorf("op-node's score of us is %v", got)
	}
	if got := s.Refusals(); got != 0 {
		t.Errorf("we refused op-node %d times", got)
	}
	s.blameless(t)
}
