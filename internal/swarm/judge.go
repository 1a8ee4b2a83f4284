package swarm

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
)

// offended charges a peer for a checkable fault.
func (c *core) offended(now time.Time, ev inOffended) {
	sev := ev.Severity
	if sev == peer.None {
		sev = ev.Offense.Severity()
	}
	ep := clean(ev.Endpoint)
	subj := c.cfg.subject(ev.ID, ep)
	s := c.sessions[ev.Sid]
	if s != nil {
		subj = s.subj
		ep = s.ep
	}
	if sev >= peer.None || subj == "" || c.clock.quiet(now) && isSilence(ev.Offense) {
		return
	}
	sev = max(sev, peer.Fatal)
	st := c.board.of(now, subj)
	sum := st.charge(now, sev)
	c.board.touch(subj)
	c.marksDirty = true
	c.peersChanged = true
	c.emit(Offended{ID: ev.ID, Offense: ev.Offense, Severity: sev, Score: st.score(now), Detail: ev.Detail})
	if sum < c.cfg.MinScore && !c.board.low[subj] {
		c.board.low[subj] = true
		c.bans.changed = true
	}

	ghost := s
	if ghost == nil {
		ghost = &session{info: peer.Info{ID: ev.ID}, ep: ep, subj: subj}
	}
	switch {
	case c.isUnbannable(ghost):
		if sev <= peer.Fatal || sum <= banAt {
			c.emit(Alarm{Kind: "exempt-peer-fault", ID: ev.ID, Detail: string(ev.Offense)})
		}
		if s != nil && (sev <= peer.Fatal || sum <= disconnectAt && !c.protected[ev.ID]) {
			c.drop(now, s, peer.BadScore, false, true)
		}
	case sum <= banAt:
		c.banSubject(now, subj, ep, 0, string(ev.Offense), true)
	case sum <= disconnectAt:
		c.dropSubject(now, subj, peer.BadScore)
	case sum < c.cfg.MinScore:
		c.dropSubject(now, subj, peer.LowScore)
	}
}

// isSilence names what a peer cannot help while one of us sleeps.
func isSilence(o peer.Offense) bool {
	switch o {
	case peer.NoAnswer, peer.SlowFrame, peer.NotReading, peer.TruncatedFrame, peer.EmptyAnswer, peer.FalseHead, peer.DeadGossip:
		return true
	}
	return false
}

// dropSubject ends every session of a peer.
func (c *core) dropSubject(now time.Time, subj subject, why peer.Reason) {
	for _, id := range slices.Clone(c.order) {
		if s := c.sessions[id]; s != nil && s.subj == subj && !c.isUnbannable(s) {
			c.drop(now, s, why, false, true)
		}
	}
}

// banSubject bans a peer, and its prefix once that has had enough of them.
func (c *core) banSubject(now time.Time, subj subject, ep netip.AddrPort, d time.Duration, reason string, auto bool) {
	again := c.bans.running(subj, now)
	if again && auto {
		c.dropSubject(now, subj, peer.Banned)
		return // one ban at a time: what was on its way when it was banned does not climb the ladder
	}
	if !ep.IsValid() {
		for _, id := range c.order {
			if s := c.sessions[id]; s.subj == subj {
				ep = s.ep
				break
			}
		}
	}
	d = c.bans.add(subj, now, d, reason, auto)
	c.marksDirty = true
	t := subj.target()
	c.emit(Banned{Target: t, For: d, Reason: reason, Auto: auto})
	c.note(KindBanned, peer.Banned, t.ID, peer.Addr{}, false, fmt.Sprintf("%s for %v", reason, d))
	c.dropSubject(now, subj, peer.Banned)
	if !auto || !c.cfg.counted(ep.Addr()) {
		return
	}
	p := subnet.Of(ep.Addr())
	if c.bans.count(p, subj, now) {
		d := c.bans.addPrefix(p, now, 0, "banned-peers", true)
		c.emit(Banned{Target: ByPrefix(p), For: d, Reason: "banned-peers", Auto: true})
		c.note(KindBanned, peer.PrefixBanned, "", peer.Addr{}, false, fmt.Sprintf("%s for %v", p, d))
	}
}

// banByHand carries out a ban that the operator or the embedder asks for.
func (c *core) banByHand(now time.Time, ev inBan) {
	reply := func(format string, args ...any) {
		c.do(effReply{Req: ev.Req, Err: fmt.Errorf("swarm: "+format, args...)})
	}
	reason := peer.Clean(ev.Reason)
	if reason == "" {
		reason = string(peer.Requested)
	}
	if p := ev.Target.Prefix; ev.Target.ID == "" {
		if !p.IsValid() {
			reply("a ban needs an identity or a prefix")
			return
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()).Masked()
		least := 16
		if p.Addr().Is6() {
			least = 32
		}
		if p.Bits() < least && !ev.Force {
			reply("prefix %v is wider than /%d; force it if that is meant", p, least)
			return
		}
		for _, f := range c.fixed {
			if (f.static || f.trusted) && f.ep.IsValid() && p.Contains(f.ep.Addr()) && !ev.Force {
				reply("prefix %v holds the configured peer %s; force it if that is meant", p, f.addr)
				return
			}
		}
		d := c.bans.addPrefix(p, now, ev.For, reason, false)
		c.marksDirty = true
		c.emit(Banned{Target: ByPrefix(p), For: d, Reason: reason})
		c.note(KindBanned, peer.PrefixBanned, "", peer.Addr{}, false, fmt.Sprintf("%s for %v", p, d))
		for _, id := range slices.Clone(c.order) {
			if s := c.sessions[id]; s.ep.IsValid() && p.Contains(s.ep.Addr()) && !c.isUnbannable(s) {
				c.drop(now, s, peer.Banned, false, true)
			}
		}
		c.do(effReply{Req: ev.Req})
		return
	}
	id := ev.Target.ID
	ghost := &session{info: peer.Info{ID: id}}
	if sid, ok := c.byID[id]; ok {
		ghost = c.sessions[sid]
	}
	subj := c.cfg.subject(id, ghost.ep)
	switch {
	case len(id) > maxAddrText:
		reply("identity of %d bytes, want at most %d", len(id), maxAddrText)
	case id == ev.Self:
		reply("refusing to ban ourselves (%s)", id.Short())
	case c.isUnbannable(ghost):
		reply("peer %s is static, trusted or protected; take it off the list first", id.Short())
	case !c.cfg.ProvenIdentity && !ghost.ep.IsValid():
		reply("identities are not proven on this wire: ban the address of %s instead", id.Short())
	default:
		c.banSubject(now, subj, ghost.ep, ev.For, reason, false)
		c.do(effReply{Req: ev.Req})
	}
}

func (c *core) unbanByHand(now time.Time, ev inUnban) {
	t := ev.Target
	done := false
	if t.ID != "" {
		done = c.bans.remove(subject("id:"+string(t.ID)), now) || c.bans.remove(subject("ip:"+string(t.ID)), now)
		c.forgive(subject("id:" + string(t.ID)))
	} else if t.Prefix.IsValid() {
		p := netip.PrefixFrom(t.Prefix.Addr().Unmap(), t.Prefix.Bits())
		done = c.bans.removePrefix(p.Masked(), now)
		if p.IsSingleIP() {
			s := subject("ip:" + p.Addr().String())
			done = c.bans.remove(s, now) || done
			c.forgive(s)
		}
	}
	if !done {
		c.do(effReply{Req: ev.Req, Err: fmt.Errorf("swarm: %s is not banned", t)})
		return
	}
	c.marksDirty = true
	c.emit(Unbanned{Target: t})
	c.do(effReply{Req: ev.Req})
}

// forgive clears a peer's faults, so that an unban by hand is not undone by the
// next small one.
func (c *core) forgive(s subject) {
	if _, ok := c.board.by[s]; ok {
		c.board.drop(s)
		c.bans.changed = true
		c.marksDirty = true
	}
}
