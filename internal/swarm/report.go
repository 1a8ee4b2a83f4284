package swarm

import (
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Report takes what a wire tells. It never blocks. A Closed is never dropped;
// others wait in a bounded queue, and what does not fit is counted by kind.
func (s *Swarm) Report(r wire.Report) {
	switch r := r.(type) {
	case wire.Closed:
		s.inbox.force(func(s *Swarm) input {
			return inClosed{Sid: s.sids[r.Session], Reason: r.Reason, ByRemote: r.ByRemote}
		})
	case wire.Offended:
		in := inOffended{ID: r.Link.ID, Endpoint: r.Link.Endpoint, Offense: r.Offense, Severity: r.Severity, Detail: peer.Clean(r.Detail)}
		if r.Session != nil {
			info := r.Session.Peer()
			in.ID, in.Endpoint = info.ID, info.Endpoint
		} else if in.ID == "" {
			s.handshakeFailed(r.Link) // nobody is known to blame: the address pays
			if s.cfg.ProvenIdentity {
				return
			}
		}
		s.inbox.offer("offended", func(s *Swarm) input {
			if r.Session != nil {
				in.Sid = s.sids[r.Session]
			}
			return in
		})
	case wire.Found:
		in := inFound{Source: r.Source, From: r.From, Peers: r.Peers}
		s.inbox.offer("found", func(*Swarm) input { return in })
	case wire.Lost:
		s.inbox.offer("lost", func(*Swarm) input { return inLost{ID: r.ID} })
	case wire.Refused:
		s.refusedReport(r)
	case wire.Claimed:
		s.inbox.offer("claimed", func(s *Swarm) input {
			return inClaimed{Sid: s.sids[r.Session], Head: r.Status.Head.Number}
		})
	case wire.TopicChanged:
		s.inbox.offer("topic-changed", func(*Swarm) input { return inTopic{ID: r.ID, Topic: r.Topic, Joined: r.Joined} })
	case wire.Dropped:
		s.inbox.offer("dropped", func(*Swarm) input { return inDropped{ID: r.ID, Queue: r.Queue, Count: r.Count} })
	case wire.Skewed:
		s.inbox.offer("skewed", func(s *Swarm) input { return inSkewed{Sid: s.sids[r.Session], Skew: r.Skew} })
	}
}

// refusedReport books a link that never became a session. Its place in the gate
// is free again; if the handshake failed through the other side's doing, its
// address is charged for it.
func (s *Swarm) refusedReport(r wire.Refused) {
	if r.Link.Direction == peer.Inbound && endpointOf(r.Link).IsValid() {
		switch r.Reason {
		case peer.HandshakeFailed, peer.HandshakeSlow, peer.KeyType:
			s.handshakeFailed(r.Link)
		default:
			s.gate.leave(endpointOf(r.Link))
		}
	}
	if s.snap.Load().stopping {
		return
	}
	in := inRefused{Link: r.Link, Reason: r.Reason, Remote: r.Remote, Detail: r.Detail}
	s.inbox.offer("refused", func(*Swarm) input { return in })
}

func (s *Swarm) handshakeFailed(l wire.Link) {
	ep := endpointOf(l)
	if !ep.IsValid() || l.Direction != peer.Inbound {
		return
	}
	now := s.now()
	if s.gate.failed(now, ep) {
		s.ledger.add(Decision{At: now, Kind: KindBanned, Reason: peer.HandshakeRate, Addr: l.Addr, Detail: "more than 20 bad handshakes in a minute"})
	}
}

// Useful tells what a peer has delivered or how quickly it answers, which
// decides who stays when slots are short. It never blocks.
func (s *Swarm) Useful(id peer.ID, u Usefulness) {
	s.inbox.offer("useful", func(*Swarm) input { return inUseful{ID: id, Note: u} })
}

// quietLog holds a cause's lines back, so that no remote can fill the disk.
type quietLog struct {
	from       time.Time
	suppressed int
}

// warn logs at most one line a minute of one kind.
func (s *Swarm) warn(msg string, kindKey, kind string, args ...any) {
	now := s.now()
	q := s.quieted[kind]
	if !q.from.IsZero() && now.Sub(q.from) < time.Minute {
		q.suppressed++
		s.quieted[kind] = q
		return
	}
	s.log.Warn(msg, append([]any{kindKey, kind, "suppressed", q.suppressed}, args...)...)
	s.quieted[kind] = quietLog{from: now}
}

func (s *Swarm) logDecision(now time.Time, d Decision) {
	key := "debug/" + string(d.Kind) + "/" + string(d.Reason)
	q := s.quieted[key]
	if !q.from.IsZero() && now.Sub(q.from) < time.Second || len(s.quieted) > maxTallies {
		q.suppressed++
		s.quieted[key] = q
		return
	}
	s.quieted[key] = quietLog{from: now}
	s.log.Debug("peer decision", "kind", d.Kind, "reason", d.Reason, "peer", d.ID, "addr", peer.Clean(d.Addr.Text), "remote", d.ByRemote, "detail", peer.Clean(d.Detail), "suppressed", q.suppressed)
}
