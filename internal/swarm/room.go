package swarm

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
)

const (
	rotateEvery = 10 * time.Minute // a full table lets the least useful go
	useWindow   = 10 * time.Minute // without a delivery this long, a session is idle
)

// counts is how the slots are used. Ordinary sessions are those that limits
// apply to.
type counts struct {
	all, ordinary, inbound, outbound int // inbound and outbound of the ordinary
	seededOut                        int
	speak                            []int // ordinary sessions that speak each of Config.Places
}

func (c *core) counts() (n counts) {
	if len(c.cfg.Places) > 0 {
		n.speak = make([]int, len(c.cfg.Places))
	}
	for _, id := range c.order {
		s := c.sessions[id]
		n.all++
		if !s.inbound && s.seeded {
			n.seededOut++
		}
		if c.isExempt(s) {
			continue
		}
		n.ordinary++
		for i, yes := range s.speaks {
			if yes {
				n.speak[i]++
			}
		}
		if s.inbound {
			n.inbound++
		} else {
			n.outbound++
		}
	}
	return n
}

// crowded reports whether an IP address or its prefix has all the ordinary
// sessions that it may have, one that is about to go apart.
func (c *core) crowded(ip netip.Addr, going *session) peer.Reason {
	if !c.cfg.counted(ip) {
		return peer.OK
	}
	sameIP, samePrefix := 0, 0
	p := subnet.Of(ip)
	for _, id := range c.order {
		s := c.sessions[id]
		if !s.ep.IsValid() || !p.Contains(s.ep.Addr()) || s == going || c.isExempt(s) {
			continue
		}
		samePrefix++
		if s.ep.Addr() == ip {
			sameIP++
		}
	}
	switch {
	case sameIP >= c.cfg.MaxPerAddr:
		return peer.TooManyFromAddr
	case samePrefix >= c.cfg.MaxPerPrefix:
		return peer.TooManyInPrefix
	}
	return peer.OK
}

// ordinaryCap is how many ordinary sessions there may be.
func (c *core) ordinaryCap() int { return c.cfg.MaxPeers - c.cfg.Reserved }

// makeRoom finds a slot for s, and lets a less useful session go for it where
// the rules allow. It gives the reason if there is no slot.
func (c *core) makeRoom(now time.Time, s *session, d *dial, exempt bool) (peer.Reason, string) {
	n := c.counts()
	if exempt {
		if n.all+c.kept(n, nil) >= c.cfg.MaxPeers {
			all := n.all >= c.cfg.MaxPeers
			v := c.leastUseful(now, func(o *session) bool { return all || !c.holds(n, o, nil) }, false)
			if v == nil && all {
				v = c.newest() // or there would be more than may be
			}
			if v != nil {
				c.drop(now, v, peer.Useless, false, true)
			}
		}
		return peer.OK, "" // with all slots held by such peers, the lists that name them are the bound
	}
	if why := c.crowded(s.ep.Addr(), nil); why != peer.OK && s.ep.IsValid() {
		return why, s.ep.Addr().String()
	}
	full := c.full(n, s)
	detail := fmt.Sprintf("%d of %d sessions, %d of %d inbound%s", n.all, c.cfg.MaxPeers, n.inbound, c.cfg.MaxInbound, c.keptText(n, s))
	switch {
	case s.inbound && (full || n.inbound+c.kept(n, s) >= c.cfg.MaxInbound):
		v := c.leastUseful(now, func(o *session) bool { return o.inbound && !c.holds(n, o, s) }, true)
		if v == nil {
			if n.inbound >= c.cfg.MaxInbound {
				return peer.TooManyInbound, detail
			}
			return peer.TooManyPeers, detail
		}
		c.drop(now, v, peer.Useless, false, true)
	case s.inbound:
	case d != nil && d.why == whyFeeler:
		return c.feelerArrived(now, s, n, full, detail)
	case full && s.asked:
		v := c.leastUseful(now, func(o *session) bool { return !o.asked && !c.holds(n, o, s) }, false)
		if v == nil {
			return peer.TooManyPeers, detail
		}
		c.drop(now, v, peer.Useless, false, true)
	case full:
		return peer.TooManyPeers, detail
	}
	return peer.OK, ""
}

// feelerArrived keeps a test dial that reached a peer only if a slot is wanted
// for it, or one is kept for what it speaks: otherwise it has done its work,
// which was to prove the address. Now
// and then it takes the place of an outbound session that delivers nothing
// while others do, so that a full table does not freeze.
func (c *core) feelerArrived(now time.Time, s *session, n counts, full bool, detail string) (peer.Reason, string) {
	if !full && (n.outbound < c.outboundWanted(n) || c.fills(n, s)) {
		return peer.OK, ""
	}
	if now.Before(c.nextRotate) {
		return peer.TooManyPeers, detail
	}
	others := false
	for _, id := range c.order {
		others = others || now.Sub(c.sessions[id].lastUseful) < useWindow && c.sessions[id].blocks+c.sessions[id].txs > 0
	}
	v := c.leastUseful(now, func(o *session) bool {
		return !o.inbound && !o.asked && !c.holds(n, o, s) && now.Sub(o.opened) >= useWindow && now.Sub(o.lastUseful) >= useWindow
	}, false)
	if !others || v == nil {
		return peer.TooManyPeers, detail
	}
	c.nextRotate = now.Add(c.jitter(rotateEvery))
	c.drop(now, v, peer.Useless, false, true)
	return peer.OK, ""
}

// leastUseful finds whom to let go among the ordinary sessions that match. With
// spare, those that are hard to fake for an attacker stay, as in Bitcoin: some
// of the rarest prefixes, the quickest, the last deliverers of transactions and
// of blocks, and the longest connected. Of the rest the idle go first, then
// those of the most crowded group, the youngest of them first; last of all those
// in places that are kept for what they speak.
func (c *core) leastUseful(now time.Time, match func(*session) bool, spare bool) *session {
	var left []*session
	for _, id := range c.order {
		if s := c.sessions[id]; match(s) && !c.isExempt(s) && now.Sub(s.opened) >= c.cfg.Grace {
			left = append(left, s)
		}
	}
	if spare {
		left = c.spare(left)
	}
	if len(left) == 0 {
		return nil
	}
	n, groups := c.counts(), map[string]int{}
	for _, s := range left {
		groups[s.group()]++
	}
	return slices.MinFunc(left, func(a, b *session) int {
		return cmp.Or(
			boolFirst(!c.holds(n, a, nil), !c.holds(n, b, nil)),
			boolFirst(a.isIdle(now), b.isIdle(now)),
			-cmp.Compare(groups[a.group()], groups[b.group()]),
			-a.opened.Compare(b.opened),
			-cmp.Compare(a.id, b.id),
		)
	})
}

// newest is the ordinary session that was opened last, in its grace or not; nil:
// there is none.
func (c *core) newest() (last *session) {
	for _, id := range c.order {
		if s := c.sessions[id]; !c.isExempt(s) && (last == nil || s.opened.After(last.opened)) {
			last = s
		}
	}
	return last
}

// isIdle reports whether the session has only kept itself alive.
func (s *session) isIdle(now time.Time) bool {
	return now.Sub(s.opened) >= useWindow && now.Sub(s.lastUseful) >= useWindow
}

// group is the group that eviction counts s in.
func (s *session) group() string { return s.grp }

func (s *session) findGroup() string {
	if !s.ep.IsValid() {
		return string(s.info.ID)
	}
	if s.ep.Addr().IsLoopback() {
		return s.ep.String()
	}
	return subnet.Operator(s.ep.Addr()).String()
}

// spare takes the protected out of left: 28 of a full table, less of a small
// one, so that always somebody can be let go. Those in kept places are apart.
func (c *core) spare(left []*session) []*session {
	n, most := c.counts(), c.cfg.MaxInbound
	for _, id := range c.order {
		if s := c.sessions[id]; s.inbound && !c.isExempt(s) && c.holds(n, s, nil) {
			most--
		}
	}
	total := max(0, min(protectedInFull, int(math.Ceil(0.85*float64(most))), most-1))
	room := total
	keep := func(share int, fit func(*session) bool, better func(a, b *session) int) {
		n := (share*total + protectedInFull - 1) / protectedInFull
		slices.SortFunc(left, func(a, b *session) int {
			return cmp.Or(boolFirst(fit(a), fit(b)), better(a, b), cmp.Compare(a.id, b.id))
		})
		n = min(n, room, len(left))
		for n > 0 && !fit(left[n-1]) {
			n--
		}
		left = left[n:]
		room -= n
	}
	all := func(*session) bool { return true }
	keep(4, func(s *session) bool { return !s.lastBlock.IsZero() }, func(a, b *session) int { return -a.lastBlock.Compare(b.lastBlock) })
	keep(4, func(s *session) bool { return !s.lastTx.IsZero() }, func(a, b *session) int { return -a.lastTx.Compare(b.lastTx) })
	// A group's rank under our secret cannot be aimed at from outside.
	keep(4, all, func(a, b *session) int { return -cmp.Compare(a.rank, b.rank) })
	keep(8, func(s *session) bool { return s.rtt > 0 }, func(a, b *session) int { return cmp.Compare(a.rtt, b.rtt) })
	keep(protectedInFull, all, func(a, b *session) int { return a.opened.Compare(b.opened) }) // the rest of the room
	return left
}

// trim lets ordinary sessions go until the rules hold again: after a peer has
// lost its exemption.
func (c *core) trim(now time.Time) {
	for _, id := range slices.Clone(c.order) {
		s := c.sessions[id]
		if c.isExempt(s) {
			continue
		}
		if c.bans.running(s.subj, now) {
			c.drop(now, s, peer.Banned, false, true)
		} else if st := c.board.by[s.subj]; st != nil && st.faults(now) < c.cfg.MinScore {
			c.drop(now, s, peer.LowScore, false, true)
		}
	}
	for {
		n := c.counts()
		var v *session
		switch {
		case n.inbound > c.cfg.MaxInbound:
			v = c.leastUseful(now, func(s *session) bool { return s.inbound }, false)
		case n.ordinary > c.ordinaryCap():
			v = c.leastUseful(now, func(*session) bool { return true }, false)
		case n.ordinary+c.kept(n, nil) > c.ordinaryCap():
			v = c.leastUseful(now, func(s *session) bool { return !c.holds(n, s, nil) }, false)
		default:
			c.trimCrowds(now)
			return
		}
		if v == nil {
			return
		}
		c.drop(now, v, peer.TooManyPeers, false, true)
	}
}

// trimCrowds makes the per-address and per-prefix limits hold again.
func (c *core) trimCrowds(now time.Time) {
	byIP, byPrefix := map[netip.Addr]int{}, map[netip.Prefix]int{}
	for _, id := range slices.Clone(c.order) {
		s := c.sessions[id]
		if c.isExempt(s) || !c.cfg.counted(s.ep.Addr()) {
			continue
		}
		ip := s.ep.Addr()
		switch {
		case byIP[ip] >= c.cfg.MaxPerAddr:
			c.drop(now, s, peer.TooManyFromAddr, false, true)
		case byPrefix[subnet.Of(ip)] >= c.cfg.MaxPerPrefix:
			c.drop(now, s, peer.TooManyInPrefix, false, true)
		default:
			byIP[ip]++
			byPrefix[subnet.Of(ip)]++
		}
	}
}

// Usefulness is what a peer delivered since the last word about it.
type Usefulness struct {
	Blocks, Txs int           // first deliveries that were valid
	RTT         time.Duration // a round trip; 0: not measured
}

func (c *core) useful(now time.Time, ev inUseful) {
	id, ok := c.byID[ev.ID]
	if !ok {
		return
	}
	s := c.sessions[id]
	if ev.Note.RTT > 0 && (s.rtt == 0 || ev.Note.RTT < s.rtt) {
		s.rtt = ev.Note.RTT
	}
	if ev.Note.Blocks > 0 {
		s.blocks += float64(ev.Note.Blocks)
		s.lastBlock, s.lastUseful = now, now
	}
	if ev.Note.Txs > 0 {
		s.txs += float64(ev.Note.Txs)
		s.lastTx, s.lastUseful = now, now
	}
	if ev.Note.Blocks > 0 || ev.Note.Txs > 0 {
		c.board.of(now, s.subj).earn(now, 0.1*float64(max(0, ev.Note.Blocks))+0.01*float64(max(0, ev.Note.Txs)))
		c.board.touch(s.subj)
	}
}

// pingAll starts the keep-alive checks that are due.
func (c *core) pingAll(now time.Time) {
	if c.cfg.Ping == nil || c.stopping {
		return
	}
	for _, id := range c.order {
		if s := c.sessions[id]; !s.pinging && !now.Before(s.pingAt) {
			s.pinging = true
			c.do(effPing{Sid: id})
		}
	}
}

// pong takes the outcome of a keep-alive check. Two misses in a row end the
// session; silence is never a fault here.
func (c *core) pong(now time.Time, ev inPong) {
	s := c.sessions[ev.Sid]
	if s == nil {
		return
	}
	s.pinging = false
	s.pingAt = now.Add(c.jitter(c.cfg.KeepAlive))
	if ev.OK {
		s.misses = 0
		if ev.RTT > 0 && (s.rtt == 0 || ev.RTT < s.rtt) {
			s.rtt = ev.RTT
			c.peersChanged = true
		}
		return
	}
	s.misses++
	if s.misses >= 2 {
		c.drop(now, s, peer.Idle, false, true)
		return
	}
	s.pingAt = now // once more, at the next tick
}
