package swarm

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// ErrRunning is reported by a second Run.
var ErrRunning = errors.New("swarm: Run was called before")

// Swarm is a handle on the peer table. All methods are safe for concurrent use.
type Swarm struct {
	cfg  Config
	log  *slog.Logger
	core *core // only Run touches it
	base time.Time

	gate      *gate
	ledger    ledger
	snap      atomic.Pointer[snapshot]
	clock     atomic.Pointer[clockView]
	knocks    atomic.Uint64 // inbound links, before their handshake
	lastKnock atomic.Pointer[time.Time]
	scores    sync.Map // subject to standing: copies that nobody changes

	loop                *meter.Loop
	refused             *meter.Tally[string] // the book's
	bookSize, bookTried atomic.Int64

	inbox inbox
	calls chan func(context.Context)
	ran   atomic.Bool
	done  chan struct{} // closed when Run has ended

	// Only Run touches what follows.
	nextSid  sid
	sessions map[sid]wire.Session
	sids     map[wire.Session]sid
	answers  map[sid]chan error
	nextReq  uint64
	replies  map[uint64]chan error
	workers  sync.WaitGroup
	quieted  map[string]quietLog
	ticked   time.Time // when the core last had a tick

	alarm []Event // from before Run
}

// New checks the config, reads what was saved and builds a table. It blocks for
// the disk. Records that are damaged are set aside, and an Alarm says so; a
// record of a newer version is an error.
func New(cfg Config) (*Swarm, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	mem, lost, err := load(cfg.Store)
	if err != nil {
		return nil, err
	}
	s := &Swarm{
		cfg: cfg, log: cfg.Logger, base: time.Now(),
		calls: make(chan func(context.Context)), done: make(chan struct{}),
		sessions: map[sid]wire.Session{}, sids: map[wire.Session]sid{}, answers: map[sid]chan error{},
		replies: map[uint64]chan error{}, quieted: map[string]quietLog{},
	}
	s.gate = newGate(&s.cfg)
	s.inbox.init(cfg.Queue)
	s.core = newCore(cfg, s.now(), cfg.Wall.Now(), mem)
	s.loop, s.refused = meter.NewLoop(stepBounds()), s.core.book.refused
	s.measure()
	for _, e := range lost {
		s.log.Warn("saved peer data is damaged and was set aside", "err", e)
		s.alarm = append(s.alarm, Alarm{Kind: "store", Detail: e.Error()})
	}
	if cfg.NoDial && cfg.NoListen && cfg.NoDiscovery {
		s.log.Warn("dialling, listening and discovery are all off: this node will have no peers")
	}
	s.publish()
	s.showClock()
	return s, nil
}

// now is the core's clock: it starts at the machine's time and then follows
// the monotonic clock alone.
func (s *Swarm) now() time.Time { return s.base.Add(time.Since(s.base)).Round(0) }

// Run owns the table until ctx ends, then takes no more peers, saves what is
// known and returns nil. Sessions are closed by the wire. It must be called
// exactly once.
func (s *Swarm) Run(ctx context.Context) error {
	if !s.ran.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer close(s.done)
	work, stop := context.WithCancel(ctx)
	defer stop()
	for _, e := range s.alarm {
		s.cfg.OnEvent(e)
	}
	s.alarm = nil
	s.tick(work)
	timer := time.NewTimer(s.untilNext())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.finish(stop)
			return nil
		case call := <-s.calls:
			s.loop.Wake()
			s.drain(work) // what was reported before the call comes first
			call(work)
			s.drain(work)
		case <-s.inbox.wake:
			s.loop.Wake()
			s.drain(work)
		case <-timer.C:
			s.loop.Wake()
		}
		if s.untilNext() <= 0 { // however much is reported meanwhile
			s.tick(work)
		}
		s.publish()
		s.measure()
		timer.Reset(s.untilNext())
		s.loop.Rest()
	}
}

// tick lets the core look at the time.
func (s *Swarm) tick(ctx context.Context) {
	s.ticked = s.now()
	s.step(ctx, inTick{Wall: s.cfg.Wall.Now()})
	s.showClock()
}

// tickLeast is between two ticks at least, so that a core that is always late
// cannot spin.
const tickLeast = 10 * time.Millisecond

// untilNext is how long until the core is to have a tick; 0 or less: now.
func (s *Swarm) untilNext() time.Duration {
	now := s.now()
	return max(s.core.Next().Sub(now), tickLeast-now.Sub(s.ticked))
}

// finish ends everything that Run has started, and saves.
func (s *Swarm) finish(stop context.CancelFunc) {
	stop()
	ctx := context.Background()
	s.step(ctx, inStop{})
	s.publish()
	s.workers.Wait() // they end with their context
	s.drain(ctx)
	s.step(ctx, inStop{Save: true})
	s.inbox.close()
	for _, c := range s.replies {
		c <- peer.Refuse(peer.Stopping)
	}
	clear(s.replies)
}

// drain hands the core everything that was reported until now. What comes
// meanwhile waits for the next turn, or peers that report without end would
// keep the owner from all else.
func (s *Swarm) drain(ctx context.Context) {
	for range s.inbox.waiting() {
		in, ok := s.inbox.take()
		if !ok {
			return
		}
		s.step(ctx, in(s))
	}
	if s.inbox.waiting() > 0 {
		s.inbox.ring()
	}
}

// step runs the core once and carries out what it says.
func (s *Swarm) step(ctx context.Context, in input) {
	if in == nil {
		return
	}
	now := s.now()
	for _, e := range s.core.Step(now, in) {
		s.carry(ctx, now, e)
	}
	for _, subj := range s.core.board.touched {
		if st := s.core.board.by[subj]; st != nil {
			s.scores.Store(subj, st.clone())
		} else {
			s.scores.Delete(subj)
		}
	}
	s.core.board.touched = s.core.board.touched[:0]
	if s.core.bans.changed { // a ban holds from the moment of the decision
		s.publish()
	}
}

// publish shows readers the present state.
func (s *Swarm) publish() {
	last := s.snap.Load()
	if last != nil && !s.core.peersChanged && !s.core.bans.changed && last.stopping == s.core.stopping {
		return
	}
	s.snap.Store(s.core.publish(s.now(), last, s.cfg.Self()))
	s.core.peersChanged, s.core.bans.changed = false, false
}

// carry does one effect.
func (s *Swarm) carry(ctx context.Context, now time.Time, e effect) {
	switch e := e.(type) {
	case effDial:
		s.work(func() { s.dial(ctx, e) })
	case effDiscover:
		s.work(func() { s.discover(ctx) })
	case effPing:
		if sess := s.sessions[e.Sid]; sess != nil {
			s.work(func() { s.ping(ctx, e.Sid, sess) })
		}
	case effSave:
		if s.core.stopping {
			s.save(e)
			return
		}
		s.work(func() { s.save(e) })
	case effAnswer:
		s.answer(e)
	case effClose:
		if sess := s.sessions[e.Sid]; sess != nil {
			sess.Close(e.Reason)
		}
	case effReply:
		if c := s.replies[e.Req]; c != nil {
			s.publish() // whoever is answered finds what he asked for done
			c <- e.Err
			delete(s.replies, e.Req)
		}
	case effNote:
		e.Decision.At = now
		s.ledger.add(e.Decision)
		s.logDecision(now, e.Decision)
	case effEmit:
		s.emit(e)
	}
}

// answer tells a waiting Open what was decided.
func (s *Swarm) answer(e effAnswer) {
	c := s.answers[e.Sid]
	delete(s.answers, e.Sid)
	if e.Reason == peer.OK {
		c <- nil
		return
	}
	if sess := s.sessions[e.Sid]; sess != nil {
		delete(s.sids, sess)
		delete(s.sessions, e.Sid)
	}
	c <- &peer.RefusedError{Reason: e.Reason, Detail: e.Detail}
}

// emit hands an event to the node, with the session that it speaks of.
func (s *Swarm) emit(e effEmit) {
	switch ev := e.Event.(type) {
	case Opened:
		ev.Session = s.sessions[e.Sid]
		s.cfg.OnEvent(ev)
		return
	case Closed:
		ev.Session = s.sessions[e.Sid]
		delete(s.sids, ev.Session)
		delete(s.sessions, e.Sid)
		s.cfg.OnEvent(ev)
		return
	case ClockSuspect:
		if ev.On {
			s.log.Warn("our clock disagrees with our peers", "skew", ev.Skew)
		} else {
			s.log.Info("our clock agrees with our peers again")
		}
	case ClockJumped:
		s.log.Warn("the clock has jumped, or this process stood still", "by", ev.By)
	case Alarm:
		s.warn("alarm", "kind", ev.Kind, "peer", ev.ID, "detail", ev.Detail)
	}
	s.cfg.OnEvent(e.Event)
}

// Admit decides about a link, from the snapshot and the gate; it never blocks.
func (s *Swarm) Admit(l wire.Link) peer.Reason {
	now := s.now()
	why, first := s.snap.Load().admit(&s.cfg, now, l)
	ep := clean(l.Endpoint)
	if l.Direction == peer.Inbound && l.ID == "" {
		s.knocked(now)
	}
	if why == peer.OK && first && ep.IsValid() {
		why = s.gate.enter(now, ep)
	}
	if why != peer.OK {
		if l.ID != "" && ep.IsValid() {
			s.gate.leave(ep)
		}
		s.ledger.add(Decision{At: now, Kind: KindRefused, Reason: why, ID: l.ID, Addr: l.Addr})
	}
	return why
}

// Open offers a session and blocks for the owner's decision: nil, or a
// *peer.RefusedError. Between New and Run it waits for Run. Sessions are told
// apart by ==, so an implementation is a pointer.
func (s *Swarm) Open(ctx context.Context, sess wire.Session, claims chain.Status) error {
	info := sess.Peer()
	ep := clean(info.Endpoint)
	if info.Direction == peer.Inbound && ep.IsValid() {
		defer s.gate.leave(ep)
	}
	answer := make(chan error, 1)
	call := func(ctx context.Context) {
		s.nextSid++
		id := s.nextSid
		s.sessions[id], s.sids[sess], s.answers[id] = sess, id, answer
		s.step(ctx, inOpen{Sid: id, Info: info, Self: s.cfg.Self(), Claims: claims.Head.Number})
	}
	if err := s.call(ctx, call); err != nil {
		return err
	}
	return <-answer // accepted calls always run to their answer
}

// call runs fn on the owner, which hands it the context of its workers.
func (s *Swarm) call(ctx context.Context, fn func(context.Context)) error {
	select {
	case s.calls <- fn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return peer.Refuse(peer.Stopping)
	}
}

// endpointOf is where a link comes from, or zero.
func endpointOf(l wire.Link) netip.AddrPort { return clean(l.Endpoint) }
