package blocksync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// world runs a Core alone, on a queue of events in virtual time: what the
// shell does, without goroutines.
type world struct {
	core   *Core
	chain  *chaintest.Chain
	tasks  *owner // for its tasks only
	now    time.Time
	queue  []arrival
	seq    int
	peers  map[peer.ID]*actor
	caps   wire.Caps
	trace  func(string)
	steps  int
	gone   map[uint64]bool // requests that were cancelled
	held   int             // the most
	over   error           // a broken invariant
	paid   map[peer.ID]map[peer.Offense]int
	events []Event
	next   map[chain.Hash]bool // imported
}

type arrival struct {
	at  time.Time
	seq int
	in  Input
}

// actor is a peer: act says what it answers, and after how long; a negative
// time is never.
type actor struct {
	id    peer.ID
	chain *chaintest.Chain
	act   func(rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error, time.Duration)
	asked int
	batch wire.Batch
	open  map[uint64]bool
}

func honestly(rtt time.Duration) func(wire.Request, func() (wire.Response, error)) (wire.Response, error, time.Duration) {
	return func(_ wire.Request, honest func() (wire.Response, error)) (wire.Response, error, time.Duration) {
		r, err := honest()
		return r, err, rtt
	}
}

func newWorld(c *chaintest.Chain, cfg CoreConfig) *world {
	w := &world{
		core: NewCore(cfg), chain: c, now: time.Unix(1_000_000, 0), peers: map[peer.ID]*actor{}, caps: cfg.Caps,
		gone: map[uint64]bool{}, paid: map[peer.ID]map[peer.Offense]int{}, next: map[chain.Hash]bool{},
	}
	s, err := New(Config{Chain: c, Caps: cfg.Caps})
	if err != nil {
		panic(err)
	}
	w.tasks = &owner{Sync: s}
	w.step(w.tasks.load(context.Background()))
	return w
}

func (w *world) add(a *actor, st chain.Status) {
	a.open = map[uint64]bool{}
	w.peers[a.id] = a
	w.step(Joined{Peer: a.id, Claims: st, Batch: a.batch})
}

func (w *world) leave(id peer.ID) {
	delete(w.peers, id)
	w.step(Left{id})
}

func (w *world) after(d time.Duration, in Input) {
	w.seq++
	w.queue = append(w.queue, arrival{w.now.Add(d), w.seq, in})
}

// step gives the core one input and carries out what it wants.
func (w *world) step(in Input) {
	w.steps++
	if w.trace != nil {
		if _, tick := in.(Tick); !tick {
			w.trace("> " + show(in))
		}
	}
	if a, ok := in.(Answered); ok {
		for _, p := range w.peers {
			delete(p.open, a.ID)
		}
	}
	for _, e := range w.core.Step(w.now, in) {
		if w.trace != nil {
			w.trace("  " + showEffect(e))
		}
		w.carryOut(e)
	}
	w.check()
}

func (w *world) carryOut(e Effect) {
	ctx := context.Background()
	slow := func(t task, d time.Duration) {
		in := t(ctx)
		if im, ok := in.(Imported); ok {
			w.note(e.(Import), im)
		}
		w.after(d, in)
	}
	switch e := e.(type) {
	case Ask:
		w.ask(e)
	case Cancel:
		w.gone[e.ID] = true
		w.after(0, Answered{ID: e.ID, Err: context.Canceled})
	case Lookup:
		slow(w.tasks.lookupTask(e), 0)
	case VerifyHeaders:
		slow(w.tasks.verifyHeadersTask(e), time.Millisecond)
	case VerifyBodies:
		slow(w.tasks.verifyBodiesTask(e), time.Millisecond)
	case Import:
		slow(w.tasks.importTask(e), 5*time.Millisecond)
	case Stage:
		slow(w.tasks.stageTask(e), 5*time.Millisecond)
	case Charge:
		if w.paid[e.Peer] == nil {
			w.paid[e.Peer] = map[peer.Offense]int{}
		}
		w.paid[e.Peer][e.Offense]++
	case Tell:
		w.events = append(w.events, e.Event)
	}
}

// note checks that what was imported followed its parent.
func (w *world) note(e Import, in Imported) {
	for i, it := range e.Items {
		if i >= in.N {
			break
		}
		b, err := w.chain.Block(context.Background(), it.Ref)
		if err != nil {
			w.fail("imported %v is not in the chain", it.Ref)
			continue
		}
		p, err := w.chain.Header(context.Background(), chain.Ref{Hash: b.Header.Parent})
		if err != nil || (len(w.next) > 0 && !w.next[p.Ref.Hash] && p.Ref.Number > 0 && w.next[b.Header.Ref.Hash]) {
			w.fail("%v was imported out of order", it.Ref)
		}
		w.next[b.Header.Ref.Hash] = true
	}
	if errors.Is(in.Err, chain.ErrUnknownParent) {
		w.fail("import without its parent: %v", in.Err)
	}
}

func (w *world) fail(format string, args ...any) {
	if w.over == nil {
		w.over = fmt.Errorf(format, args...)
	}
}

func (w *world) ask(e Ask) {
	p, ok := w.peers[e.Peer]
	if !ok {
		w.after(0, Answered{ID: e.ID, Err: wire.ErrClosed})
		return
	}
	p.asked++
	p.open[e.ID] = true
	if len(p.open) > 8 {
		w.fail("%d requests under way with %s", len(p.open), p.id)
	}
	resp, err, d := p.act(e.Request, func() (wire.Response, error) { return serve(context.Background(), p.chain, e.Request) })
	if d < 0 {
		return
	}
	if err != nil {
		resp = nil
	} else if resp == nil {
		err = wire.ErrUnsupported
	}
	w.after(d, Answered{ID: e.ID, Response: resp, Err: err})
}

// check holds after each step.
func (w *world) check() {
	c := w.core
	mem := c.held + c.reserved
	w.held = max(w.held, mem)
	if c.held < 0 || c.reserved < 0 {
		w.fail("held %d, reserved %d", c.held, c.reserved)
	}
	// One answer more may come in at the front.
	if slack := 3 << 20; mem > c.cfg.MaxBytes+slack {
		w.fail("%d bytes held and asked for, bound %d", mem, c.cfg.MaxBytes)
	}
	var staged int64
	for _, b := range c.staged {
		staged += b.size
	}
	if staged != c.stagedBytes || staged > c.cfg.MaxStagedBytes {
		w.fail("%d bytes staged, %d counted, bound %d", staged, c.stagedBytes, c.cfg.MaxStagedBytes)
	}
	n := 0
	for _, p := range c.peers {
		n += len(p.asked)
		if len(p.asked) > c.cfg.MaxInFlightPerPeer {
			w.fail("%d requests with %s, bound %d", len(p.asked), p.id, c.cfg.MaxInFlightPerPeer)
		}
	}
	if n != len(c.asked) {
		w.fail("%d requests by peer, %d by number", n, len(c.asked))
	}
	if j := c.job; j != nil {
		needs, pending := 0, 0
		for i := range j.entries.len() {
			if j.entries.at(i).state == need {
				needs++
			}
			if j.entries.at(i).state != onDisk {
				pending++
			}
		}
		if needs != j.needs || pending != j.pending {
			w.fail("needs %d counted %d, pending %d counted %d", needs, j.needs, pending, j.pending)
		}
	}
}

// run goes on for some time, or until done.
func (w *world) run(d time.Duration, done func() bool) bool {
	end := w.now.Add(d)
	for w.over == nil {
		if done != nil && done() {
			return true
		}
		slices.SortFunc(w.queue, func(a, b arrival) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq)) })
		at := end
		if len(w.queue) > 0 && w.queue[0].at.Before(at) {
			at = w.queue[0].at
		}
		if wake := w.core.Next(); !wake.IsZero() && wake.Before(at) {
			w.now = latest(w.now, wake)
			w.step(Tick{})
			continue
		}
		if at.Equal(end) {
			w.now = end
			return done != nil && done()
		}
		a := w.queue[0]
		w.queue = w.queue[1:]
		w.now = latest(w.now, a.at)
		if x, ok := a.in.(Answered); ok && w.gone[x.ID] && x.Err == nil {
			continue // cancelled before it came
		}
		w.step(a.in)
		if w.steps > 20_000 {
			w.fail("half a million steps")
		}
	}
	return false
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
