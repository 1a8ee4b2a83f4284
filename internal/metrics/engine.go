package metrics

import (
	"cmp"
	"maps"
	"slices"
)

// Engine counts what was asked of an execution client, and what it answered.
type Engine struct {
	State     string                // a fixed word
	Head      uint64                // the last block that it took as its head
	FillAt    uint64                // while it is given many blocks: the last that it took
	FillTo    uint64                // and the last that it is to get; 0: it is not
	FillRate  float64               // blocks a second
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
		gauge("starling_engine_state", "1 for the state that the execution client is in: following, filling, syncing, or a trouble by its name; absent without one.", func(s *Snapshot, add adder) {
			if s.Engine != nil {
				add(1, s.Engine.State)
			}
		}, "state"),
		gauge("starling_engine_fill_left_blocks", "Blocks that the execution client lacks and is still to be given; 0 while it is not filled; absent without one.", func(s *Snapshot, add adder) {
			if s.Engine != nil {
				add(float64(s.Engine.FillTo - s.Engine.FillAt))
			}
		}),
		gauge("starling_engine_fill_blocks_per_second", "How fast the execution client takes the blocks that it lacked; 0 while it is not filled; absent without one.", func(s *Snapshot, add adder) {
			if s.Engine != nil {
				add(s.Engine.FillRate)
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
