package serve

import (
	"context"
	"time"

	"github.com/starlingp2p/starling/internal/bucket"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/internal/turns"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// The names of the limits.
const (
	PeerBytes   = "peer-bytes"
	PrefixBytes = "prefix-bytes"
	GlobalBytes = "global-bytes"
	PeerStreams = "peer-streams"
	Workers     = "workers"
)

// leastRetry is the shortest time that a refused peer is sent away for.
const leastRetry = 250 * time.Millisecond

// pass is the right to be served. It is given back by done, once.
type pass struct {
	s      *Server
	peer   *account
	prefix *account // nil: exempt
	cost   float64  // reserved
	held   []chan struct{}
}

// admit takes a request in, or refuses it. It may wait, at most twice
// MaxWait, and holds no lock meanwhile.
func (s *Server) admit(ctx context.Context, sess wire.Session, cost int, app bool) (*pass, error) {
	info := sess.Peer()
	p, refusal, flood := s.enter(info, float64(cost))
	if flood {
		s.cfg.Charge(sess, peer.RequestFlood, "asked again within the time of a refusal by "+refusal.Limit)
	}
	if refusal != nil {
		return nil, refusal
	}
	if err := s.pay(ctx, p); err != nil {
		p.leave(0)
		return nil, err
	}
	if err := s.work(ctx, p, app); err != nil {
		p.leave(p.cost)
		return nil, err
	}
	return p, nil
}

// enter finds the accounts and checks what needs no budget.
func (s *Server) enter(info peer.Info, cost float64) (p *pass, refusal *wire.Refusal, flood bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	a, crowded := s.peers.of(keyOf(info), now)
	if left := a.quiet.Sub(now); left > 0 {
		a.grace--
		// Strangers who share an account answer for nobody else.
		return nil, limited(a.limit, left), a.grace < 0 && !crowded
	}
	if a.under >= s.cfg.QueuePerPeer {
		return nil, limited(PeerStreams, 0), false
	}
	a.under++
	p = &pass{s: s, peer: a, cost: cost}
	if prefix, ok := prefixOf(info.Endpoint.Addr(), s.cfg.Budget.CountLoopback); ok {
		p.prefix, _ = s.prefixes.of(prefix, now)
		p.prefix.under++
	}
	return p, nil, false
}

// pay reserves the cost: of the peer, then of its prefix, then of all. It
// waits for each before it asks the next, so that nobody holds a share of
// what is common while it waits for its own.
func (s *Server) pay(ctx context.Context, p *pass) error {
	if s.cfg.Budget.Off {
		return nil
	}
	stages := [...]struct {
		name  string
		bytes *bucket.Bucket
	}{{PeerBytes, &p.peer.bytes}, {PrefixBytes, nil}, {GlobalBytes, &s.global}}
	if p.prefix != nil {
		stages[1].bytes = &p.prefix.bytes
	}
	until := time.Now().Add(s.cfg.MaxWait)
	for i, stage := range stages {
		if stage.bytes == nil {
			continue
		}
		back := func() { // what the stages before have reserved
			for _, paid := range stages[:i] {
				if paid.bytes != nil {
					paid.bytes.Give(time.Now(), p.cost)
				}
			}
		}
		delay, err := s.reserve(p, stage.bytes, stage.name, until, back)
		if err != nil {
			return err
		}
		if err := pause.For(ctx, delay); err != nil {
			s.mu.Lock()
			stage.bytes.Give(time.Now(), p.cost)
			back()
			s.mu.Unlock()
			return err
		}
		if delay > 0 {
			s.counts.waited.Add(1)
		}
	}
	return nil
}

func (s *Server) reserve(p *pass, b *bucket.Bucket, name string, until time.Time, back func()) (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	delay, ok := b.Reserve(now, p.cost, until.Sub(now))
	if ok {
		return delay, nil
	}
	back()
	delay = max(delay, leastRetry)
	if !now.Before(p.peer.quiet) {
		p.peer.grace = s.cfg.QueuePerPeer
	}
	p.peer.quiet, p.peer.limit = now.Add(delay), name
	return 0, limited(name, delay)
}

// work takes a place at work: of the peer, of its prefix, and of all.
func (s *Server) work(ctx context.Context, p *pass, app bool) error {
	var timer *time.Timer // for all places together
	places := make([]chan struct{}, 0, 4)
	if app {
		places = append(places, p.peer.apps)
		if p.prefix != nil {
			places = append(places, p.prefix.apps)
		}
		places = append(places, s.apps)
	} else {
		places = append(places, p.peer.slots)
		if p.prefix != nil {
			places = append(places, p.prefix.slots)
		}
		if p.cost >= turns.Bulk {
			places = append(places, s.bulk)
		}
		places = append(places, s.workers)
	}
	for _, c := range places {
		select {
		case c <- struct{}{}:
			p.held = append(p.held, c)
			continue
		default:
		}
		if timer == nil {
			timer = time.NewTimer(s.cfg.MaxWait)
			defer timer.Stop()
		}
		select {
		case c <- struct{}{}:
			p.held = append(p.held, c)
		case <-timer.C:
			return limited(Workers, s.cfg.MaxWait)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// done settles: what was served takes the place of what was reserved.
func (p *pass) done(bytes int) { p.leave(p.cost - float64(max(bytes, least))) }

// leave gives back places, and tokens where the budget is on.
func (p *pass) leave(tokens float64) {
	for _, c := range p.held {
		<-c
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.peer.under--
	if p.prefix != nil {
		p.prefix.under--
	}
	if p.s.cfg.Budget.Off || tokens == 0 {
		return
	}
	now := time.Now()
	p.peer.bytes.Give(now, tokens)
	if p.prefix != nil {
		p.prefix.bytes.Give(now, tokens)
	}
	p.s.global.Give(now, tokens)
}

func limited(name string, retry time.Duration) *wire.Refusal {
	return &wire.Refusal{Code: wire.RefusedLimit, Limit: name, RetryAfter: retry}
}
