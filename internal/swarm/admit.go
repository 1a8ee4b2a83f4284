package swarm

import (
	"net/netip"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// snapshot is what readers see of the core. It is never changed once it is
// published.
type snapshot struct {
	stopping bool
	self     peer.ID
	suspect  bool
	skew     time.Duration

	peers    []PeerView // by the order in which they opened
	byID     map[peer.ID]int
	byIP     map[netip.Addr]int // ordinary sessions
	byPrefix map[netip.Prefix]int

	roomIn  bool // an ordinary inbound session would be taken, or a useless one let go for it
	inFull  bool // it is the inbound bound that stands in the way
	places  []PlacesView
	awaited bool // an exempt peer is not here: an unknown caller may be it

	exemptIDs map[peer.ID]bool
	exemptIPs map[netip.AddrPort]bool // port 0: any

	bans     map[subject]time.Time
	prefixes map[netip.Prefix]*ban
	low      map[subject]bool
	banList  []BanView
}

// admit decides about a link from the snapshot. first tells that the gate has
// to be asked as well: an inbound link before its handshake.
func (v *snapshot) admit(cfg *Config, now time.Time, l wire.Link) (why peer.Reason, first bool) {
	ep := clean(l.Endpoint)
	inbound := l.Direction == peer.Inbound
	exempt := l.ID != "" && v.exemptIDs[l.ID] ||
		!cfg.ProvenIdentity && ep.IsValid() && (v.exemptIPs[ep] || v.exemptIPs[netip.AddrPortFrom(ep.Addr(), 0)])
	switch {
	case v.stopping:
		return peer.Stopping, false
	case inbound && cfg.NoListen:
		return peer.ListeningOff, false
	case !inbound && cfg.NoDial:
		return peer.DiallingOff, false
	case cfg.restricted(ep):
		return peer.NetRestricted, false
	case l.ID != "" && l.ID == v.self:
		return peer.Self, false
	case exempt:
		return peer.OK, inbound && l.ID == ""
	}
	subj := cfg.subject(l.ID, ep)
	if subj != "" {
		if until, ok := v.bans[subj]; ok && now.Before(until) {
			return peer.Banned, false
		}
		if v.low[subj] {
			return peer.LowScore, false
		}
	}
	if b := prefixBan(v.prefixes, ep.Addr(), now); b != nil && (!b.auto || inbound) && !(l.ID == "" && v.awaited && b.auto) {
		return peer.PrefixBanned, false
	}
	if !inbound {
		return peer.OK, false
	}
	if _, have := v.byID[l.ID]; have {
		return peer.OK, false // which of the two links stays is for Open to say
	}
	if l.ID == "" && v.awaited {
		return peer.OK, true // who it is decides
	}
	if ep.IsValid() && cfg.counted(ep.Addr()) {
		if v.byIP[ep.Addr()] >= cfg.MaxPerAddr {
			return peer.TooManyFromAddr, false
		}
		if v.byPrefix[subnet.Of(ep.Addr())] >= cfg.MaxPerPrefix {
			return peer.TooManyInPrefix, false
		}
	}
	if !v.roomIn {
		if v.inFull {
			return peer.TooManyInbound, false
		}
		return peer.TooManyPeers, false
	}
	return peer.OK, l.ID == ""
}

// publish builds the snapshot from the core. What has not changed since last
// is shared with it.
func (c *core) publish(now time.Time, last *snapshot, self peer.ID) *snapshot {
	v := &snapshot{
		stopping: c.stopping, self: self, suspect: c.clock.suspect, skew: c.clock.skew,
		byID: map[peer.ID]int{}, byIP: map[netip.Addr]int{}, byPrefix: map[netip.Prefix]int{},
		exemptIDs: map[peer.ID]bool{}, exemptIPs: map[netip.AddrPort]bool{},
	}
	for _, id := range c.order {
		s := c.sessions[id]
		exempt := c.isExempt(s)
		v.byID[s.info.ID] = len(v.peers)
		v.peers = append(v.peers, c.view(now, s))
		if exempt && c.cfg.ProvenIdentity {
			v.exemptIDs[s.info.ID] = true
		}
		if !exempt && s.ep.IsValid() {
			v.byIP[s.ep.Addr()]++
			v.byPrefix[subnet.Of(s.ep.Addr())]++
		}
	}
	for _, f := range c.fixed {
		if !f.static && !f.trusted {
			continue
		}
		v.awaited = v.awaited || !f.connected
		if c.cfg.ProvenIdentity {
			v.exemptIDs[f.id], v.exemptIDs[f.learned] = true, true
		} else if f.ep.IsValid() {
			if c.cfg.counted(f.ep.Addr()) {
				v.exemptIPs[netip.AddrPortFrom(f.ep.Addr(), 0)] = true
			} else {
				v.exemptIPs[f.ep] = true
			}
		}
	}
	for id := range c.protected { // order does not matter: it fills a map
		if c.cfg.ProvenIdentity {
			v.exemptIDs[id] = true
		}
		_, here := c.byID[id]
		v.awaited = v.awaited || !here
	}
	delete(v.exemptIDs, "")
	n := c.counts()
	full := n.ordinary >= c.ordinaryCap() || n.all >= c.cfg.MaxPeers // what the caller speaks, its handshake tells
	v.places = c.placesViews(n)
	v.inFull = n.inbound >= c.cfg.MaxInbound
	v.roomIn = !full && !v.inFull || c.leastUseful(now, func(o *session) bool { return o.inbound }, true) != nil

	if last != nil && !c.bans.changed {
		v.bans, v.prefixes, v.low, v.banList = last.bans, last.prefixes, last.low, last.banList
		return v
	}
	v.bans, v.prefixes, v.low = map[subject]time.Time{}, map[netip.Prefix]*ban{}, map[subject]bool{}
	for _, s := range sortedKeys(c.bans.by) {
		if b := c.bans.by[s]; now.Before(b.until) {
			v.bans[s] = b.until
			v.banList = append(v.banList, BanView{Target: s.target(), Until: b.until, Reason: b.reason, Auto: b.auto, Times: b.nth})
		}
	}
	for _, p := range sortedPrefixes(c.bans.prefixes) {
		b := *c.bans.prefixes[p]
		v.prefixes[p] = &b
		v.banList = append(v.banList, BanView{Target: ByPrefix(p), Until: b.until, Reason: b.reason, Auto: b.auto})
	}
	for s := range c.board.low {
		v.low[s] = true
	}
	return v
}
