package ontology

import (
	"bytes"
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// tellEvery is how often one peer is told addresses: v1.0.0 asks at most every
// 6 s (threat R-08).
const tellEvery = 5 * time.Second

// maxFinds is how many findnode one peer is answered within tellEvery: each
// looks at all sessions, and shows a part of them. Who refreshes its buckets
// asks less.
const maxFinds = 10

// finds reports whether the peer is asked for identities, as newer releases are,
// and not for addresses.
func (s *session) finds() bool {
	return s.soft.Finds() && s.hasKad && s.node.identity.Load().key != nil
}

// askAddrs asks for addresses, as every node does when a session begins.
func (s *session) askAddrs() {
	if s.finds() {
		s.node.seek([]*session{s}, s.node.identity.Load().kad)
		return
	}
	s.mu.Lock()
	s.addrs = 1
	s.mu.Unlock()
	s.post(s.ctx, wire.LaneHousekeeping, codec.CmdGetAddr, nil)
}

// discover asks for addresses: one older peer, drawn at random, and the newer
// ones that are closest to what is looked for in this round.
func (n *node) discover(context.Context) error {
	var older, newer []*session
	var ids []codec.PeerID
	for _, s := range n.others(nil) {
		if s.finds() {
			newer, ids = append(newer, s), append(ids, s.kad)
		} else {
			older = append(older, s)
		}
	}
	if len(older) > 0 {
		older[env.NewRand(0).IntN(len(older))].askAddrs()
	}
	if len(newer) > 0 {
		round := int(n.rounds.Add(1)) - 1
		n.seek(newer, lookFor(n.identity.Load().kad, ids, round, env.NewRand(0)))
	}
	return nil
}

// others are the sessions but one, in the order of their nonces and addresses.
func (n *node) others(but *session) []*session {
	n.mu.Lock()
	all := make([]*session, 0, len(n.sessions))
	for _, s := range n.sessions {
		if s != but {
			all = append(all, s)
		}
	}
	n.mu.Unlock()
	slices.SortFunc(all, func(a, b *session) int {
		return cmp.Or(cmp.Compare(a.nonce, b.nonce), a.info.Endpoint.Addr().Compare(b.info.Endpoint.Addr()))
	})
	return all
}

// listens is where a peer can be dialled, as it says; false where it cannot,
// or others are not to know.
func (s *session) listens() (netip.AddrPort, bool) {
	if len(s.info.Listen) == 0 {
		return netip.AddrPort{}, false
	}
	ip := s.info.Endpoint.Addr()
	return netip.AddrPortFrom(ip, s.theirs.SyncPort), !slices.Contains(s.node.cfg.Mask, ip)
}

// tooEarly reports whether the peer is told again within tellEvery; if not, it
// is told now. last is one of the session's fields.
func (s *session) tooEarly(last *time.Time) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(*last) < tellEvery && !last.IsZero() {
		return true
	}
	*last = now
	return false
}

// tellAddrs answers a getaddr: with peers that we have a session with, neither
// the asker nor those that are masked.
func (s *session) tellAddrs() {
	if s.tooEarly(&s.told) {
		return
	}
	var m codec.Addr
	for _, o := range s.node.others(s) {
		at, ok := o.listens()
		if !ok || len(m.Addrs) == codec.MaxAddrs {
			continue
		}
		m.Addrs = append(m.Addrs, codec.PeerAddr{
			Time: s.node.cfg.Wall.Now().UnixNano(), Services: o.theirs.Services, Addr: at.Addr(), Port: at.Port(), Nonce: o.nonce,
		})
	}
	s.post(s.ctx, wire.LaneHousekeeping, codec.CmdAddr, m.Append(nil))
}

// onAddrs passes addresses on to the node, which gives each source a credit
// and dials whom it likes. v1.0.0 dials up to 64 of a message at once, which has
// it knock wherever a sender likes.
func (s *session) onAddrs(a codec.Addr) {
	var all []peer.Addr
	for _, p := range a.Addrs {
		if p.Addr.IsValid() && p.Port != 0 && !s.node.isUs(p.Nonce) {
			all = append(all, addrOf(netip.AddrPortFrom(p.Addr, p.Port)))
		}
	}
	s.asks.Answer(question{kind: codec.CmdAddr}, all, nil)
	s.found(all)
}

// found reports addresses that the peer told, if we have asked: once for each
// question.
func (s *session) found(all []peer.Addr) {
	s.mu.Lock()
	asked := s.addrs > 0
	s.addrs = max(s.addrs-1, 0)
	s.mu.Unlock()
	if len(all) == 0 || !asked {
		return
	}
	report := wire.Found{Source: wire.SourceExchange, From: s.info.ID}
	for _, a := range all {
		report.Peers = append(report.Peers, wire.FoundPeer{Addrs: []peer.Addr{a}})
	}
	s.node.host.Report(report)
}

// tellClosest answers a findnode, if the peer did not ask too often.
func (s *session) tellClosest(target codec.PeerID) {
	s.mu.Lock()
	_, ok := s.finding.Reserve(time.Now(), 1, 0)
	s.mu.Unlock()
	if !ok {
		s.node.host.Report(wire.Dropped{ID: s.info.ID, Queue: "findnode", Count: 1})
		return
	}
	m := codec.FindNodeAck{Target: target}
	type near struct {
		distance [20]byte
		codec.Closest
	}
	var all []near
	for _, o := range s.node.others(s) {
		at, ok := o.listens()
		if !ok {
			continue
		}
		if o.kad == target {
			m.Found, m.Addr = true, at
		}
		all = append(all, near{distance(o.kad, target), codec.Closest{ID: o.kad, Addr: at}})
	}
	slices.SortFunc(all, func(a, b near) int { return bytes.Compare(a.distance[:], b.distance[:]) })
	for _, x := range all[:min(len(all), codec.MaxClosest)] {
		m.Closest = append(m.Closest, x.Closest)
	}
	s.link.Send(s.ctx, wire.LaneHousekeeping, framed.Out{Code: uint64(codec.CmdFindNodeAck), Payload: m.Append(nil), Key: uint64(codec.CmdFindNodeAck)})
}

// onClosest passes on what a findnode found.
func (s *session) onClosest(m codec.FindNodeAck) {
	var all []peer.Addr
	add := func(at netip.AddrPort) {
		if at.IsValid() && at.Port() != 0 {
			all = append(all, addrOf(at))
		}
	}
	if m.Found {
		add(m.Addr)
	}
	for _, c := range m.Closest {
		if c.ID != s.node.identity.Load().kad {
			add(c.Addr)
		}
	}
	s.found(all)
}
