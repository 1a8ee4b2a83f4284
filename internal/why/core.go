package why

import (
	"slices"
	"strings"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/peer"
)

// Kinds of what is decided and counted. The first five are the peer table's.
const (
	kindNotDialled = "not-dialled"
	kindDialFailed = "dial-failed"
	kindRefused    = "refused"
	kindDropped    = "dropped"
	kindBanned     = "banned"
	kindCharged    = "charged"
	kindOpened     = "opened"
	kindProbed     = "probed" // a session that a prober opened, for a moment
	kindPublish    = "publish"
	kindStuck      = "stuck"
)

// Core is what is known of the causes. It is for one goroutine, does no I/O and
// reads no clock.
type Core struct {
	live    bool
	words   map[peer.Reason]advice // the table of reasons
	counts  counts
	tallies map[starling.DecisionCount]uint64 // as they were last, by all but Count
	history history
	probers []peer.ID // that have a session; the oldest first

	sync    syncState
	publish publishState
	clock   clockState
	alarms  []alarm // the last, oldest first
}

type syncState struct {
	cause, detail string
	since         time.Time
	refused       string // a target or a branch that cannot be taken
	refusedWhat   string
	refusedAt     time.Time
}

type publishState struct {
	heard, unheard time.Time // the last
	since          time.Time // unheard from then on
	fails          uint64    // in a row
	code, detail   string
	kind           string
}

type clockState struct {
	since    time.Time // suspect from then on; zero: it is not
	skew     time.Duration
	jumpedAt time.Time
	jump     time.Duration
}

type alarm struct {
	at   time.Time
	text string
}

const keptAlarms = 16

// ProberAgent is what the agent of "starling probe" begins with. keptProbers
// bounds those that are known as such at a time: a peer that only says it is one
// hides no more of itself than that it left.
const (
	ProberAgent = "starling-probe/"
	keptProbers = 16
)

// New makes a Core. A live one is told by Sample how often what was decided;
// another counts the events that it is given, as those of a recording.
func New(live bool) *Core {
	return &Core{live: live, words: reasons(), tallies: map[starling.DecisionCount]uint64{}, history: newHistory()}
}

// Sample takes the sums of decisions since the node's start. What happened
// since the last Sample is counted as of now.
func (c *Core) Sample(now time.Time, sums []starling.DecisionCount) {
	for _, s := range sums {
		n := s.Count
		s.Count = 0
		old, known := c.tallies[s]
		if n <= old || !known && len(c.tallies) >= maxKeys {
			continue // an older look, which came late; or one that could not be told from the next
		}
		c.tallies[s] = n
		c.counts.add(now, key{s.Kind, string(s.Reason), s.ByRemote}, n-old)
	}
}

// Take takes one event in, which happened now.
func (c *Core) Take(now time.Time, ev starling.Event) {
	switch ev := ev.(type) {
	case starling.PeerOpened:
		d := Decision{Time: now, Kind: kindOpened, Peer: text(ev.Info.ID), Addr: peer.Clean(ev.Info.Addr.Text), Reason: ev.Info.Direction.String()}
		if ev.Info.Direction == peer.Inbound && strings.HasPrefix(ev.Info.Agent, ProberAgent) {
			d.Kind = kindProbed
			c.probers = append(c.probers[max(len(c.probers)-keptProbers+1, 0):], ev.Info.ID)
		}
		c.decided(d, false)
	case starling.PeerClosed:
		if at := slices.Index(c.probers, ev.ID); at >= 0 && ev.ByRemote {
			c.probers = slices.Delete(c.probers, at, at+1)
			return // it came to look, and has: that is no news
		}
		c.decided(Decision{Time: now, Kind: kindDropped, Reason: text(ev.Reason), Peer: text(ev.ID), ByRemote: ev.ByRemote, Detail: peer.Clean(ev.Detail)}, true)
	case starling.PeerRefused:
		d := Decision{Time: now, Kind: kindRefused, Reason: text(ev.Reason), Peer: text(ev.ID), Addr: peer.Clean(ev.Addr.Text), ByRemote: ev.ByRemote, Detail: peer.Clean(ev.Detail)}
		if ev.Direction == peer.Outbound {
			d.Kind = kindDialFailed
		}
		c.decided(d, true)
	case starling.PeerNotDialled:
		c.decided(Decision{Time: now, Kind: kindNotDialled, Reason: text(ev.Reason), Peer: text(ev.ID), Addr: peer.Clean(ev.Addr.Text), Detail: peer.Clean(ev.Detail)}, true)
	case starling.PeerBanned:
		d := Decision{Time: now, Kind: kindBanned, Reason: string(peer.Banned), Peer: peer.Clean(ev.Who), Detail: peer.Clean(ev.Reason) + " for " + ev.For.Round(time.Second).String()}
		c.decided(d, true)
	case starling.PeerCharged:
		c.decided(Decision{Time: now, Kind: kindCharged, Reason: text(ev.Offense), Peer: text(ev.ID), Detail: peer.Clean(ev.Detail)}, false)
		c.counts.add(now, key{kindCharged, offenseWord(ev.Offense), false}, 1)
	case starling.Published:
		c.published(now, ev)
	case starling.SyncChanged:
		c.syncChanged(now, ev)
	case starling.ClockSuspected:
		c.clock.since, c.clock.skew = time.Time{}, ev.Skew
		if ev.On {
			c.clock.since = now
		}
	case starling.ClockJumped:
		c.clock.jumpedAt, c.clock.jump = now, ev.By
	case starling.Alarm:
		if len(c.alarms) >= keptAlarms {
			c.alarms = append(c.alarms[:0], c.alarms[1:]...)
		}
		c.alarms = append(c.alarms, alarm{now, peer.Clean(ev.Text)})
	}
}

// decided files a decision. counted: the peer table counts such too.
func (c *Core) decided(d Decision, counted bool) {
	c.history.add(d)
	if counted && !c.live {
		c.counts.add(d.Time, key{d.Kind, c.word(d.Reason), d.ByRemote}, 1)
	}
}

func (c *Core) published(now time.Time, ev starling.Published) {
	p := &c.publish
	p.kind = peer.Clean(ev.Kind)
	if ev.Err == nil {
		p.heard, p.fails, p.since = now, 0, time.Time{}
		c.counts.add(now, key{kindPublish, "heard", false}, 1)
		return
	}
	p.code, p.detail, p.unheard = eventlog.PublishError(ev.Err), peer.Clean(ev.Err.Error()), now
	if p.fails++; p.fails == 1 {
		p.since = now
	}
	c.counts.add(now, key{kindPublish, p.code, false}, 1)
}

func (c *Core) syncChanged(now time.Time, ev starling.SyncChanged) {
	s := &c.sync
	switch ev.What {
	case "stuck":
		if ev.Cause != "" && ev.Cause != s.cause {
			s.since = now
			c.counts.add(now, key{kindStuck, causeWord(ev.Cause), false}, 1)
		}
		s.cause, s.detail = peer.Clean(ev.Cause), peer.Clean(ev.Detail)
	case "target-refused", "reorg-refused":
		s.refused, s.refusedWhat, s.refusedAt = peer.Clean(ev.Detail), ev.What, now
	case "gap-closed", "reorg":
		s.refused, s.refusedWhat = "", ""
	}
}

// text is a fixed or a remote's text, cleaned.
func text[T ~string](v T) string { return peer.Clean(string(v)) }

// The words that counts are kept by are those of the tables, so that a
// recording cannot bring in others.
func (c *Core) word(reason string) string {
	if _, ok := c.words[peer.Reason(reason)]; ok {
		return reason
	}
	return "other"
}

func offenseWord(o peer.Offense) string {
	if o.Severity() != peer.None {
		return string(o)
	}
	return "other"
}

func causeWord(cause string) string {
	for known := range stalls() {
		if string(known) == cause {
			return cause
		}
	}
	return "other"
}
