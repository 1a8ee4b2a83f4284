package blocksync

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// task is slow work, done by a worker; its result goes to the owner.
type task func(context.Context) Input

// owner is the state of Run. Only its loop touches it.
type owner struct {
	*Sync
	core     *Core
	wg       sync.WaitGroup
	results  chan Input
	sessions map[peer.ID]wire.Session
	gone     []departed // sessions that ended lately: they can still be charged
	cancels  map[uint64]context.CancelFunc
	long     bool // a sync of several blocks was logged, and its end was not

	saidStuck bool      // it was logged that the sync is stuck, and not that it goes on
	stuckAt   time.Time // when that was logged last

	verify, lookup, write      []task // waiting for a worker; the core bounds them
	toVerify, toLookup, toDisk chan task
}

type departed struct {
	id peer.ID
	s  wire.Session
}

// stuckLogEvery is the least time between two lines about a sync that is stuck.
const stuckLogEvery = 10 * time.Second

// maxGone is how many ended sessions are remembered for a charge.
const maxGone = 64

// Run syncs until ctx ends, and returns its cause with everything joined. It
// must be called once. An error of the chain is no reason to end: it is told
// in Status, as StuckReason, and tried again.
func (s *Sync) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer close(s.done)
	o := &owner{
		Sync: s,
		core: NewCore(CoreConfig{
			Caps: s.cfg.Caps, Rand: env.NewRand(s.cfg.Seed), BlockInterval: s.cfg.BlockInterval, MaxBytes: s.cfg.MaxBytes,
			MaxStagedBytes: s.cfg.MaxStagedBytes, MaxInFlightPerPeer: s.cfg.MaxInFlightPerPeer, BackwardOnly: s.cfg.BackwardOnly, MinPeers: s.cfg.MinPeers, MinPeersFor: s.cfg.MinPeersFor,
		}),
		results:  make(chan Input, s.cfg.Inbox),
		sessions: map[peer.ID]wire.Session{},
		cancels:  map[uint64]context.CancelFunc{},
		toVerify: make(chan task),
		toLookup: make(chan task),
		toDisk:   make(chan task),
	}
	defer o.wg.Wait()
	for range s.cfg.Workers {
		o.wg.Go(func() { o.work(ctx, o.toVerify) })
	}
	o.wg.Go(func() { o.work(ctx, o.toLookup) })
	o.wg.Go(func() { o.workDisk(ctx) })
	if s.cfg.OnEvent != nil {
		o.wg.Go(func() { s.notify(ctx) })
	}
	o.write = append(o.write, o.load)
	o.loop(ctx)
	return context.Cause(ctx)
}

// loop owns the core until ctx ends.
func (o *owner) loop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	offer := func(ch chan task, queue []task) (chan task, task) {
		if len(queue) == 0 {
			return nil, nil
		}
		return ch, queue[0]
	}
	for ctx.Err() == nil {
		if next := o.core.Next(); next.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(max(time.Until(next), 0))
		}
		toVerify, v := offer(o.toVerify, o.verify)
		toLookup, l := offer(o.toLookup, o.lookup)
		toDisk, d := offer(o.toDisk, o.write)
		o.steps.Rest()
		select {
		case toVerify <- v:
			o.steps.Wake()
			o.verify = o.verify[1:]
		case toLookup <- l:
			o.steps.Wake()
			o.lookup = o.lookup[1:]
		case toDisk <- d:
			o.steps.Wake()
			o.write = o.write[1:]
		case in := <-o.results:
			o.steps.Wake()
			o.step(ctx, in)
		case <-o.mail.wake:
			o.steps.Wake()
			o.read(ctx, o.mail.open())
		case <-o.pulse: // the question is the answer
		case <-timer.C:
			o.steps.Wake()
			o.step(ctx, Tick{})
		case <-ctx.Done():
		}
	}
}

// read steps through what callers told.
func (o *owner) read(ctx context.Context, l letter) {
	for _, id := range l.ids {
		n := l.news[id]
		if n.left {
			o.leave(id)
			o.step(ctx, Left{id})
		}
		if n.joined != nil {
			o.leave(id)
			o.sessions[id] = n.joined
			var batch wire.Batch
			if b, ok := n.joined.(wire.Batcher); ok {
				batch = b.Batch()
			}
			o.step(ctx, Joined{Peer: id, Claims: *n.claims, Batch: batch})
		} else if n.claims != nil {
			o.step(ctx, Claims{Peer: id, Status: *n.claims})
		}
		if n.announced != nil {
			o.step(ctx, *n.announced)
		}
	}
	for _, in := range l.offers {
		o.step(ctx, in)
	}
	if l.target != nil {
		o.step(ctx, Targeted{*l.target})
	}
}

func (o *owner) leave(id peer.ID) {
	if s, ok := o.sessions[id]; ok {
		delete(o.sessions, id)
		if len(o.gone) >= maxGone {
			o.gone = o.gone[1:]
		}
		o.gone = append(o.gone, departed{id, s})
	}
}

// session finds a peer's session, ended lately or not.
func (o *owner) session(id peer.ID) wire.Session {
	if s, ok := o.sessions[id]; ok {
		return s
	}
	for i := len(o.gone) - 1; i >= 0; i-- {
		if o.gone[i].id == id {
			return o.gone[i].s
		}
	}
	return nil
}

func (o *owner) step(ctx context.Context, in Input) {
	if a, ok := in.(Answered); ok {
		if cancel, ok := o.cancels[a.ID]; ok {
			cancel()
			delete(o.cancels, a.ID)
		}
	}
	for _, e := range o.core.Step(time.Now(), in) {
		o.carryOut(ctx, e)
	}
	snap := o.core.Snapshot()
	snap.Taken = o.cfg.Wall.Now()
	o.snapshot.Store(&snap)
}

func (o *owner) carryOut(ctx context.Context, e Effect) {
	switch e := e.(type) {
	case Ask:
		o.ask(ctx, e)
	case Cancel:
		if cancel, ok := o.cancels[e.ID]; ok {
			cancel()
		}
	case Lookup:
		o.lookup = append(o.lookup, o.lookupTask(e))
	case VerifyHeaders:
		o.verify = append(o.verify, o.verifyHeadersTask(e))
	case VerifyBodies:
		o.verify = append(o.verify, o.verifyBodiesTask(e))
	case Import:
		o.write = append(o.write, o.importTask(e))
	case Stage:
		o.write = append(o.write, o.stageTask(e))
	case Charge:
		s := o.session(e.Peer)
		if s != nil && o.cfg.Charge != nil {
			o.cfg.Charge(s, e.Offense, peer.Clean(e.Detail))
		}
		if g, ok := s.(wire.Grader); ok && e.Lied {
			g.Rejected()
		}
	case Tell:
		o.log(e.Event)
		o.count(e.Event)
		if o.cfg.OnEvent != nil {
			o.events.put(e.Event)
		}
	}
}

// ask sends a request on a goroutine of its own; the core bounds how many.
func (o *owner) ask(ctx context.Context, e Ask) {
	s, ok := o.sessions[e.Peer]
	rctx, cancel := context.WithCancel(ctx)
	o.cancels[e.ID] = cancel
	if o.cfg.Caps.TellsSent {
		rctx = wire.OnSent(rctx, func(at time.Time) { o.result(ctx, Sent{e.ID, at}) })
	}
	o.wg.Go(func() {
		in := Answered{ID: e.ID, Err: wire.ErrClosed}
		if ok {
			in.Response, in.Err = o.cfg.Ask(rctx, s, e.Request)
		}
		if in.Err == nil && in.Response == nil {
			in.Err = wire.ErrUnsupported
		}
		o.result(ctx, in)
	})
}

// result hands a result to the owner; it waits for it, and the owner never
// waits for a worker.
func (o *owner) result(ctx context.Context, in Input) {
	select {
	case o.results <- in:
	case <-ctx.Done():
	}
}

func (o *owner) work(ctx context.Context, tasks <-chan task) {
	for {
		select {
		case t := <-tasks:
			o.result(ctx, t(ctx))
		case <-ctx.Done():
			return
		}
	}
}

// workDisk is the one importer: all that writes the chain passes here. A block
// of our own goes before what was fetched.
func (o *owner) workDisk(ctx context.Context) {
	for {
		select {
		case li := <-o.local:
			o.importLocal(ctx, li)
			continue
		case <-ctx.Done():
			return
		default:
		}
		select {
		case li := <-o.local:
			o.importLocal(ctx, li)
		case t := <-o.toDisk:
			o.result(ctx, t(ctx))
		case <-ctx.Done():
			return
		}
	}
}

// notify hands events to the reader, who may take his time.
func (s *Sync) notify(ctx context.Context) {
	for {
		select {
		case <-s.events.wake:
		case <-ctx.Done():
			return
		}
		for e, ok := s.events.take(); ok && ctx.Err() == nil; e, ok = s.events.take() {
			s.cfg.OnEvent(e)
		}
	}
}

// log tells the operator what he may have to act on. Nothing that a peer does
// reaches the error log.
func (o *owner) log(e Event) {
	l := o.cfg.Logger
	switch e := e.(type) {
	case Stuck:
		// The reason counts peers, and peers come and go as they like: what they
		// do must not fill the log.
		switch now := time.Now(); {
		case e.Reason == "" && o.saidStuck:
			o.saidStuck = false
			l.Info("sync goes on")
		case e.Reason != "" && now.Sub(o.stuckAt) >= stuckLogEvery:
			o.saidStuck, o.stuckAt = true, now
			l.Warn("sync is stuck", "reason", e.Reason)
		}
	case ReorgRefused:
		l.Warn("refused a reorganisation that is too deep", "block", e.Fork.String(), "peer", e.From.Short())
	case TargetRefused:
		l.Warn("sync target cannot be reached", "block", e.Target.String(), "reason", e.Reason)
	case Reorg:
		l.Info("reorganisation", "block", e.New.String(), "depth", e.Depth)
	case Syncing:
		level := slog.LevelDebug // a block that gossip did not bring
		if e.Goal > e.Head.Number+1 {
			level, o.long = slog.LevelInfo, true
		}
		l.Log(context.Background(), level, "syncing", "block", e.Head.String(), "goal", e.Goal, "rate", int(e.Rate))
	case Synced:
		level := slog.LevelDebug
		if o.long {
			level, o.long = slog.LevelInfo, false
		}
		l.Log(context.Background(), level, "synced", "block", e.Head.String())
	case GapFound:
		l.Debug("gap found", "block", e.Target.String(), "head", e.Head.String())
	case GapClosed:
		l.Debug("gap closed", "block", e.Target.String())
	}
}
