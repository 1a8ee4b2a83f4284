package swarm

import (
	"context"
	"slices"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// ask sends an input that wants a reply, and waits for it or for ctx.
func (s *Swarm) ask(ctx context.Context, build func(req uint64) input) error {
	reply := make(chan error, 1)
	call := func(context.Context) {
		s.nextReq++
		s.replies[s.nextReq] = reply
		req := s.nextReq
		s.inbox.force(func(*Swarm) input { return build(req) })
	}
	if err := s.call(ctx, call); err != nil {
		return err
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		select {
		case err := <-reply:
			return err
		default:
			return peer.Refuse(peer.Stopping)
		}
	}
}

// Connect asks for a dial now, whatever the back-off says, and waits for its
// outcome: nil once a session is open, else a *peer.RefusedError. The attempt
// goes on if ctx ends first. The address is kept in the book if it answers.
func (s *Swarm) Connect(ctx context.Context, a peer.Addr) error {
	return s.ask(ctx, func(req uint64) input { return inConnect{Req: req, Addr: a, Self: s.cfg.Self()} })
}

// AddStatic has an address dialled for ever.
func (s *Swarm) AddStatic(ctx context.Context, a peer.Addr) error {
	return s.ask(ctx, func(req uint64) input { return inConfigure{Req: req, List: listStatic, Addr: a} })
}

// RemoveStatic takes an address off that list. A session with it goes on as an
// ordinary one.
func (s *Swarm) RemoveStatic(ctx context.Context, a peer.Addr) error {
	return s.ask(ctx, func(req uint64) input { return inConfigure{Req: req, List: listStatic, Addr: a, Off: true} })
}

// AddTrusted is AddStatic, for a peer that is admitted over every limit; with
// Config.TrustedCall it is not dialled for that.
func (s *Swarm) AddTrusted(ctx context.Context, a peer.Addr) error {
	return s.ask(ctx, func(req uint64) input { return inConfigure{Req: req, List: listTrusted, Addr: a} })
}

// RemoveTrusted takes an address off that list.
func (s *Swarm) RemoveTrusted(ctx context.Context, a peer.Addr) error {
	return s.ask(ctx, func(req uint64) input { return inConfigure{Req: req, List: listTrusted, Addr: a, Off: true} })
}

// AddSeed has an address dialled when peers run low.
func (s *Swarm) AddSeed(ctx context.Context, a peer.Addr) error {
	return s.ask(ctx, func(req uint64) input { return inConfigure{Req: req, List: listSeeds, Addr: a} })
}

// RemoveSeed takes an address off that list.
func (s *Swarm) RemoveSeed(ctx context.Context, a peer.Addr) error {
	return s.ask(ctx, func(req uint64) input { return inConfigure{Req: req, List: listSeeds, Addr: a, Off: true} })
}

// Protect puts a peer under protection, or ends it: it is neither trimmed nor
// banned, and may use reserved slots. Never blocks; at most 1024 peers, and of
// calls about one peer that the owner has not seen yet the last one counts.
func (s *Swarm) Protect(id peer.ID, on bool) { s.inbox.protect(id, on) }

// Disconnect ends the session with a peer, for a reason (none: Requested).
func (s *Swarm) Disconnect(ctx context.Context, id peer.ID, why peer.Reason) error {
	return s.ask(ctx, func(req uint64) input { return inDisconnect{Req: req, ID: id, Reason: why} })
}

// Ban refuses an identity or a prefix for d (0: by the ladder, an hour for a
// prefix) and ends its sessions. Prefixes wider than /16 (IPv6: /32), or that
// hold configured peers, are refused; see ForceBan.
func (s *Swarm) Ban(ctx context.Context, t Target, d time.Duration, reason string) error {
	return s.ask(ctx, func(req uint64) input {
		return inBan{Req: req, Target: t, For: d, Reason: reason, Self: s.cfg.Self()}
	})
}

// ForceBan is Ban for any prefix.
func (s *Swarm) ForceBan(ctx context.Context, t Target, d time.Duration, reason string) error {
	return s.ask(ctx, func(req uint64) input {
		return inBan{Req: req, Target: t, For: d, Reason: reason, Force: true, Self: s.cfg.Self()}
	})
}

// Unban ends a ban and forgets the faults behind it.
func (s *Swarm) Unban(ctx context.Context, t Target) error {
	return s.ask(ctx, func(req uint64) input { return inUnban{Req: req, Target: t} })
}

// Peers lists the sessions by the order in which they opened. Never blocks.
func (s *Swarm) Peers() []PeerView { return slices.Clone(s.snap.Load().peers) }

// Bans lists the bans that are running. Never blocks.
func (s *Swarm) Bans() []BanView {
	now := s.now()
	return slices.DeleteFunc(slices.Clone(s.snap.Load().banList), func(b BanView) bool { return !now.Before(b.Until) })
}

// ClockSuspect reports whether our own clock is to be doubted, and by how much
// peers differ. Never blocks.
func (s *Swarm) ClockSuspect() bool { return s.snap.Load().suspect }

// ClockSkew is by how much the peers that disagree differ from us: theirs minus
// ours; 0 while the clock is not suspect. Never blocks.
func (s *Swarm) ClockSkew() time.Duration { return s.snap.Load().skew }

// Score is the score of a peer, from -100 to 100; 0 for who is not known. Never
// blocks. Where identities are not proven, only connected peers are known by ID.
func (s *Swarm) Score(id peer.ID) float64 {
	subj := subject("id:" + string(id))
	if !s.cfg.ProvenIdentity {
		v := s.snap.Load()
		i, ok := v.byID[id]
		if !ok {
			return 0
		}
		subj = s.cfg.subject(id, v.peers[i].Info.Endpoint)
	}
	if st, ok := s.scores.Load(subj); ok {
		st := st.(standing)
		return st.score(s.now())
	}
	return 0
}

// Known lists at most limit addresses of the book, proven ones first. It waits
// for the owner; before Run, and after it, there are none.
func (s *Swarm) Known(limit int) []KnownView {
	if !s.ran.Load() || limit <= 0 {
		return nil
	}
	reply := make(chan []KnownView, 1)
	if s.call(context.Background(), func(context.Context) { reply <- s.core.known(limit) }) != nil {
		return nil
	}
	return <-reply
}

// Decisions lists the last decisions of each kind, oldest first. Never blocks
// for long.
func (s *Swarm) Decisions() []Decision {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Decision
	for _, k := range sortedKeys(l.rings) {
		out = append(out, l.rings[k]...)
	}
	slices.SortStableFunc(out, func(a, b Decision) int { return a.At.Compare(b.At) })
	return out
}
