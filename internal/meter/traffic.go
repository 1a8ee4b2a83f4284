package meter

import (
	"sync"
	"sync/atomic"

	"github.com/starlingp2p/starling/wire"
)

// maxTraffic bounds the kinds of messages that a wire counts apart; the
// largest suite has about forty, in two directions.
const maxTraffic = 128

// Traffic counts messages and bytes for a wire that is wire.Metered.
type Traffic struct {
	mu sync.RWMutex // a leaf
	by map[wire.TrafficKey]*flow
}

type flow struct{ messages, bytes atomic.Uint64 }

// NewTraffic counts nothing yet.
func NewTraffic() *Traffic { return &Traffic{by: make(map[wire.TrafficKey]*flow)} }

// Count counts one message. The texts must be fixed ones; over 128 kinds all
// others are "other".
func (t *Traffic) Count(protocol, kind string, inbound bool, bytes int) {
	k := wire.TrafficKey{Protocol: protocol, Type: kind, Inbound: inbound}
	t.mu.RLock()
	f := t.by[k]
	t.mu.RUnlock()
	if f == nil {
		f = t.flow(k)
	}
	f.messages.Add(1)
	f.bytes.Add(uint64(max(bytes, 0)))
}

func (t *Traffic) flow(k wire.TrafficKey) *flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[k] == nil && len(t.by) >= maxTraffic {
		k = wire.TrafficKey{Protocol: "other", Type: "other", Inbound: k.Inbound}
	}
	f := t.by[k]
	if f == nil {
		f = new(flow)
		t.by[k] = f
	}
	return f
}

// Counts is a copy.
func (t *Traffic) Counts() map[wire.TrafficKey]wire.Traffic {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make(map[wire.TrafficKey]wire.Traffic, len(t.by))
	for k, f := range t.by {
		out[k] = wire.Traffic{Messages: f.messages.Load(), Bytes: f.bytes.Load()}
	}
	return out
}
