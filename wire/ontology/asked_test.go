package ontology

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// A peer that has us ask for much that it then does not have costs us little
// for each: what was asked is looked through rarely, and forgotten in the end.
func TestWhatWasAskedIsLookedThroughRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{asked: map[codec.Hash]time.Time{}}
		n, looked := uint64(0), 0
		ask := func(count int) {
			for range count {
				n++
				before := s.sweepAt
				var h codec.Hash
				binary.BigEndian.PutUint64(h[:], n)
				if wait := s.mayAsk(h); wait != 0 {
					t.Fatalf("a new one waits for %v", wait)
				}
				if s.sweepAt != before {
					looked++
				}
			}
		}
		ask(10_000)
		if looked == 0 || looked > 8 {
			t.Errorf("looked through %d times for 10 000, want a few times", looked)
		}
		time.Sleep(repeatAfter)
		ask(10_000)
		if len(s.asked) > 10_000 {
			t.Errorf("%d are remembered, want those of the last %v", len(s.asked), repeatAfter)
		}
	})
}
