package starling

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// How attempts and exchanges end.
const (
	ResultOK          = "ok"
	ResultRefused     = "refused" // the side that was asked said no
	ResultFailed      = "failed"
	ResultFault       = "fault"   // the peer broke the protocol
	ResultTimeout     = "timeout" // no answer in time
	ResultClosed      = "closed"  // the session ended first
	ResultUnsupported = "unsupported"
	ResultCancelled   = "cancelled" // we did not want it any more
)

// Keys of Counters. All texts are fixed ones: a peer's own words never are a
// key, and each map has a bound, over which all others are "other".
type (
	// Outcome is how a dial or an inbound link ended; Reason is empty where it
	// became a session.
	Outcome struct {
		Result string
		Reason peer.Reason
	}
	// Close is how a session ended.
	Close struct {
		Reason   peer.Reason
		ByRemote bool
	}
	// Exchange is a request with its answer: of ours, or one that we served.
	Exchange struct {
		Served bool
		Kind   string // as wire.KindOf names it
		Result string
	}
	// Drop is what a queue let go, and why.
	Drop struct{ Queue, Reason string }
)

// Distribution is how durations spread: Counts[i] of them were at most
// Bounds[i] and over the bound before it; the last of Counts, which has one
// entry more, were over all bounds.
type Distribution struct {
	Bounds []time.Duration
	Counts []uint64
	Sum    time.Duration
}

// Loop tells of one owner loop of the node.
type Loop struct {
	Busy  time.Duration // at work since the start
	Ratio float64       // of the last ten seconds or more, 0 to 1
	Step  time.Duration // how long the step under way has taken; 0: it waits
	Steps Distribution
}

// Counters are what the node has counted since its start, and levels at this
// moment. It is a copy, and it is plain data: the starling daemon makes
// Prometheus metrics of it, an embedder what it likes.
type Counters struct {
	Dials, Accepts map[Outcome]uint64
	Closes         map[Close]uint64
	Charges        map[peer.Offense]uint64
	// Bans by the offense that brought them, "banned-peers" for a prefix, or
	// "requested" for those by hand.
	Bans     map[string]uint64
	Verdicts map[VerdictKey]uint64
	// PublishErrors are the messages of ours that nobody was told, by kind.
	PublishErrors map[string]uint64
	// Meshes is how many peers the mesh of a topic has, by the topic's short
	// name; empty where the wire is not wire.Meshed.
	Meshes map[string]int
	// Traffic is empty where the wire is not wire.Metered.
	Traffic map[wire.TrafficKey]wire.Traffic

	Handshakes map[peer.Direction]Distribution // from the first sign of a link to its session
	Requests   map[Exchange]Distribution
	Checks     map[string]Distribution // of gossip, by kind of message; the wait for a worker included
	Imports    Distribution            // each a batch of blocks

	Imported              uint64 // blocks
	GapsFound, GapsClosed uint64
	GapsOpen              int
	Reorgs                uint64
	Staged                int // blocks on disk that are not linked to the chain yet
	RequestsInFlight      int // of the sync

	BytesServed     uint64
	Refusals        map[string]uint64 // requests of peers that were refused, by limit or cause
	HandshakesOpen  int               // inbound, under way
	Book, BookTried int               // addresses that are known, and those that answered once
	BookRefused     map[string]uint64 // addresses that were not taken, by reason
	Kept            []KeptPlaces      // for peers that speak something

	Queues map[string]int // how many wait
	Drops  map[Drop]uint64
	Loops  map[string]Loop
}

// Counters gives the node's counters. It never waits for anything.
func (c *Client) Counters() Counters {
	n := c.node
	sw, sy, st, srv := n.swarm.Counters(), n.sync.Counters(), n.sync.Status(), n.server.Counters()
	out := Counters{
		Dials: n.counts.dials.Counts(), Accepts: n.counts.accepts.Counts(), Closes: n.counts.closes.Counts(),
		Charges: n.counts.charges.Counts(), Bans: n.counts.bans.Counts(), Verdicts: c.Verdicts(), PublishErrors: n.counts.unpublished.Counts(),
		Handshakes: map[peer.Direction]Distribution{
			peer.Inbound:  Distribution(n.counts.handshakes[peer.Inbound].Distribution()),
			peer.Outbound: Distribution(n.counts.handshakes[peer.Outbound].Distribution()),
		},
		Requests: map[Exchange]Distribution{}, Checks: map[string]Distribution{}, Imports: Distribution(n.counts.imports.Distribution()),
		Imported: n.counts.imported.Load(), GapsFound: sy.GapsFound, GapsClosed: sy.GapsClosed, Reorgs: sy.Reorgs,
		GapsOpen: st.QueuedGaps, Staged: st.Staged, RequestsInFlight: st.InFlight,
		BytesServed: srv.Bytes, Refusals: srv.Refused, HandshakesOpen: sw.Handshakes,
		Book: sw.Book, BookTried: sw.BookTried, BookRefused: sw.Refused, Kept: keptPlaces(sw.Places),
		Queues: map[string]int{
			"swarm-inbox": sw.Inbox, "sync-offers": sy.Offers, "sync-events": sy.Events, "sync-quarantine": st.Quarantined,
			"publish-block": len(n.blocks.queue), "publish-txs": len(n.txs.queue), "bundle-txs": len(n.bundler.in),
			"check-block": n.gates.block.waiting(), "check-tx": n.gates.tx.waiting(),
			"check-consensus": n.gates.consensus.waiting(), "check-app": n.gates.app.waiting(),
		},
		Drops: n.counts.drops.Counts(),
		Loops: map[string]Loop{"swarm": loopOf(sw.Loop), "blocksync": loopOf(sy.Loop)},
	}
	if n.relay != nil {
		out.Loops["relay"] = loopOf(n.relay.Loop())
		for reason, count := range n.relay.Drops() {
			out.Drops[Drop{"relay", reason}] += count
		}
	}
	if w, ok := n.wire.(wire.Metered); ok {
		out.Traffic = w.Traffic()
	}
	if w, ok := n.wire.(wire.Meshed); ok {
		out.Meshes = w.Meshes()
	}
	for k, d := range n.counts.requests.Distributions() {
		out.Requests[k] = Distribution(d)
	}
	for k, d := range n.counts.checks.Distributions() {
		out.Checks[k] = Distribution(d)
	}
	for kind, count := range sw.ReportsDropped {
		out.Drops[Drop{"swarm-inbox", kind}] += count
	}
	for k, count := range map[Drop]uint64{
		{"sync-offers", "full"}:          st.Drops.OfferQueue,
		{"sync-quarantine", "full"}:      st.Drops.Quarantine,
		{"sync-quarantine", "duplicate"}: st.Drops.Duplicate,
		{"sync-quarantine", "stale"}:     st.Drops.Stale,
		{"sync-answers", "over-budget"}:  st.Drops.OverBudget,
		{"sync-stage", "full"}:           st.Drops.Stage,
		{"sync-answers", "late"}:         st.Drops.Late,
		{"sync-events", "full"}:          st.Drops.Events,
		{"subscriptions", "full"}:        n.bus.dropped.Load(),
	} {
		out.Drops[k] += count
	}
	return out
}

func loopOf(s meter.LoopStat) Loop {
	return Loop{Busy: s.Busy, Ratio: s.Ratio, Step: s.Step, Steps: Distribution(s.Steps)}
}

// Verdicts counts what became of messages since the start, by the node and by a
// wire that judges some by itself.
func (c *Client) Verdicts() map[VerdictKey]uint64 {
	out := c.node.counts.verdicts.Counts()
	if w, ok := c.node.wire.(wire.Judging); ok {
		for k, count := range w.Judged() {
			out[VerdictKey{k.Message, k.Action.String(), k.Reason}] += count
		}
	}
	return out
}

// stalledAfter is how long a step of the relay may take; it is not asked, since
// all that it does is told by its counters.
const stalledAfter = time.Second

// Alive blocks until each owner loop of the node has answered; the error names
// one that had not by the end of ctx. A healthy node answers within
// milliseconds.
func (c *Client) Alive(ctx context.Context) error {
	if err := c.ready(); err != nil {
		return err
	}
	for _, loop := range []struct {
		name  string
		alive func(context.Context) error
	}{{"swarm", c.node.swarm.Alive}, {"blocksync", c.node.sync.Alive}} {
		if err := loop.alive(ctx); errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("starling: the loop of %s does not answer: %w", loop.name, err)
		} else if err != nil {
			return fmt.Errorf("starling: the loop of %s: %w", loop.name, err)
		}
	}
	if r := c.node.relay; r != nil && r.Loop().Step > stalledAfter {
		return fmt.Errorf("starling: the loop of relay does not answer: %w", context.DeadlineExceeded)
	}
	return nil
}
