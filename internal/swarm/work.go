package swarm

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// work runs fn on a worker. How many there are is bounded by the core: one for
// each dial slot, session, part to be saved and discovery round.
func (s *Swarm) work(fn func()) {
	s.workers.Go(fn)
}

// post hands the outcome of a worker to the owner. It is never dropped: there
// are as many as workers.
func (s *Swarm) post(in input) {
	s.inbox.force(func(*Swarm) input { return in })
}

// dial carries one dial out: names are looked up anew each time, and the
// addresses that come of it are tried in turn within one deadline.
func (s *Swarm) dial(ctx context.Context, e effDial) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout)
	defer cancel()
	addrs := []peer.Addr{e.Addr}
	if e.Resolve {
		found, err := s.cfg.Resolve(ctx, e.Addr)
		if err != nil || len(found) == 0 {
			detail := "no address"
			if err != nil {
				detail = err.Error()
			}
			s.post(inDialed{Slot: e.Slot, Reason: peer.NameUnresolved, Detail: detail})
			return
		}
		addrs = slices.DeleteFunc(slices.Clone(found[:min(len(found), maxListen)]), func(a peer.Addr) bool {
			ep, _, ok := s.cfg.endpoint(a)
			return ok && s.cfg.restricted(ep)
		})
		if len(addrs) == 0 {
			s.post(inDialed{Slot: e.Slot, Reason: peer.NetRestricted, Detail: "every address that the name has"})
			return
		}
		s.post(inResolved{Slot: e.Slot, Addrs: addrs})
	}
	var err error
	for _, a := range addrs {
		if err = s.cfg.Dial(ctx, a); err == nil || ctx.Err() != nil {
			break
		}
	}
	s.post(outcome(e.Slot, err))
}

// outcome tells why a dial failed.
func outcome(at slot, err error) inDialed {
	out := inDialed{Slot: at, OK: err == nil}
	var refused *peer.RefusedError
	switch {
	case err == nil:
	case errors.As(err, &refused):
		out.Reason, out.Remote, out.Detail = refused.Reason, refused.Remote, peer.Clean(refused.Detail)
	case errors.Is(err, context.DeadlineExceeded):
		out.Reason = peer.DialTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, wire.ErrClosed):
		out.Reason = peer.Stopping
	default:
		out.Reason, out.Detail = peer.DialFailed, peer.Clean(err.Error())
	}
	return out
}

func (s *Swarm) discover(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, max(4*s.cfg.DiscoveryInterval, time.Minute))
	defer cancel()
	err := s.cfg.Discover(ctx)
	s.post(inDiscovered{OK: err == nil})
}

func (s *Swarm) ping(ctx context.Context, id sid, sess wire.Session) {
	ctx, cancel := context.WithTimeout(ctx, min(s.cfg.KeepAlive, 20*time.Second))
	defer cancel()
	rtt, err := s.cfg.Ping(ctx, sess)
	// Only silence is none. An error before the deadline is a link that is about
	// to end, which has a better reason, or a peer that does not speak ping.
	s.post(inPong{Sid: id, RTT: rtt, OK: err == nil || ctx.Err() == nil || errors.Is(err, wire.ErrUnsupported)})
}

func (s *Swarm) save(e effSave) {
	err := s.cfg.Store.Save(e.Part, e.Data)
	if err != nil {
		s.log.Error("peer data could not be saved", "part", e.Part, "err", err)
	}
	s.post(inSaved{Part: e.Part, OK: err == nil})
}
