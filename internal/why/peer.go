package why

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/peer"
)

// MaxWho bounds what a peer may be called by in a question, in bytes.
const MaxWho = 512

// ErrWho: a question about nobody.
var ErrWho = errors.New("why: a peer is asked about by its identity, the last 6 characters of it or more, or an address of it")

// subject is the peer that is asked about, as far as it is known.
type subject struct {
	who   string
	ids   []string
	addrs map[string]bool
	open  *starling.Peer
	fixed *starling.ConfiguredPeer
	known []starling.KnownPeer
}

// is reports whether an identity or an address is the peer's.
func (s *subject) is(id, addr string) bool {
	return matches(s.who, id) || names(s.who, addr) || slices.Contains(s.ids, id) && id != "" || s.addrs[addr] && addr != ""
}

func (s *subject) learn(id, addr string) {
	if id != "" && !slices.Contains(s.ids, id) && len(s.ids) < 8 {
		s.ids = append(s.ids, id)
	}
	if addr != "" && len(s.addrs) < 64 {
		s.addrs[addr] = true
	}
}

// Peer answers for a peer, by its identity, the end of it, or an address. st is
// nil for a recording.
func (c *Core) Peer(now time.Time, st *State, who string) (Report, error) {
	if n := len(strings.TrimSpace(who)); n < shortID || len(who) > MaxWho {
		return Report{}, fmt.Errorf("%w; %.40q has %d, want %d to %d", ErrWho, peer.Clean(who), len(who), shortID, MaxWho)
	}
	who = strings.TrimSpace(who)
	if at := strings.LastIndex(who, "/p2p/"); at >= 0 && len(who)-at > 5+shortID {
		who = who[at+5:] // an address that names its peer means the peer
	}
	s := &subject{who: who, addrs: map[string]bool{}}
	q := &question{Core: c, now: now, st: st}
	q.find(s)
	decisions := q.decisions(s)
	q.bans(s)
	q.link(s)
	q.notDialled(s)
	q.past(s, decisions)
	if len(q.out) == 0 {
		q.add(Finding{
			Code: "unknown", Level: Notice, Subject: peer.Clean(who), Cause: "nothing is known of " + fmt.Sprintf("%q", peer.Clean(who)) + ": it was never dialled, never called, and nobody told of it",
			Remedy: `dial it with "starling connect ADDR", or add its address to network.static`,
		})
	}
	name := peer.Clean(who)
	if len(s.ids) > 0 {
		name = s.ids[0]
	}
	for i := range q.out {
		q.out[i].Subject = name
	}
	r := q.report(name)
	for _, d := range decisions {
		d.Time = d.Time.UTC().Round(0)
		r.Decisions = append(r.Decisions, d)
	}
	r.Counts = countsOf(now, decisions)
	return r, nil
}

// find looks up what is known of the peer now.
func (q *question) find(s *subject) {
	if q.st == nil {
		return
	}
	for i := range q.st.Peers {
		if p := &q.st.Peers[i]; s.is(string(p.Info.ID), p.Info.Addr.Text) {
			s.open = p
			s.learn(text(p.Info.ID), peer.Clean(p.Info.Addr.Text))
		}
	}
	for i := range q.st.Outlook.Configured {
		if f := &q.st.Outlook.Configured[i]; s.is(string(f.ID), f.Addr.Text) {
			s.fixed = f
			s.learn(text(f.ID), peer.Clean(f.Addr.Text))
		}
	}
	for _, k := range q.st.Known {
		if s.is(string(k.ID), k.Addr.Text) && len(s.known) < 16 {
			s.known = append(s.known, k)
			s.learn(text(k.ID), peer.Clean(k.Addr.Text))
		}
	}
}

// decisions are those about the peer, newest first.
func (q *question) decisions(s *subject) []Decision {
	out := q.history.of(s.who, s.addrs)
	for _, id := range s.ids {
		if id != s.who {
			out = append(out, q.history.of(id, nil)...)
		}
	}
	if q.st != nil {
		for _, d := range q.st.Outlook.Decisions {
			if d := ofTable(d); s.is(d.Peer, d.Addr) {
				out = append(out, d)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Decision) int { return b.Time.Compare(a.Time) })
	// An event and the peer table's own note are about the same decision.
	out = slices.CompactFunc(out, func(a, b Decision) bool {
		return a.Kind == b.Kind && a.Reason == b.Reason && a.ByRemote == b.ByRemote && a.Time.Sub(b.Time).Abs() < time.Second
	})
	for _, d := range out {
		s.learn(d.Peer, "")
	}
	return out[:min(len(out), keptEach)]
}

// bans tells of bans of ours that are in force.
func (q *question) bans(s *subject) {
	if q.st == nil {
		return
	}
	for _, b := range q.st.Bans {
		if !s.is(b.Who, "") {
			continue
		}
		_, remedy := adviceOn(peer.Banned, false)
		how := "by hand"
		if b.ByScore {
			how = "by its faults"
		}
		q.add(Finding{
			Code: "banned:by-us", rank: rankDisk, Cause: fmt.Sprintf("we banned it %s until %s: %s", how, b.Until.UTC().Format(time.RFC3339), peer.Clean(b.Reason)),
			Remedy: remedy, Evidence: append([]string{"the ban is of " + peer.Clean(b.Who)}, q.faults(s)...),
		})
	}
}

// faults are the peer's faults that are remembered, in words.
func (q *question) faults(s *subject) (out []string) {
	for _, d := range q.history.of(first(append(slices.Clone(s.ids), s.who)...), nil) {
		if d.Kind == kindCharged && len(out) < 5 {
			out = append(out, d.words())
		}
	}
	return out
}

// link tells how the open session stands.
func (q *question) link(s *subject) {
	if s.open == nil {
		return
	}
	p := s.open
	f := Finding{
		Code: "connected", Level: Notice, rank: rankMinor, Since: p.Info.Opened,
		Cause:    fmt.Sprintf("it is connected (%s, score %.0f, head %d)", p.Info.Direction, p.Score, p.Claims.Head.Number),
		Evidence: append([]string{"address " + peer.Clean(p.Info.Addr.Text), fmt.Sprintf("it calls itself %q", peer.Clean(p.Info.Agent))}, q.faults(s)...),
	}
	if p.Score <= -5 {
		f.Code, f.rank, f.Level = "connected:low-score", rankDropped, Trouble
		f.Cause += ": it committed faults, and at -20 it is let go, at -50 banned"
		_, f.Remedy = adviceOn(peer.BadScore, false)
		if worst := q.lastFault(s); worst != "" {
			f.Remedy = first(offenses()[worst].remedy, f.Remedy)
		}
	}
	q.add(f)
}

// lastFault is what the peer did last; empty if nothing is remembered.
func (q *question) lastFault(s *subject) peer.Offense {
	for _, d := range q.history.of(first(append(slices.Clone(s.ids), s.who)...), nil) {
		if d.Kind == kindCharged {
			return peer.Offense(d.Reason)
		}
	}
	return ""
}

// notDialled tells why the peer is not dialled now, or when it is.
func (q *question) notDialled(s *subject) {
	if s.open != nil || q.st == nil {
		return
	}
	if !q.st.Outlook.Dials {
		cause, remedy := adviceOn(peer.DiallingOff, false)
		q.add(Finding{Code: "not-dialled:dialling-off", rank: rankStatic, Cause: "it is not dialled: " + cause, Remedy: remedy})
	}
	if f := s.fixed; f != nil && f.Last != peer.OK {
		a := q.better(attempt{peer.Clean(f.Addr.Text), f.Last, f.ByRemote, f.Detail, f.LastAt}, text(f.ID))
		cause, remedy := adviceOnDial(a.reason, a.byRemote)
		fi := Finding{
			Code: "dial-failed:" + text(a.reason), rank: rankAlone, Cause: cause, Remedy: remedy, Since: a.at, Count: uint64(f.Tries),
			Evidence: []string{fmt.Sprintf("it is a %s peer: %d tries, the next at %s", listName(*f), f.Tries, f.Next.UTC().Format(time.RFC3339))},
		}
		if f.NotDialled {
			fi.Code = "not-dialled:" + text(a.reason)
		}
		if a.detail != "" {
			fi.Evidence = append(fi.Evidence, fmt.Sprintf("%q", peer.Clean(a.detail)))
		}
		q.add(fi)
	}
	for _, k := range s.known {
		if k.Avoided == peer.OK {
			continue
		}
		cause, remedy := adviceOn(k.Avoided, false)
		q.add(Finding{
			Code: "not-dialled:" + text(k.Avoided), rank: rankUnheard, Since: k.Tried, Remedy: remedy,
			Cause: fmt.Sprintf("its address %s is left alone for a day at most: %s", peer.Clean(k.Addr.Text), cause),
		})
	}
	if len(s.known) > 0 && !slices.ContainsFunc(s.known, func(k starling.KnownPeer) bool { return k.Avoided != peer.OK }) && s.fixed == nil {
		k := s.known[0]
		cause, remedy := adviceOn(peer.BackOff, false)
		f := Finding{Code: "not-dialled:back-off", Level: Notice, rank: rankNoInbound, Remedy: remedy}
		switch {
		case k.Tried.IsZero():
			f.Code, f.Cause, f.Remedy = "not-dialled:not-yet", "it is known, and was not dialled yet: there were peers enough, or others came first", `dial it now with "starling connect ADDR", or make it static`
		case q.now.Sub(k.Tried) < backOffShown:
			f.Cause = "it is not dialled just now: " + cause
			f.Since = k.Tried
		default:
			f.Code, f.Cause, f.Remedy = "not-dialled:peers-enough", "it is known, and not dialled: there are peers enough, or others come first", `dial it now with "starling connect ADDR", or make it static`
		}
		q.add(f)
	}
}

// backOffShown is how long after a try the pause is the likely cause: that of an
// address which was never proven grows to half an hour.
const backOffShown = 30 * time.Minute

// past tells what the last decisions about the peer mean.
func (q *question) past(s *subject, ds []Decision) {
	told := map[string]bool{}
	rank := rankStuck
	for _, d := range ds {
		r := peer.Reason(d.Reason)
		code := d.Kind + ":" + d.Reason
		if d.Kind == kindOpened || d.Kind == kindCharged || told[code] || len(told) >= 4 {
			continue
		}
		if s.open != nil && d.Kind != kindDropped {
			continue // it is here
		}
		told[code] = true
		if q.has(code) {
			continue
		}
		cause, remedy := adviceOn(r, d.ByRemote)
		f := Finding{Code: code, Cause: cause, Remedy: remedy, Since: d.Time, rank: rank, Evidence: []string{d.words()}}
		switch d.Kind {
		case kindDropped:
			f.Cause = "the session ended: " + cause
		case kindRefused:
			f.Cause = "it called and was refused: " + cause
		case kindDialFailed:
			cause, f.Remedy = adviceOnDial(r, d.ByRemote)
			f.Cause = "the dial failed: " + cause
		case kindNotDialled:
			f.Cause = "it was not dialled: " + cause
		case kindBanned:
			if d.Reason == string(peer.Banned) {
				f.Cause = "it was banned by us: " + d.Detail
			}
		}
		if d.Kind == kindDropped && (r == peer.BadScore || r == peer.LowScore || r == peer.Banned) && !d.ByRemote {
			f.Evidence = append(f.Evidence, q.faults(s)...)
		}
		if s.open != nil || r == peer.Duplicate {
			f.Level, f.rank = Notice, rankMinor-1
		}
		// What ended without a word says less than the word that came before it.
		if telling(r) == 0 {
			f.rank = rank - 20
		}
		q.add(f)
		rank--
	}
}

// countsOf counts decisions that are at hand.
func countsOf(now time.Time, ds []Decision) []Count {
	var c counts
	for i := len(ds) - 1; i >= 0; i-- {
		c.add(ds[i].Time, key{ds[i].Kind, ds[i].Reason, ds[i].ByRemote}, 1)
	}
	return c.list(now)
}
