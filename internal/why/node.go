package why

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/blocksync"
	"github.com/starlingp2p/starling/peer"
)

// State is the node at the moment of a question. A recording has none: then it
// is nil.
type State struct {
	Began   time.Time
	Status  starling.Status
	Peers   []starling.Peer
	Bans    []starling.Ban
	Known   []starling.KnownPeer // for a question about a peer
	Outlook starling.Outlook
	// Public are the IP addresses among Status.Addrs; empty where a wire has none.
	IPs []netip.Addr
	// Own are findings of parts beside the node, whose own words they are.
	Own []Finding
}

// Ranks of findings. What stands in the way of everything comes first; a cause
// ranks over what comes of it.
const (
	rankDisk        = 100
	rankClock       = 95
	rankAlone       = 90
	rankSyncRefused = 85
	rankStuck       = 80
	rankUnheard     = 75
	rankWaiting     = 72 // nobody has called yet, of a node that only waits
	rankStatic      = 70
	rankOwn         = 65
	rankDropped     = 60
	rankAlarm       = 55
	rankFew         = 45
	rankFull        = 40
	rankSeed        = 35
	rankNoInbound   = 30
	rankWeDropped   = 25
	rankJump        = 20
	rankMinor       = 10
)

// recent is how far back something is still a finding.
const recent = 10 * time.Minute

// settled is how long a node may take to find peers before it is a trouble that
// it has none, or none that called it.
const (
	settled       = 15 * time.Second
	inboundTrials = 5 * time.Minute
)

// question is one Report in the making.
type question struct {
	*Core
	now time.Time
	st  *State
	out []Finding
}

func (q *question) add(f Finding) {
	if f.Level == "" {
		f.Level = Trouble
	}
	if f.Subject == "" {
		f.Subject = NodeSubject
	}
	if f.Evidence == nil {
		f.Evidence = []string{}
	}
	q.out = append(q.out, f)
}

// Node answers for the node itself. st is nil for a recording.
func (c *Core) Node(now time.Time, st *State) Report {
	q := &question{Core: c, now: now, st: st}
	q.disk()
	q.clockFindings()
	if st != nil {
		q.alone()
		q.configured()
		q.few()
		q.inbound()
		q.own()
	}
	q.syncFindings()
	q.publishFindings()
	q.dropped()
	q.full()
	q.alarmed()
	r := q.report(NodeSubject)
	r.Counts = c.counts.list(now)
	r.Decisions = append(r.Decisions, c.lastDecisions(st)...) // an empty list where there are none
	if st != nil {
		r.Tried = tried(st)
		if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == Trouble }) && len(st.Peers) > 0 {
			r.Summary = fmt.Sprintf("all is well: %s, head %d, %s", peersInWords(len(st.Peers)), st.Status.Chain.Head.Number, st.Status.Sync.Mode)
			if n := len(r.Findings); n > 0 {
				r.Summary += fmt.Sprintf("; %d things that one should know", n)
			}
		}
	}
	return r
}

// report ranks the findings.
func (q *question) report(subject string) Report {
	slices.SortStableFunc(q.out, func(a, b Finding) int { return b.rank - a.rank })
	r := Report{V: Version, Time: q.now.UTC().Round(0), Subject: subject, Findings: q.out, Counts: []Count{}, Decisions: []Decision{}}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.others > 0 {
			f.Cause += fmt.Sprintf("; and so it is with %d other configured addresses", f.others)
		}
		if !f.Since.IsZero() {
			f.Since = f.Since.UTC().Round(0)
		}
	}
	if len(q.out) > 0 {
		r.Summary = q.out[0].Cause
	} else {
		r.Findings, r.Summary = []Finding{}, "nothing stands in the way, as far as is known"
	}
	return r
}

// lastDecisions are the last decisions, newest first. The peer table's own list
// has those too that are too frequent for events.
func (c *Core) lastDecisions(st *State) []Decision {
	out := slices.Clone(c.history.all)
	if st != nil && len(st.Outlook.Decisions) > 0 {
		out = slices.DeleteFunc(out, func(d Decision) bool { return d.Kind != kindCharged && d.Kind != kindOpened })
		for _, d := range st.Outlook.Decisions {
			out = append(out, ofTable(d))
		}
	}
	slices.SortStableFunc(out, func(a, b Decision) int { return b.Time.Compare(a.Time) })
	out = out[:min(len(out), keptAll)]
	for i := range out {
		out[i].Time = out[i].Time.UTC().Round(0)
	}
	return out
}

// ofTable is a decision of the peer table.
func ofTable(d starling.Decision) Decision {
	return Decision{Time: d.At, Kind: d.Kind, Reason: text(d.Reason), Peer: text(d.ID), Addr: peer.Clean(d.Addr.Text), ByRemote: d.ByRemote, Detail: peer.Clean(d.Detail)}
}

func (q *question) disk() {
	cause := blocksync.Cause(q.sync.cause)
	if q.st != nil {
		cause = blocksync.Cause(q.st.Status.Sync.Cause)
	}
	if cause != blocksync.CauseDiskFull && cause != blocksync.CauseCorrupt && cause != blocksync.CauseTrouble {
		return
	}
	a := stalls()[cause]
	q.add(Finding{
		Code: "not-syncing:" + string(cause), Cause: a.cause, Remedy: a.remedy, rank: rankDisk,
		Since: q.sync.since, Evidence: []string{q.stuckText()},
	})
}

func (q *question) stuckText() string {
	if q.st != nil && q.st.Status.Sync.Stuck != "" {
		return peer.Clean(q.st.Status.Sync.Stuck)
	}
	return q.sync.detail
}

func (q *question) clockFindings() {
	suspect := !q.clock.since.IsZero()
	if q.st != nil {
		suspect = q.st.Status.ClockSuspect
	}
	if suspect {
		way := "behind"
		if q.clock.skew < 0 {
			way = "ahead of"
		}
		q.add(Finding{
			Code: "clock:suspect", rank: rankClock, Since: q.clock.since,
			Cause:    fmt.Sprintf("this machine's clock is about %v %s the peers' clocks", q.clock.skew.Abs().Round(time.Second), way),
			Remedy:   "set the clock: have the machine keep time with NTP (timedatectl set-ntp true); until then blocks are ignored rather than rejected",
			Evidence: []string{"at least 3 peers in 3 networks disagree with it the same way, and they outnumber those that agree"},
		})
	}
	if at := q.clock.jumpedAt; !at.IsZero() && q.now.Sub(at) < recent {
		q.add(Finding{
			Code: "clock:jumped", Level: Notice, rank: rankJump, Since: at,
			Cause:  fmt.Sprintf("the clock jumped by %v, or the process stood still that long", q.clock.jump.Round(time.Second)),
			Remedy: "if the machine did not sleep, look at its NTP settings and its load",
		})
	}
}

func (q *question) syncFindings() {
	s := q.sync
	if s.refused != "" && q.now.Sub(s.refusedAt) < time.Hour {
		f := Finding{Code: "not-syncing:" + s.refusedWhat, rank: rankSyncRefused, Since: s.refusedAt, Evidence: []string{s.refused}}
		if s.refusedWhat == "target-refused" {
			f.Cause = "the trusted target cannot be reached: it is not on the branch that is final here, or breaks a rule of the chain"
			f.Remedy = "compare the target (network.target, or what was set over the RPC) with a source that you trust: if the target is right, this node follows a wrong fork and its datadir has to be made anew; if not, correct it"
		} else {
			f.Cause = "peers are on a branch that this node refuses: it would undo more blocks than the chain allows"
			f.Remedy = "compare heads with a source that you trust: if the peers are right, this node follows a wrong fork and its datadir has to be made anew"
		}
		q.add(f)
	}
	cause := blocksync.Cause(s.cause)
	if q.st != nil {
		cause = blocksync.Cause(q.st.Status.Sync.Cause)
	}
	switch cause {
	case "", blocksync.CauseDiskFull, blocksync.CauseCorrupt, blocksync.CauseTrouble:
		return // well, or told already
	case blocksync.CauseNoPeers:
		if q.has("no-peers:") {
			return // that there are none has a cause of its own
		}
	}
	a, ok := stalls()[cause]
	if !ok {
		a = advice{cause: "the sync makes no progress", remedy: "look into the log of that time"}
	}
	f := Finding{
		Code: "not-syncing:" + string(cause), Cause: "the sync makes no progress: " + a.cause, Remedy: a.remedy, rank: rankStuck, Since: s.since,
		Count: q.counts.total(key{kindStuck, string(cause), false}), Evidence: []string{q.stuckText()},
	}
	if q.st != nil {
		f.Evidence = append(f.Evidence, q.heads()...)
	}
	q.add(f)
}

// heads tells what we have and what peers claim.
func (q *question) heads() []string {
	out := []string{fmt.Sprintf("our head is %d, the goal is %d", q.st.Status.Chain.Head.Number, q.st.Status.Sync.Target)}
	for _, p := range q.st.Peers[:min(len(q.st.Peers), 3)] {
		out = append(out, fmt.Sprintf("peer %s claims head %d", p.Info.ID.Short(), p.Claims.Head.Number))
	}
	return out
}

func (q *question) publishFindings() {
	p := q.publish
	if p.fails == 0 || q.now.Sub(p.unheard) >= recent {
		return
	}
	a := publishes()[p.code]
	f := Finding{Code: "unheard:" + p.code, Cause: a.cause, Remedy: a.remedy, rank: rankUnheard, Since: p.since, Count: p.fails, Evidence: []string{p.kind + ": " + p.detail}}
	if q.st != nil {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%d sessions are open now", len(q.st.Peers)))
	}
	if !p.heard.IsZero() {
		f.Evidence = append(f.Evidence, "the last that was heard went out at "+p.heard.UTC().Format(time.RFC3339))
	}
	q.add(f)
}

// has reports whether there is a finding of such a code already.
func (q *question) has(prefix string) bool {
	return slices.ContainsFunc(q.out, func(f Finding) bool { return len(f.Code) >= len(prefix) && f.Code[:len(prefix)] == prefix })
}

// telling says which of two reasons says more: the higher one. What ends a link
// without a word says least.
func telling(r peer.Reason) int {
	switch r {
	case peer.OK, peer.ByRemote, peer.LinkLost, peer.HandshakeFailed, peer.Duplicate, peer.AlreadyDialling:
		return 0
	case peer.BackOff, peer.Stopping, peer.Useless, peer.Internal:
		return 1
	case peer.DialTimeout, peer.HandshakeSlow, peer.Idle, peer.Slow:
		return 2
	case peer.DialFailed, peer.NameUnresolved:
		return 3
	case peer.TooManyPeers, peer.TooManyInbound, peer.TooManyFromAddr, peer.TooManyInPrefix:
		return 4
	case peer.WrongGenesis, peer.WrongNetwork:
		return 6
	}
	return 5
}

// dropped tells who let whom go for something that matters.
func (q *question) dropped() {
	type drop struct {
		k   key
		n   uint64
		bad bool
	}
	var drops []drop
	for k := range q.counts.by { // sorted below
		if k.kind != kindDropped {
			continue
		}
		n := q.counts.in(q.now, k, recent)
		switch peer.Reason(k.reason) {
		case peer.Banned, peer.PrefixBanned, peer.BadScore, peer.LowScore, peer.WrongNetwork, peer.WrongGenesis, peer.Idle, peer.Slow:
		default:
			continue
		}
		if n > 0 {
			drops = append(drops, drop{k, n, k.remote})
		}
	}
	slices.SortFunc(drops, func(a, b drop) int {
		return cmp.Or(-cmp.Compare(telling(peer.Reason(a.k.reason)), telling(peer.Reason(b.k.reason))), -cmp.Compare(a.n, b.n), cmp.Compare(a.k.reason, b.k.reason))
	})
	for _, d := range drops {
		cause, remedy := adviceOn(peer.Reason(d.k.reason), d.k.remote)
		f := Finding{Code: "dropped:" + d.k.reason, Cause: "peers were lost: " + cause, Remedy: remedy, Count: d.n, rank: rankDropped}
		if !d.k.remote {
			f.Code, f.Level, f.Cause, f.rank = "we-dropped:"+d.k.reason, Notice, "we let peers go: "+cause, rankWeDropped
		}
		f.Since, _ = q.counts.since(d.k)
		f.Evidence = q.examples(kindDropped, d.k.reason, d.k.remote)
		q.add(f)
	}
}

// examples are the last decisions of a kind, in words.
func (q *question) examples(kind, reason string, byRemote bool) (out []string) {
	for _, d := range q.lastDecisions(q.st) {
		if d.Kind == kind && d.Reason == reason && d.ByRemote == byRemote && len(out) < 3 {
			out = append(out, d.words())
		}
	}
	return out
}

// words is a decision for people.
func (d Decision) words() string {
	s := fmt.Sprintf("%s %s %s", d.Time.UTC().Format(time.TimeOnly), d.Kind, first(d.Addr, d.Peer))
	if d.ByRemote {
		s += " by the other side"
	}
	s += ": " + d.Reason
	if d.Kind == kindCharged {
		s += ", which is: it " + first(offenses()[peer.Offense(d.Reason)].cause, "broke a rule")
	}
	if d.Detail != "" {
		s += fmt.Sprintf(" (%q)", d.Detail)
	}
	return s
}

func (q *question) own() {
	for _, f := range q.st.Own {
		if f.rank = rankOwn; f.Level == Notice {
			f.rank = rankMinor
		}
		q.add(f)
	}
}

func (q *question) alarmed() {
	for i := len(q.alarms) - 1; i >= 0; i-- {
		a := q.alarms[i]
		if q.now.Sub(a.at) >= recent || len(q.alarms)-i > 3 {
			return
		}
		q.add(Finding{
			Code: "alarm", Level: Notice, rank: rankAlarm, Since: a.at,
			Cause: "alarm: " + a.text, Remedy: "see what it says; the log has more of that time",
		})
	}
}

// peersInWords is a number of peers.
func peersInWords(n int) string {
	if n == 1 {
		return "1 peer"
	}
	return fmt.Sprintf("%d peers", n)
}
