package metrics

import (
	"cmp"
	"maps"
	"slices"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// modes are those of a sync; the one that it is in has the value 1.
var modes = []string{"starting", "idle", "synced", "forward", "backward", "behind", "stuck"}

// families is the one table of metrics.
func families() []family {
	return slices.Concat(nodeFamilies(), swarmFamilies(), wireFamilies(), syncFamilies(), loopFamilies(), engineFamilies())
}

func nodeFamilies() []family {
	return []family{
		gauge("starling_build_info", "The program; the value is always 1.", func(s *Snapshot, add adder) {
			add(1, s.Build.Version, s.Build.Revision, s.Build.GoVersion, s.Status.Wire)
		}, "version", "revision", "go_version", "wire"),
		gauge("starling_chain_head_number", "Number of the head.", func(s *Snapshot, add adder) {
			add(float64(s.Status.Chain.Head.Number))
		}),
		gauge("starling_chain_finalized_number", "Number of the last block that is final; 0 where nothing is.", func(s *Snapshot, add adder) {
			add(float64(s.Status.Chain.Finalized.Number))
		}),
		gauge("starling_chain_head_timestamp_seconds", "Time in the head's header, since 1970; absent while it is not known.", func(s *Snapshot, add adder) {
			if !s.HeadTime.IsZero() {
				add(float64(s.HeadTime.UnixMilli()) / 1000)
			}
		}),
		gauge("starling_pool_transactions", "Transactions that wait in the pool; absent without a pool.", func(s *Snapshot, add adder) {
			if s.PoolTxs >= 0 {
				add(float64(s.PoolTxs))
			}
		}),
		gauge("starling_pool_bytes", "What those transactions take; absent without a pool.", func(s *Snapshot, add adder) {
			if s.PoolTxs >= 0 {
				add(float64(s.PoolSize))
			}
		}),
		counter("starling_pool_dropped_total", "Transactions that the pool did not take, or let go without a block, and why; absent where it does not count them.", func(s *Snapshot, add adder) {
			for _, k := range sorted(s.PoolDrops) {
				add(float64(s.PoolDrops[k]), k)
			}
		}, "reason"),
		counter("starling_gossip_consensus_dropped_total", "Consensus messages that the chain did not take, or that a lagging reader lost, and why; absent where it does not count them.", func(s *Snapshot, add adder) {
			for _, k := range sorted(s.ConsensusDrops) {
				add(float64(s.ConsensusDrops[k]), k)
			}
		}, "reason"),
		counter("starling_rpc_events_total", "What happened at the RPC: calls, refusals by cause, and drops.", func(s *Snapshot, add adder) {
			for _, k := range sorted(s.RPC) {
				add(float64(s.RPC[k]), k)
			}
		}, "event"),
	}
}

func swarmFamilies() []family {
	return []family{
		gauge("starling_swarm_peers", "Open sessions, by who dialled.", func(s *Snapshot, add adder) {
			add(float64(s.Status.Inbound), peer.Inbound.String())
			add(float64(s.Status.Outbound), peer.Outbound.String())
		}, "direction"),
		counter("starling_swarm_dials_total", "Dials that ended: ok, refused (by the peer) or failed, and why.", func(s *Snapshot, add adder) {
			outcomes(s.Counters.Dials, add)
		}, "result", "reason"),
		counter("starling_swarm_accepts_total", "Inbound links that ended or became a session: ok, refused (by us) or failed, and why.", func(s *Snapshot, add adder) {
			outcomes(s.Counters.Accepts, add)
		}, "result", "reason"),
		histogram("starling_swarm_handshake_seconds", "From the first sign of a link to its session.", func(s *Snapshot, add spread) {
			for _, d := range []peer.Direction{peer.Inbound, peer.Outbound} {
				add(s.Counters.Handshakes[d], d.String())
			}
		}, "direction"),
		gauge("starling_swarm_handshakes_pending", "Inbound handshakes under way.", func(s *Snapshot, add adder) {
			add(float64(s.Counters.HandshakesOpen))
		}),
		counter("starling_swarm_closes_total", "Sessions that ended, why, and by which side.", func(s *Snapshot, add adder) {
			for k, n := range s.Counters.Closes {
				by := "us"
				if k.ByRemote {
					by = "remote"
				}
				add(float64(n), string(k.Reason), by)
			}
		}, "reason", "by"),
		counter("starling_swarm_charges_total", "Faults that peers were charged for.", func(s *Snapshot, add adder) {
			for k, n := range s.Counters.Charges {
				add(float64(n), string(k))
			}
		}, "offense"),
		counter("starling_swarm_bans_total", "Bans, by the offense that brought them; requested: by hand.", func(s *Snapshot, add adder) {
			for _, k := range sorted(s.Counters.Bans) {
				add(float64(s.Counters.Bans[k]), k)
			}
		}, "reason"),
		gauge("starling_swarm_bans", "Bans in force.", func(s *Snapshot, add adder) { add(float64(s.Status.Bans)) }),
		gauge("starling_swarm_places", "Sessions that are kept for peers which speak a capability, and those with such peers; absent where none are kept.", func(s *Snapshot, add adder) {
			for _, p := range s.Counters.Kept {
				add(float64(p.Count), p.Capability, "kept")
				add(float64(p.Taken), p.Capability, "taken")
			}
		}, "capability", "state"),
		gauge("starling_swarm_book_addresses", "Addresses in the book: tried ones answered once.", func(s *Snapshot, add adder) {
			add(float64(s.Counters.BookTried), "tried")
			add(float64(s.Counters.Book-s.Counters.BookTried), "new")
		}, "state"),
		counter("starling_swarm_book_refused_total", "Addresses that were not taken into the book.", func(s *Snapshot, add adder) {
			for _, k := range sorted(s.Counters.BookRefused) {
				add(float64(s.Counters.BookRefused[k]), k)
			}
		}, "reason"),
		{Family: Family{"starling_swarm_peer_score", Histogram, nil, "Scores of the peers with a session now, -100 to 100."}, scores: true},
		gauge("starling_swarm_clock_suspect", "1 while our clock disagrees with enough peers.", func(s *Snapshot, add adder) {
			add(yes(s.Status.ClockSuspect))
		}),
	}
}

func wireFamilies() []family {
	traffic := func(value func(wire.Traffic) uint64) func(*Snapshot, adder) {
		return func(s *Snapshot, add adder) {
			for k, t := range s.Counters.Traffic {
				direction := "out"
				if k.Inbound {
					direction = "in"
				}
				add(float64(value(t)), k.Protocol, k.Type, direction)
			}
		}
	}
	return []family{
		counter("starling_wire_messages_total", "Messages on the wire. Gossip counts every copy.", traffic(func(t wire.Traffic) uint64 { return t.Messages }), "protocol", "type", "direction"),
		counter("starling_wire_message_bytes_total", "Bytes of those messages.", traffic(func(t wire.Traffic) uint64 { return t.Bytes }), "protocol", "type", "direction"),
		histogram("starling_wire_requests_seconds", "Requests until their answer: asked of peers, and served to them.", func(s *Snapshot, add spread) {
			for k, d := range s.Counters.Requests {
				direction := "asked"
				if k.Served {
					direction = "served"
				}
				add(d, direction, k.Kind, k.Result)
			}
		}, "direction", "kind", "result"),
		counter("starling_gossip_verdicts_total", "What became of gossiped messages: accept, ignore or reject, and why.", func(s *Snapshot, add adder) {
			for k, n := range s.Counters.Verdicts {
				add(float64(n), k.Message, k.Action, k.Reason)
			}
		}, "type", "verdict", "reason"),
		gauge("starling_gossip_mesh_peers", "Peers in our mesh of a topic; absent where gossip has no meshes.", func(s *Snapshot, add adder) {
			for _, k := range sorted(s.Counters.Meshes) {
				add(float64(s.Counters.Meshes[k]), k)
			}
		}, "topic"),
		counter("starling_gossip_publishing_errors_total", "Messages of our own that nobody was told.", func(s *Snapshot, add adder) {
			add(float64(s.Counters.PublishErrors["block"]), "block")
			add(float64(s.Counters.PublishErrors["txs"]), "txs")
		}, "type"),
		histogram("starling_gossip_check_seconds", "Checks of gossiped messages, the wait for a worker included.", func(s *Snapshot, add spread) {
			for _, k := range sorted(s.Counters.Checks) {
				add(s.Counters.Checks[k], k)
			}
		}, "type"),
		counter("starling_serve_refusals_total", "Requests of peers that were refused, by limit or cause.", func(s *Snapshot, add adder) {
			for _, k := range sorted(s.Counters.Refusals) {
				add(float64(s.Counters.Refusals[k]), k)
			}
		}, "limit"),
		counter("starling_serve_bytes_total", "Bytes served to peers.", func(s *Snapshot, add adder) { add(float64(s.Counters.BytesServed)) }),
	}
}

func syncFamilies() []family {
	number := func(name, help string, value func(s *Snapshot) float64) family {
		return gauge(name, help, func(s *Snapshot, add adder) { add(value(s)) })
	}
	total := func(name, help string, value func(c *starling.Counters) uint64) family {
		return counter(name, help, func(s *Snapshot, add adder) { add(float64(value(&s.Counters))) })
	}
	return []family{
		gauge("starling_sync_mode", "1 for the mode that the sync is in.", func(s *Snapshot, add adder) {
			for _, m := range modes {
				add(yes(s.Status.Sync.Mode == m), m)
			}
		}, "mode"),
		number("starling_sync_stuck", "1 while the sync has something to fetch and makes no progress.", func(s *Snapshot) float64 { return yes(s.Status.Sync.Stuck != "") }),
		number("starling_sync_target_number", "Number that the sync works towards; 0: none.", func(s *Snapshot) float64 { return float64(s.Status.Sync.Target) }),
		number("starling_sync_held_bytes", "Blocks held in memory.", func(s *Snapshot) float64 { return float64(s.Status.Sync.BytesHeld) }),
		number("starling_sync_staged_blocks", "Blocks on disk that are not linked to the chain yet.", func(s *Snapshot) float64 { return float64(s.Counters.Staged) }),
		number("starling_sync_inflight_requests", "Requests of the sync under way.", func(s *Snapshot) float64 { return float64(s.Counters.RequestsInFlight) }),
		number("starling_sync_gaps", "Gaps that wait to be closed.", func(s *Snapshot) float64 { return float64(s.Counters.GapsOpen) }),
		number("starling_sync_missing_blocks", "Blocks between the head and the target that are not here yet.", missing),
		total("starling_sync_gaps_found_total", "Gaps found.", func(c *starling.Counters) uint64 { return c.GapsFound }),
		total("starling_sync_gaps_closed_total", "Gaps closed.", func(c *starling.Counters) uint64 { return c.GapsClosed }),
		total("starling_sync_reorgs_total", "Times that the head moved to another branch.", func(c *starling.Counters) uint64 { return c.Reorgs }),
		total("starling_sync_imported_blocks_total", "Blocks imported.", func(c *starling.Counters) uint64 { return c.Imported }),
		histogram("starling_sync_import_seconds", "Imports, each of a batch of blocks.", func(s *Snapshot, add spread) { add(s.Counters.Imports) }),
	}
}

func loopFamilies() []family {
	loop := func(value func(starling.Loop) float64) func(*Snapshot, adder) {
		return func(s *Snapshot, add adder) {
			for _, k := range sorted(s.Counters.Loops) {
				add(value(s.Counters.Loops[k]), k)
			}
		}
	}
	return []family{
		gauge("starling_loop_busy_ratio", "Share of the last ten seconds or more that an owner loop was at work, 0 to 1.", loop(func(l starling.Loop) float64 { return l.Ratio }), "loop"),
		counter("starling_loop_busy_seconds_total", "Time that an owner loop was at work.", loop(func(l starling.Loop) float64 { return l.Busy.Seconds() }), "loop"),
		gauge("starling_loop_stalled_seconds", "How long the step under way has taken; 0: the loop waits.", loop(func(l starling.Loop) float64 { return l.Step.Seconds() }), "loop"),
		histogram("starling_loop_step_seconds", "Steps of an owner loop.", func(s *Snapshot, add spread) {
			for _, k := range sorted(s.Counters.Loops) {
				add(s.Counters.Loops[k].Steps, k)
			}
		}, "loop"),
		gauge("starling_queue_depth", "How many wait in a queue.", func(s *Snapshot, add adder) {
			for _, k := range sorted(s.Counters.Queues) {
				add(float64(s.Counters.Queues[k]), k)
			}
		}, "queue"),
		counter("starling_queue_dropped_total", "What a queue let go, and why.", func(s *Snapshot, add adder) {
			for k, n := range s.Counters.Drops {
				add(float64(n), k.Queue, k.Reason)
			}
		}, "queue", "reason"),
	}
}

// missing counts the blocks up to the target that are neither in the chain nor
// staged.
func missing(s *Snapshot) float64 {
	head, target := s.Status.Chain.Head.Number, s.Status.Sync.Target
	if target <= head {
		return 0
	}
	return max(0, float64(target-head)-float64(s.Counters.Staged))
}

// adder and spread take one value, or one distribution, with its labels.
type (
	adder  = func(value float64, labels ...string)
	spread = func(d starling.Distribution, labels ...string)
)

func gauge(name, help string, numbers func(*Snapshot, adder), labels ...string) family {
	return family{Family: Family{name, Gauge, labels, help}, numbers: numbers}
}

func counter(name, help string, numbers func(*Snapshot, adder), labels ...string) family {
	return family{Family: Family{name, Counter, labels, help}, numbers: numbers}
}

func histogram(name, help string, durations func(*Snapshot, spread), labels ...string) family {
	return family{Family: Family{name, Histogram, labels, help}, durations: durations}
}

func outcomes(of map[starling.Outcome]uint64, add adder) {
	for k, n := range of {
		add(float64(n), k.Result, string(k.Reason))
	}
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
