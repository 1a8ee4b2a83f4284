package bed

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/starlingp2p/starling/env"
)

// Sim is a run of the event bed: a queue, the generator that everything in the
// run draws from, and a running hash of what happened. Two runs of one program
// with one seed are equal to the bit, and Hash says so. It is not safe for
// concurrent use: a run has one goroutine.
type Sim struct {
	Queue
	seed uint64
	rng  *rand.Rand
	hash uint64
}

// NewSim starts a run at Epoch. The seed is as for env.NewRand: 0 draws one.
func NewSim(seed uint64) *Sim {
	s := &Sim{rng: env.NewRand(seed), hash: fnvOffset}
	s.seed = s.rng.Uint64()
	s.ran = func(at int64) { s.hash = mix(s.hash, uint64(at)) }
	return s
}

// Rand is the run's generator. Cores that outlive others should be given one
// of their own, by Fork, lest one more draw in one of them change all others.
func (s *Sim) Rand() *rand.Rand { return s.rng }

// Fork returns a generator of its own for the part of that name: the same for
// one seed and name, whatever else was drawn.
func (s *Sim) Fork(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// Fabric returns a network in this run's time.
func (s *Sim) Fabric(cfg Config) *Fabric {
	if cfg.Seed == 0 {
		cfg.Seed = s.seed
	}
	return newFabric(&s.Queue, cfg)
}

// Note mixes something that happened, at the virtual time, into the hash.
func (s *Sim) Note(what string, values ...uint64) {
	h := mix(s.hash, uint64(s.now))
	for i := range len(what) {
		h = (h ^ uint64(what[i])) * fnvPrime
	}
	for _, v := range values {
		h = mix(h, v)
	}
	s.hash = h
}

// Hash is the running hash over the instants of all calls that ran and over
// all notes: equal for equal runs.
func (s *Sim) Hash() uint64 { return s.hash }

// FNV-1a, 64 bit.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func mix(h, v uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	for _, x := range b {
		h = (h ^ uint64(x)) * fnvPrime
	}
	return h
}

// Core is the shape of Starling's pure cores.
type Core[Ev, Ef any] interface {
	// Step takes one event and says what is to be done.
	Step(now time.Time, ev Ev) []Ef
	// Next is when the core wants to be woken; the zero time: never.
	Next() time.Time
}

// maxWakesAtOnce bounds how often a core may be woken without the time moving:
// one that asks for a time that has passed would stop the run.
const maxWakesAtOnce = 1000

// Driver runs one core in a Sim. It costs one waiting call a core, so that
// thousands are cheap.
type Driver[Ev, Ef any] struct {
	sim    *Sim
	core   Core[Ev, Ef]
	tick   Ev
	do     func(Ef)
	inbox  []Ev
	busy   bool
	wakeAt int64 // of the waiting call that counts; -1: none
	woken  int   // wakes since the time moved
	last   int64 // instant of the last wake
}

// Drive puts a core into the run: each event sent is stepped, each effect is
// handed to do in order, and the event tick is sent whenever Next asks for it.
// A core that asks to be woken at a time that has passed over and over is a
// programmer's error and panics.
func Drive[Ev, Ef any](s *Sim, core Core[Ev, Ef], tick Ev, do func(Ef)) *Driver[Ev, Ef] {
	d := &Driver[Ev, Ef]{sim: s, core: core, tick: tick, do: do, wakeAt: -1}
	d.arm()
	return d
}

// Send steps the core with ev now. From within do, ev is stepped as soon as
// the effects at hand are done.
func (d *Driver[Ev, Ef]) Send(ev Ev) {
	d.inbox = append(d.inbox, ev)
	if d.busy {
		return
	}
	d.busy = true
	for i := 0; i < len(d.inbox); i++ {
		for _, ef := range d.core.Step(d.sim.Now(), d.inbox[i]) {
			d.do(ef)
		}
	}
	clear(d.inbox)
	d.inbox = d.inbox[:0]
	d.busy = false
	d.arm()
}

// arm adds a call for Next unless one waits that comes no later.
func (d *Driver[Ev, Ef]) arm() {
	next := d.core.Next()
	if next.IsZero() {
		d.wakeAt = -1
		return
	}
	at := max(d.sim.nanos(next), d.sim.now)
	if d.wakeAt == at {
		return
	}
	d.wakeAt = at
	d.sim.at(at, func() { d.wake(at) })
}

func (d *Driver[Ev, Ef]) wake(at int64) {
	if d.wakeAt != at { // the core changed its mind since
		return
	}
	if d.last != at {
		d.last, d.woken = at, 0
	}
	if d.woken++; d.woken > maxWakesAtOnce {
		panic("bed: core asks for ever to be woken at " + d.sim.Now().String())
	}
	d.wakeAt = -1
	d.Send(d.tick)
}
