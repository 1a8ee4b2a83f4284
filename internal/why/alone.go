package why

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/peer"
)

// attempt is what became of the last try at one address.
type attempt struct {
	addr     string
	reason   peer.Reason
	byRemote bool
	detail   string
	at       time.Time
}

// attempts gives the last outcome at each address: those of the configuration
// first, then those of the book that were dialled lately.
func (q *question) attempts() (out []attempt) {
	seen := map[string]bool{}
	for _, f := range q.st.Outlook.Configured {
		addr := peer.Clean(f.Addr.Text)
		if f.Last == peer.OK || seen[addr] {
			continue
		}
		seen[addr] = true
		out = append(out, q.better(attempt{addr, f.Last, f.ByRemote, f.Detail, f.LastAt}, text(f.ID)))
	}
	ds := q.st.Outlook.Decisions
	for i := len(ds) - 1; i >= 0; i-- {
		d := ofTable(ds[i])
		if d.Kind != kindDialFailed || q.now.Sub(d.Time) >= recent || seen[d.Addr] {
			continue
		}
		seen[d.Addr] = true
		out = append(out, q.better(attempt{d.Addr, peer.Reason(d.Reason), d.ByRemote, d.Detail, d.Time}, d.Peer))
	}
	return out
}

// better looks for what says more than a link that ended without a word: a
// peer that bans us says so once, and later only closes.
func (q *question) better(a attempt, id string) attempt {
	if telling(a.reason) > 0 {
		return a
	}
	for _, d := range q.history.of(first(id, a.addr), map[string]bool{a.addr: true}) {
		r := peer.Reason(d.Reason)
		if q.now.Sub(d.Time) < time.Hour && (d.Kind == kindDropped || d.Kind == kindDialFailed) && d.ByRemote && telling(r) > telling(a.reason) {
			return attempt{a.addr, r, true, d.Detail, d.Time}
		}
	}
	return a
}

// outcome is a reason and side, and how many addresses ended with it.
type outcome struct {
	reason   peer.Reason
	byRemote bool
	n        int
	since    time.Time
}

// outcomes counts attempts by reason: the most frequent first, and of equally
// frequent ones the one that says most.
func outcomes(as []attempt) (out []outcome) {
	for _, a := range as {
		i := slices.IndexFunc(out, func(o outcome) bool { return o.reason == a.reason && o.byRemote == a.byRemote })
		if i < 0 {
			out = append(out, outcome{reason: a.reason, byRemote: a.byRemote, since: a.at})
			i = len(out) - 1
		}
		out[i].n++
		if a.at.Before(out[i].since) {
			out[i].since = a.at
		}
	}
	slices.SortFunc(out, func(a, b outcome) int {
		return cmp.Or(-cmp.Compare(a.n, b.n), -cmp.Compare(telling(a.reason), telling(b.reason)), cmp.Compare(a.reason, b.reason), cmp.Compare(side(a.byRemote), side(b.byRemote)))
	})
	return out
}

// alone says why there is no session at all.
func (q *question) alone() {
	if len(q.st.Peers) > 0 {
		return
	}
	o := q.st.Outlook
	up := q.now.Sub(q.st.Began)
	as := q.attempts()
	f := Finding{rank: rankAlone, Since: q.st.Began, Evidence: q.triedWords(as)}
	if _, last := q.lastSession(); !last.IsZero() {
		f.Since = last
	}
	set := func(code, cause, remedy string) {
		f.Code, f.Cause, f.Remedy = "no-peers:"+code, "no peers: "+cause, remedy
	}
	outs := outcomes(as)
	nobody := !slices.ContainsFunc(o.Configured, func(f starling.ConfiguredPeer) bool { return !waits(f) })
	switch {
	case !o.Dials && !o.Listens:
		set("all-off", "dialling and listening are both off", "take network.no_dial or network.no_listen out of the config")
	case !o.Dials && q.refusedCallers(set):
	case !o.Dials:
		f.rank = rankWaiting
		set("waiting-for-callers", "this node dials nobody, and no other node has called it", `give its address ("starling id" prints it) to other nodes as a seed or a static peer, or take network.no_dial out of the config`)
	case len(outs) > 0:
		w := outs[0]
		cause, remedy := adviceOnDial(w.reason, w.byRemote)
		set(string(w.reason), fmt.Sprintf("%s; so it ended at %d of %d addresses that were tried", cause, w.n, len(as)), remedy)
		f.Count = uint64(w.n)
	case nobody && o.Book == 0 && o.Named > 0 && o.Taken == 0:
		q.notTaken(set)
	case nobody && o.Book == 0 && !o.Discovers:
		set("nobody-to-dial", "nobody is known to dial: no seeds, no static peers, an empty address book, and discovery is off", "name a node of the network in network.seeds or network.static, or switch discovery on")
	case nobody && o.Book == 0 && up < settled:
		f.Level = Notice
		set("starting", "the node has just started and looks around", "wait a moment")
	case nobody && o.Book == 0:
		set("nobody-found", fmt.Sprintf("discovery has found nobody in %d rounds, and there are no seeds to begin with", o.Rounds), "name a node of the network in network.seeds; on a local network, network.mdns finds others")
	default:
		q.idleBook(set, &f, up)
	}
	q.add(f)
}

// idleBook says why the addresses that are known are not dialled.
func (q *question) idleBook(set func(code, cause, remedy string), f *Finding, up time.Duration) {
	o := q.st.Outlook
	var worst peer.Reason
	for _, r := range sortedReasons(o.Waiting) {
		if r != peer.OK && r != peer.AlreadyDialling && (worst == peer.OK || o.Waiting[r] > o.Waiting[worst] || o.Waiting[r] == o.Waiting[worst] && telling(r) > telling(worst)) {
			worst = r
		}
	}
	switch {
	case up < settled || o.Dialling > 0:
		f.Level = Notice
		set("starting", fmt.Sprintf("none is open yet; %d dials are under way", o.Dialling), "wait a moment")
	case worst != peer.OK:
		cause, remedy := adviceOn(worst, false)
		set(string(worst), fmt.Sprintf("none of the addresses that are known is dialled now; of %d, %d because: %s", o.Looked, o.Waiting[worst], cause), remedy)
		f.Count = uint64(o.Waiting[worst])
	default:
		set("waiting", "none is open, and no try has ended yet", "wait a moment")
	}
}

// refusedCallers is for a node that only listens: others called, and were refused.
func (q *question) refusedCallers(set func(code, cause, remedy string)) bool {
	var most key
	var n uint64
	for _, c := range q.counts.list(q.now) {
		if c.Kind == kindRefused && c.TenMinutes > n {
			most, n = key{c.Kind, c.Reason, c.ByRemote}, c.TenMinutes
		}
	}
	if n == 0 {
		return false
	}
	cause, remedy := adviceOn(peer.Reason(most.reason), most.remote)
	set(most.reason, fmt.Sprintf("%s; so it ended for callers, %d times in ten minutes", cause, n), remedy)
	return true
}

// notTaken is for a node that was told addresses and could keep none.
func (q *question) notTaken(set func(code, cause, remedy string)) {
	most, n := "", uint64(0)
	for _, why := range sorted(q.st.Outlook.NotTaken) {
		if c := q.st.Outlook.NotTaken[why]; c > n {
			most, n = why, c
		}
	}
	switch most {
	case "net-restricted":
		_, remedy := adviceOn(peer.NetRestricted, false)
		set(most, fmt.Sprintf("net_restrict excludes every address that was found (%d)", n), remedy)
	case "unwanted":
		_, remedy := adviceOn(peer.AddrUnwanted, false)
		set(string(peer.AddrUnwanted), fmt.Sprintf("every address that was found is private or of no use (%d)", n), remedy)
	default:
		set("not-taken", fmt.Sprintf("no address that was found could be kept (%d: %s)", n, most), "name a node of the network in network.seeds")
	}
}

// lastSession is the last peer that was let go or lost, and when.
func (q *question) lastSession() (Decision, time.Time) {
	for i := len(q.history.all) - 1; i >= 0; i-- {
		if d := q.history.all[i]; d.Kind == kindDropped {
			return d, d.Time
		}
	}
	return Decision{}, time.Time{}
}

// triedWords say what was tried, in a few lines.
func (q *question) triedWords(as []attempt) (out []string) {
	o := q.st.Outlook
	for _, a := range as[:min(len(as), 5)] {
		line := fmt.Sprintf("%s: %s", a.addr, a.reason)
		if a.byRemote {
			line += ", said the other side"
		}
		if a.detail != "" {
			line += fmt.Sprintf(" (%q)", peer.Clean(a.detail))
		}
		out = append(out, line)
	}
	if more := len(as) - 5; more > 0 {
		out = append(out, fmt.Sprintf("and %d more addresses", more))
	}
	if d, at := q.lastSession(); !at.IsZero() {
		out = append(out, "the last session: "+d.words())
	}
	out = append(out, fmt.Sprintf("%d configured addresses; the address book has %d, %d of them proven", len(o.Configured), o.Book, o.Proven))
	if o.Discovers {
		out = append(out, fmt.Sprintf("discovery: %d rounds, %d addresses told, %d taken", o.Rounds, o.Named, o.Taken))
	} else {
		out = append(out, "discovery is off")
	}
	if o.Listens {
		out = append(out, fmt.Sprintf("inbound: %d links began, %d became sessions", o.Knocks, o.Admitted))
	} else {
		out = append(out, "listening is off: nobody can call")
	}
	return out
}

func sortedReasons(m map[peer.Reason]int) []peer.Reason {
	keys := make([]peer.Reason, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
