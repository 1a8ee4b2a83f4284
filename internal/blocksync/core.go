package blocksync

import (
	"math/rand/v2"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/recent"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// CoreConfig is what the scheduler needs to know. The zero value works.
type CoreConfig struct {
	Caps               wire.Caps
	Rand               *rand.Rand    // breaks ties between peers; nil: none are broken by chance
	BlockInterval      time.Duration // 0: 2 s
	MaxBytes           int           // 0: 128 MiB
	MaxStagedBytes     int64         // 0: 16 GiB
	MaxInFlightPerPeer int           // 0: 4; never over Caps.MaxInFlight
	BackwardOnly       bool          // see Config
	MinPeers           int           // see Config
	MinPeersFor        time.Duration // see Config
}

func (cfg CoreConfig) withDefaults() CoreConfig {
	if cfg.BlockInterval <= 0 {
		cfg.BlockInterval = 2 * time.Second
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 128 << 20
	}
	if cfg.MaxStagedBytes <= 0 {
		cfg.MaxStagedBytes = defaultStaged
	}
	if cfg.MaxInFlightPerPeer <= 0 {
		cfg.MaxInFlightPerPeer = 4
	}
	if m := cfg.Caps.MaxInFlight; m > 0 {
		cfg.MaxInFlightPerPeer = min(cfg.MaxInFlightPerPeer, m)
	}
	b := &cfg.Caps.MaxBatch
	if b.Headers <= 0 {
		b.Headers = defaultHeaders
	}
	if b.Bodies <= 0 {
		b.Bodies = defaultBlocks
	}
	if b.Blocks <= 0 {
		b.Blocks = defaultBlocks
		if cfg.Caps.Skeleton && cfg.Caps.BodiesApart {
			b.Blocks = 0 // whole blocks are not needed, so not presumed
		}
	}
	return cfg
}

// Core is the scheduler: pure, not safe for concurrent use. Only one function
// may own it.
type Core struct {
	cfg CoreConfig

	now    time.Time
	out    []Effect
	nextID uint64

	started bool
	status  chain.Status
	recent  *recent.Map[chain.Hash, chain.Header] // imported for certain
	bad     recent.Set[chain.Hash]                // refused by the chain: never asked for again
	doubted recent.Set[chain.Hash]                // heads that were claimed and not delivered

	strangers int // masters in a row that never proved anything

	peers []*remote // by ID
	byID  map[peer.ID]*remote
	asked map[uint64]*request

	loose        quarantine
	early        []Offered // that came before Ready; as many as wait outside
	target       chain.Ref // set, and not reached; zero if none
	targetRetry  time.Time
	targetWait   time.Duration // back-off of a target that nobody has
	forwardFirst time.Time     // until then a gap does not go before a forward sync: what is below one could not be judged
	unjudgedText string        // why; empty once a sync backwards began anew
	fromStage    bool          // target was found on the stage
	recheck      time.Time     // when to look for a job again, after one has ended
	job          *job
	tip          tipImport
	staged       map[chain.Hash]staged // on disk
	stagedBytes  int64
	lookups      map[uint64]func(Looked)

	avgBody  float64 // bytes of a block, smoothed
	held     int     // bytes in memory, of blocks and unverified headers
	reserved int     // bytes expected in answers under way
	trouble  trouble

	behindSince time.Time // zero: nobody claims more
	synced      bool
	reached     bool      // the end of a sync, or a block of the tip, since the start
	firstJoin   time.Time // since the start
	gaveUp      time.Time // when a forward sync last ended short of that
	stuck       stall     // the one that was told last
	lastImport  time.Time
	imported    uint64
	rate        float64 // blocks per second
	lastTold    time.Time
	drops       Drops
}

// trouble is our own: the disk is full, or worse.
type trouble struct {
	stall
	until time.Time
	delay time.Duration
	fatal bool // nothing helps but the operator
	write bool // it came of writing, and ends with a write that works
}

// NewCore makes a scheduler that waits for Ready.
func NewCore(cfg CoreConfig) *Core {
	return &Core{
		cfg:     cfg.withDefaults(),
		byID:    map[peer.ID]*remote{},
		asked:   map[uint64]*request{},
		staged:  map[chain.Hash]staged{},
		lookups: map[uint64]func(Looked){},
		loose:   newQuarantine(),
		recent:  recent.NewMap[chain.Hash, chain.Header](maxRecent),
		bad:     recent.NewSet[chain.Hash](maxBad),
		doubted: recent.NewSet[chain.Hash](maxDoubted),
	}
}

// Step takes one input and gives what is to be done, in order. It does no I/O
// and keeps nothing of the effects.
func (c *Core) Step(now time.Time, in Input) []Effect {
	if now.After(c.now) {
		c.now = now // time never runs backwards here
	}
	c.out = nil
	c.take(in)
	c.expire()
	c.drive()
	out := c.out
	c.out = nil
	return out
}

func (c *Core) take(in Input) {
	switch in := in.(type) {
	case Ready:
		c.onReady(in)
	case Joined:
		c.onJoined(in)
	case Left:
		c.onLeft(in.Peer)
	case Claims:
		c.onClaims(in)
	case Announced:
		c.onAnnounced(in)
	case Offered:
		c.onOffered(in)
	case Targeted:
		c.onTargeted(in.Ref)
	case Sent:
		c.onSent(in)
	case Answered:
		c.onAnswered(in)
	case Looked:
		if f, ok := c.lookups[in.ID]; ok {
			delete(c.lookups, in.ID)
			if in.Err == nil {
				c.readable()
			}
			f(in)
		}
	case VerifiedHeaders:
		c.onVerifiedHeaders(in)
	case VerifiedBodies:
		c.onVerifiedBodies(in)
	case Imported:
		c.onImported(in)
	case StagedBlocks:
		c.onStaged(in)
	case LocalImported:
		c.written()
		c.reached = true
		c.remember(in.Header)
		c.newStatus(in.Status, in.Head, in.Undone)
		c.afterImport([]chain.Header{in.Header})
	}
}

func (c *Core) onReady(in Ready) {
	c.started = true
	c.status = in.Status
	c.lastImport = c.now
	if in.Head.Ref == in.Status.Head {
		c.remember(in.Head)
	}
	for _, h := range in.Staged {
		if len(c.staged) >= maxStagedHeaders {
			break
		}
		c.stage(h, in.StagedSize)
	}
	// The highest staged block is the target of the sync that a crash cut
	// short: it was linked to one that we trusted.
	if n := len(in.Staged); n > 0 && c.target == (chain.Ref{}) {
		if top := in.Staged[n-1].Ref; top.Number > in.Status.Head.Number {
			c.target, c.fromStage = top, true
		}
	}
	early := c.early
	c.early = nil
	for _, o := range early {
		c.onOffered(o)
	}
}

// drive does everything that the present state allows.
func (c *Core) drive() {
	if !c.started {
		return
	}
	if !c.trouble.fatal {
		c.follow()
		c.recheck = time.Time{}
		for range 2 { // the end of a job may be the start of the next
			if c.job == nil {
				c.choose()
			}
			if c.job == nil {
				break
			}
			if c.driveJob(); c.job != nil {
				break
			}
			c.recheck = c.now.Add(recheckAfter)
		}
	}
	c.tell()
}

// Next is when Step wants to be called with Tick at the latest; zero: never.
func (c *Core) Next() time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, p := range c.peers {
		for _, r := range p.asked {
			if !r.cancelled {
				sooner(r.deadline)
			}
		}
		if c.job != nil && p.pausedUntil.After(c.now) {
			sooner(p.pausedUntil)
		}
		if p.badUntil.After(c.now) && c.better(p) {
			sooner(p.badUntil)
		}
	}
	if j := c.job; j != nil && j.forward {
		if at := j.led.Add(scoutAfter); at.After(c.now) && j.master != nil && j.master.standing() < proven {
			sooner(at)
		}
	}
	sooner(c.recheck)
	if at := c.unsureUntil(); !c.synced && at.After(c.now) {
		sooner(at)
	}
	if c.trouble.until.After(c.now) {
		sooner(c.trouble.until)
	}
	if c.job != nil || !c.behindSince.IsZero() || c.target != (chain.Ref{}) || c.loose.len() > 0 {
		sooner(c.now.Add(time.Second)) // grace, lacks, give-up and reasons are judged by the second
	}
	return next
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) id() uint64 {
	c.nextID++
	return c.nextID
}

// lookup reads headers and calls then with what was found.
func (c *Core) lookup(refs []chain.Ref, then func(Looked)) {
	id := c.id()
	c.lookups[id] = then
	c.emit(Lookup{ID: id, Refs: refs})
}

// newStatus takes in what the chain says of itself after an import.
func (c *Core) newStatus(st chain.Status, head chain.Header, undone int) {
	old := c.status.Head
	c.status = st
	if head.Ref == st.Head {
		c.remember(head)
	}
	if undone > 0 {
		c.emit(Tell{Reorg{Old: old, New: st.Head, Depth: undone}})
	}
}

// ownTrouble pauses what writes the disk, longer each time.
func (c *Core) ownTrouble(doing string, err error, fatal bool) {
	d := min(max(minTrouble, 2*c.trouble.delay), maxTrouble)
	c.trouble = trouble{
		stall: stall{causeOf(err), doing + ": " + errText(err)},
		until: c.now.Add(d), delay: d, fatal: fatal,
	}
}

// readable ends a trouble that came of reading or verifying.
func (c *Core) readable() {
	if !c.trouble.write && !c.trouble.fatal {
		c.trouble = trouble{}
	}
}

// written ends a trouble.
func (c *Core) written() {
	if !c.trouble.fatal {
		c.trouble = trouble{}
	}
}

func (c *Core) pausedByTrouble() bool { return c.trouble.fatal || c.now.Before(c.trouble.until) }

// room reports whether n more bytes may be asked for.
func (c *Core) room(n int) bool { return c.held+c.reserved+n <= c.cfg.MaxBytes }
