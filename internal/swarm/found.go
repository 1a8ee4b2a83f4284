package swarm

import (
	"slices"
	"time"

	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// found takes addresses in that discovery, or a peer, has named.
func (c *core) found(now time.Time, ev inFound) {
	if c.cfg.NoDiscovery && ev.Source != wire.SourceStatic && ev.Source != wire.SourceSeed && ev.Source != wire.SourceRequested {
		return
	}
	o := c.originOf(ev.Source, ev.From)
	named, taken := 0, 0
	for _, p := range ev.Peers {
		addrs := p.Addrs
		if len(addrs) > maxListen {
			addrs = addrs[:maxListen]
		}
		for _, a := range addrs {
			if named++; named > maxFoundAtOnce {
				c.book.refused.Add("too-many-at-once", 1)
				continue
			}
			if c.book.add(now, a, p.ID, o) {
				taken++
			}
		}
	}
	c.tally.named, c.tally.taken = c.tally.named+uint64(named), c.tally.taken+uint64(taken)
	if taken > 0 {
		c.nextPick = time.Time{}
	}
	c.emit(Found{Source: ev.Source, From: ev.From, Named: named, New: taken})
}

// originOf says whose credit and whose buckets addresses belong to. A teller
// stands for its whole group of addresses, so that many identities at one place
// count once; on loopback each peer is its own group.
func (c *core) originOf(src wire.Source, from peer.ID) origin {
	o := origin{source: src}
	switch src {
	case wire.SourceStatic, wire.SourceSeed, wire.SourceRequested, wire.SourceRecent:
		o.group = "own:" + string(src)
		o.seeded = src == wire.SourceSeed
		if from == "" {
			return o
		}
	case wire.SourceDNS:
		o.seeded = true
	}
	if from == "" {
		o.group, o.key, o.own = "own:"+string(src), "own:"+string(src), true
		return o
	}
	o.group = "peer:" + string(from)
	if id, ok := c.byID[from]; ok {
		s := c.sessions[id]
		if c.cfg.counted(s.ep.Addr()) {
			o.group = "net:" + subnet.Operator(s.ep.Addr()).String()
		}
		if s.seeded {
			o.seeded = true
		}
	} else if c.cfg.ProvenIdentity {
		// A teller without a session (a Kademlia node): all of them share.
		o.group = "own:" + string(src)
		o.own = true
	}
	o.key = o.group
	return o
}

// learn enters what an open session teaches about addresses. The address that
// we dialled is proven when the dial ends. Where the peer says that it listens
// is hearsay, and costs credit as any other.
func (c *core) learn(now time.Time, s *session) {
	if c.cfg.NoDiscovery {
		return
	}
	o := c.originOf(wire.SourceIdentify, s.info.ID)
	o.seeded = false // it vouches for itself, by being here
	for _, a := range s.info.Listen {
		if a == s.addr || slices.Contains([]peer.Addr{s.addr}, a) {
			continue
		}
		c.book.add(now, a, s.info.ID, o)
	}
}
