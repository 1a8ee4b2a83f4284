package metrics

import (
	"cmp"
	"maps"
	"slices"
)

// Engine counts what was asked of an execution client, and what it answered.
type Engine struct {
	Head      uint64                // the last block that it took as its head
	Coalesced uint64                // blocks that a newer one replaced before their turn
	Calls     map[EngineCall]uint64 // by fixed words
}

// EngineCall is a call, and how it ended.
type EngineCall struct{ Call, Result string }

func engineFamilies() []family {
	return []family{
		gauge("starling_engine_head_number", "The last block that the execution client took as its head; absent without one.", func(s *Snapshot, add adder) {
			if s.Engine != nil {
				add(float64(s.Engine.Head))
			}
		}),
		counter("starling_engine_calls_total", "Calls of the execution client's Engine API, by how they ended: its status, or why there is none.", func(s *Snapshot, add adder) {
			if s.Engine == nil {
				return
			}
			keys := slices.SortedFunc(maps.Keys(s.Engine.Calls), func(a, b EngineCall) int {
				return cmp.Or(cmp.Compare(a.Call, b.Call), cmp.Compare(a.Result, b.Result))
			})
			for _, k := range keys {
				add(float64(s.Engine.Calls[k]), k.Call, k.Result)
			}
		}, "call", "result"),
		counter("starling_engine_coalesced_total", "Blocks that a newer one replaced before the execution client's turn came.", func(s *Snapshot, add adder) {
			if s.Engine != nil {
				add(float64(s.Engine.Coalesced))
			}
		}),
		counter("starling_engine_api_events_total", "What happened at our own Engine API: calls by outcome, and refusals by cause.", func(s *Snapshot, add adder) {
			for _, k := range sorted(s.EngineAPI) {
				add(float64(s.EngineAPI[k]), k)
			}
		}, "event"),
	}
}
