package why

import (
	"fmt"
	"slices"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/peer"
)

// configured tells of static and trusted peers, and seeds, that are not there
// though others are.
func (q *question) configured() {
	if len(q.st.Peers) == 0 {
		return
	}
	alike := map[string]int{} // the finding of each code that stands for the others
	for _, f := range q.st.Outlook.Configured {
		if f.Last == peer.OK || q.st.here(f) {
			continue
		}
		a := q.better(attempt{peer.Clean(f.Addr.Text), f.Last, f.ByRemote, f.Detail, f.LastAt}, text(f.ID))
		foreign := a.reason == peer.WrongGenesis || a.reason == peer.WrongNetwork || a.reason == peer.NoCommonProto || a.reason == peer.KeyType ||
			a.reason == peer.WrongIdentity || a.reason == peer.NameUnresolved || a.reason == peer.Self
		rank, level := rankStatic, Trouble
		if !f.Static && !(f.Trusted && f.Wanted) {
			if !foreign && !f.Wanted {
				continue // a seed is dialled only while there are few peers
			}
			rank, level = rankSeed, Notice
		}
		cause, remedy := adviceOnDial(a.reason, a.byRemote)
		code := "peer-missing:" + text(a.reason)
		if at, ok := alike[code+level]; ok {
			q.join(&q.out[at], a)
			continue
		}
		alike[code+level] = len(q.out)
		fi := Finding{
			Code: code, Level: level, rank: rank, Subject: first(text(f.ID), a.addr), Since: a.at, Count: uint64(f.Tries),
			Cause: fmt.Sprintf("the %s peer %s is not connected: %s", listName(f), a.addr, cause), Remedy: remedy,
		}
		if a.detail != "" {
			fi.Evidence = append(fi.Evidence, fmt.Sprintf("%q", peer.Clean(a.detail)))
		}
		fi.Evidence = append(fi.Evidence, fmt.Sprintf("%d tries; the next at %s", f.Tries, f.Next.UTC().Format(time.RFC3339)))
		q.add(fi)
	}
}

// here reports whether a configured peer has a session, by whatever address.
func (st *State) here(f starling.ConfiguredPeer) bool {
	return f.Connected || f.ID != "" && slices.ContainsFunc(st.Peers, func(p starling.Peer) bool { return p.Info.ID == f.ID })
}

// maxEvidence bounds the lines that one finding has.
const maxEvidence = 8

// join adds another peer to a finding of the same code.
func (q *question) join(f *Finding, a attempt) {
	f.others++
	if len(f.Evidence) < maxEvidence {
		f.Evidence = append(f.Evidence, "the same of "+a.addr)
	}
}

// waits reports whether a peer is only let in, and not dialled.
func waits(f starling.ConfiguredPeer) bool {
	return f.Trusted && !f.Static && !f.Seed && !f.Wanted && f.Last == peer.OK
}

func listName(f starling.ConfiguredPeer) string {
	switch {
	case f.Trusted:
		return "trusted"
	case f.Static:
		return "static"
	}
	return "seed"
}

// few tells why a node that has peers, but fewer than it wants, dials no more.
func (q *question) few() {
	o := q.st.Outlook
	if len(q.st.Peers) == 0 || !o.Dials || q.st.Status.Outbound >= o.OutboundWanted || q.now.Sub(q.st.Began) < settled {
		return
	}
	f := Finding{Level: Notice, rank: rankFew, Since: q.st.Began, Evidence: []string{
		fmt.Sprintf("%d outbound sessions, %d are wanted; %d dials under way, of %d at once", q.st.Status.Outbound, o.OutboundWanted, o.Dialling, o.DialSlots),
		fmt.Sprintf("the address book has %d addresses%s", o.Book, listing(waiting(o))),
	}}
	for _, a := range q.attempts() {
		if len(f.Evidence) < maxEvidence {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s was dialled last at %s: %s", a.addr, a.at.UTC().Format(time.TimeOnly), a.reason))
		}
	}
	var worst peer.Reason
	idle := 0
	for _, r := range sortedReasons(o.Waiting) {
		if r == peer.OK || r == peer.Duplicate || r == peer.AlreadyDialling {
			continue
		}
		idle += o.Waiting[r]
		if worst == peer.OK || o.Waiting[r] > o.Waiting[worst] {
			worst = r
		}
	}
	switch {
	case o.Dialling >= o.DialSlots:
		f.Code, f.Cause = "few-peers:no-dial-slot", fmt.Sprintf("fewer outbound peers than wanted: all %d dials that may be under way are", o.DialSlots)
		f.Remedy = "wait: many addresses are dead, and each takes up to 10 s to show it"
	case worst != peer.OK && o.Waiting[peer.OK] == 0:
		cause, remedy := adviceOn(worst, false)
		f.Code, f.Cause, f.Remedy, f.Count = "few-peers:"+string(worst), fmt.Sprintf("fewer outbound peers than wanted: of %d addresses that could be dialled, %d cannot now, since %s", idle, o.Waiting[worst], cause), remedy, uint64(o.Waiting[worst])
	default:
		return // nobody else is known: a small network
	}
	q.add(f)
}

func waiting(o starling.Outlook) map[string]int {
	out := map[string]int{}
	for r, n := range o.Waiting {
		out[first(string(r), "free-to-dial")] = n
	}
	return out
}

// full tells whom we, or they, had no room for, and why inbound links are
// refused.
func (q *question) full() {
	for _, c := range q.counts.list(q.now) {
		if c.TenMinutes == 0 {
			continue
		}
		r := peer.Reason(c.Reason)
		switch r {
		case peer.TooManyPeers, peer.TooManyInbound, peer.TooManyFromAddr, peer.TooManyInPrefix, peer.HandshakeRate, peer.HandshakesFull, peer.NetRestricted:
		default:
			continue
		}
		cause, remedy := adviceOn(r, c.ByRemote)
		f := Finding{Level: Notice, Remedy: remedy, Count: c.TenMinutes, rank: rankFull, Evidence: q.examples(c.Kind, c.Reason, c.ByRemote)}
		f.Since, _ = q.counts.since(key{c.Kind, c.Reason, c.ByRemote})
		switch {
		case c.Kind == kindRefused && !c.ByRemote:
			f.Code, f.Cause = "refused:"+c.Reason, "callers were refused: "+cause
		case c.Kind == kindDialFailed && c.ByRemote && q.st != nil && len(q.st.Peers) > 0:
			f.Code, f.Cause, f.rank = "they-refused:"+c.Reason, "peers refused our dials: "+cause, rankMinor
		default:
			continue
		}
		if q.st != nil {
			o := q.st.Outlook
			f.Evidence = append(f.Evidence, fmt.Sprintf("%d sessions of %d, %d inbound of %d", len(q.st.Peers), o.MaxPeers, q.st.Status.Inbound, o.MaxInbound))
			for _, p := range o.Kept {
				f.Evidence = append(f.Evidence, fmt.Sprintf("%d of them kept for peers that speak %s, %d with such", p.Count, p.Capability, p.Taken))
			}
		}
		q.add(f)
	}
}

// inbound tells why nobody calls.
func (q *question) inbound() {
	o := q.st.Outlook
	f := Finding{Level: Notice, rank: rankNoInbound, Since: q.st.Began}
	switch {
	case q.st.Status.Inbound > 0:
		return
	case !o.Listens:
		f.Code, f.Cause = "no-inbound:listening-off", "nobody can call this node: listening is off"
		f.Evidence = append(f.Evidence, fmt.Sprintf("%d sessions, all of them opened by this node", len(q.st.Peers)))
		f.Remedy = "take network.no_listen out of the config, if others are to reach it"
	case o.Admitted > 0 || q.now.Sub(q.st.Began) < inboundTrials:
		return
	case o.Knocks > 0:
		f.Code, f.Cause = "no-inbound:handshakes-fail", fmt.Sprintf("links are opened to this node (%d), and none became a session", o.Knocks)
		f.Remedy = `COUNTS below says why callers were refused; try "starling probe" from another machine`
	case private(q.st) != "":
		f.Code, f.Cause = "no-inbound:private-address", fmt.Sprintf("no other node has ever called: this node gives %s as its address, which others cannot reach", private(q.st))
		f.Remedy = "set network.advertise to the public address, and forward its port to this machine"
	default:
		f.Code, f.Cause = "no-inbound:never", "no other node has ever called"
		f.Remedy = `check port forwarding and the firewall ("starling doctor" looks), and that network.advertise is right; a node that is new takes a while to be known`
	}
	for _, a := range q.st.Status.Addrs[:min(len(q.st.Status.Addrs), 4)] {
		f.Evidence = append(f.Evidence, "it gives the address "+peer.Clean(a.Text))
	}
	q.add(f)
}

// private gives one of our addresses if all of them are private.
func private(st *State) string {
	out := ""
	for _, ip := range st.IPs {
		if !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			return ""
		}
		out = ip.String()
	}
	return out
}

// tried lists what was tried.
func tried(st *State) *Tried {
	o := st.Outlook
	t := &Tried{
		Configured: []TriedAddr{}, Listens: o.Listens, Dials: o.Dials, Discovers: o.Discovers, Knocks: o.Knocks, Admitted: o.Admitted,
		Rounds: o.Rounds, Found: o.Named, Taken: o.Taken, Book: o.Book, Proven: o.Proven, Waiting: waiting(o), NextDial: o.NextDial.Round(0), Sessions: len(st.Peers),
	}
	for k, n := range o.NotTaken {
		if t.NotTaken == nil {
			t.NotTaken = map[string]int{}
		}
		t.NotTaken[k] = int(n)
	}
	for _, f := range o.Configured {
		a := TriedAddr{
			Addr: peer.Clean(f.Addr.Text), Peer: text(f.ID), List: listName(f), Connected: st.here(f), Tries: f.Tries,
			Result: text(f.Last), ByRemote: f.ByRemote, Detail: peer.Clean(f.Detail), Next: f.Next.UTC().Round(0),
		}
		switch {
		case a.Connected:
			a.Result = "connected"
		case f.Last == peer.OK && f.Dialling:
			a.Result = "being dialled"
		case waits(f):
			a.Result = "waited for"
		case f.Last == peer.OK:
			a.Result = "not tried yet"
		}
		t.Configured = append(t.Configured, a)
	}
	return t
}
