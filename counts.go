package starling

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

// VerdictKey names a counter of verdicts. All three are fixed texts, except
// that a chain may choose its reasons: a node keeps at most 256 keys and
// counts what is beyond them under the reason "other".
type VerdictKey struct{ Message, Action, Reason string }

const maxVerdictKeys = 256

// counts are the node's own counters.
type counts struct {
	mu       sync.Mutex // a leaf
	verdicts map[VerdictKey]uint64

	bansByScore atomic.Uint64
}

func newCounts() *counts { return &counts{verdicts: make(map[VerdictKey]uint64)} }

func (c *counts) verdict(m wire.Message, v chain.Verdict) {
	k := VerdictKey{Message: kindOf(m), Action: v.Action.String(), Reason: v.Reason}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.verdicts[k]; !ok && len(c.verdicts) >= maxVerdictKeys {
		k.Reason = "other"
	}
	c.verdicts[k]++
}

func (c *counts) snapshot() map[VerdictKey]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.verdicts)
}
