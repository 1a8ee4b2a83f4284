package blocksync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Errors that callers branch on.
var (
	// ErrClosed: Run has ended.
	ErrClosed = errors.New("blocksync: closed")
	// ErrRunning: Run was called a second time.
	ErrRunning = errors.New("blocksync: run was called twice")
	// ErrNoTarget: a target without a hash is not one to trust.
	ErrNoTarget = errors.New("blocksync: target without a hash")
)

// Config says what to sync and with whom to talk. Chain is needed; the zero
// of all else works.
type Config struct {
	Chain  chain.Chain
	Caps   wire.Caps
	Wall   env.Wall // stamps Snapshot.Taken; nil: the machine's
	Seed   uint64   // of choices between equal peers; 0: drawn
	Logger *slog.Logger

	BlockInterval      time.Duration // how often blocks come, a hint; 0: 2 s
	MaxBytes           int           // held and asked for; 0: 128 MiB
	MaxStagedBytes     int64         // on disk, not linked to our chain yet; 0: 16 GiB
	MaxInFlightPerPeer int           // requests; 0: 4; never over Caps.MaxInFlight
	Workers            int           // that verify; 0: one for each processor
	// BackwardOnly turns forward sync off: for chains whose headers prove
	// nothing by themselves (OP Stack), so that only a trusted target does.
	BackwardOnly bool
	// MinPeers is how many sessions there are before a forward sync begins, where
	// a network's nodes wait for company; 0: 1.
	MinPeers int
	// MinPeersFor is how long it waits for them at most, once somebody has more
	// than we have; 0: until they are there.
	MinPeersFor time.Duration

	// Queue capacities: 0 is the default, negative none.
	OfferQueue int // offered blocks; 64, and a quarter of MaxBytes; the furthest ahead is dropped
	EventQueue int // events that OnEvent has not read; 256; the oldest is dropped
	Inbox      int // results that wait for the owner; 16; workers wait

	// Ask sends a request; nil: the session's own Request. It is called on a
	// goroutine of its own and may block until ctx ends.
	Ask func(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error)
	// Charge makes a peer pay for an offense. It is called by the owner and
	// must never block. Nil: nobody pays.
	Charge func(s wire.Session, o peer.Offense, detail string)
	// OnHead is called after each import, once it is durable, in order, by the
	// one goroutine that imports, which waits for it. imported are the blocks
	// that the chain took, ours among them. Nil: nobody listens.
	OnHead func(st chain.Status, imported []chain.Ref)
	// OnEvent gets the events, in order, on a goroutine of its own. Nil:
	// nobody listens.
	OnEvent func(Event)
}

// Validate reports all that is wrong with the config.
func (cfg Config) Validate() error {
	var errs []error
	if cfg.Chain == nil {
		errs = append(errs, errors.New("blocksync: config: Chain is nil"))
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"MaxBytes", cfg.MaxBytes}, {"MaxInFlightPerPeer", cfg.MaxInFlightPerPeer}, {"Workers", cfg.Workers}} {
		if f.n < 0 {
			errs = append(errs, fmt.Errorf("blocksync: config: %s is %d, must not be negative", f.name, f.n))
		}
	}
	if cfg.MaxStagedBytes < 0 {
		errs = append(errs, fmt.Errorf("blocksync: config: MaxStagedBytes is %d, must not be negative", cfg.MaxStagedBytes))
	}
	if cfg.BlockInterval < 0 {
		errs = append(errs, fmt.Errorf("blocksync: config: BlockInterval is %v, must not be negative", cfg.BlockInterval))
	}
	return errors.Join(errs...)
}

func (cfg Config) withDefaults() Config {
	if cfg.Wall == nil {
		cfg.Wall = env.SystemWall()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Ask == nil {
		cfg.Ask = func(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
			return s.Request(ctx, r)
		}
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 128 << 20
	}
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	capacity := func(n *int, byDefault int) {
		switch {
		case *n == 0:
			*n = byDefault
		case *n < 0:
			*n = 0
		}
	}
	capacity(&cfg.OfferQueue, 64)
	capacity(&cfg.EventQueue, 256)
	capacity(&cfg.Inbox, 16)
	return cfg
}

// Sync keeps a chain in sync. All methods are safe for concurrent use.
type Sync struct {
	cfg      Config
	mail     *mailbox
	events   *eventQueue
	snapshot atomic.Pointer[Snapshot]
	local    chan localImport
	running  atomic.Bool
	done     chan struct{}
	counts
}

type localImport struct {
	block chain.Block
	reply chan error // capacity 1
}

// New makes a Sync that does nothing until Run.
func New(cfg Config) (*Sync, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Sync{
		cfg:    cfg,
		mail:   newMailbox(cfg.OfferQueue, cfg.MaxBytes/4),
		events: newEventQueue(cfg.EventQueue),
		local:  make(chan localImport),
		done:   make(chan struct{}),
		counts: newCounts(),
	}
	s.snapshot.Store(&Snapshot{Mode: ModeStarting, Head: cfg.Chain.Status().Head})
	return s, nil
}

// Join tells of an open session and what its peer claims. A session that is
// there already under the same ID is replaced. Never blocks.
func (s *Sync) Join(ses wire.Session, claims chain.Status) {
	s.mail.join(ses.Peer().ID, ses, claims)
}

// Leave tells that the session with a peer has ended. Never blocks.
func (s *Sync) Leave(id peer.ID) { s.mail.leave(id) }

// Claimed tells what a peer claims now. Never blocks; only the last one counts.
func (s *Sync) Claimed(id peer.ID, st chain.Status) { s.mail.claim(id, st) }

// Announced tells of a block that a peer says it has. It is only a hint, as a
// claim is. Never blocks; only the best one counts.
func (s *Sync) Announced(id peer.ID, ref chain.Ref, w chain.Weight) { s.mail.announce(id, ref, w) }

// Offer hands over a block that came by gossip. It must have passed
// Checker.Check with Accept, since its parent is then trusted as a target. It
// never blocks; over the bound the block furthest ahead is dropped, and
// counted. from may be nil.
func (s *Sync) Offer(from wire.Session, b chain.Block) {
	var id peer.ID
	if from != nil {
		id = from.Peer().ID
	}
	s.mail.offer(id, b)
}

// ImportLocal imports a block that we made, through the one importer, after
// the import that is under way. It blocks until the block is durable, refused,
// or ctx or Run has ended.
func (s *Sync) ImportLocal(ctx context.Context, b chain.Block) error {
	li := localImport{b, make(chan error, 1)}
	select {
	case s.local <- li:
	case <-ctx.Done():
		return fmt.Errorf("blocksync: importing %v of our own: %w", b.Ref(), context.Cause(ctx))
	case <-s.done:
		return ErrClosed
	}
	select {
	case err := <-li.reply:
		return err
	case <-s.done: // the importer answers what it took before it ends
		select {
		case err := <-li.reply:
			return err
		default:
			return ErrClosed
		}
	}
}

// SetTarget makes a trusted block the target: everything down to our chain is
// fetched, staged and imported. The last one set counts; it is forgotten when
// reached, and with the process unless something of it is staged. It does not
// wait for the sync.
func (s *Sync) SetTarget(ctx context.Context, ref chain.Ref) error {
	if ref.Hash.IsZero() {
		return fmt.Errorf("%w: %d", ErrNoTarget, ref.Number)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-s.done:
		return ErrClosed
	default:
	}
	s.mail.aim(ref)
	return nil
}

// Status is the state at the last change. Never blocks.
func (s *Sync) Status() Snapshot {
	snap := *s.snapshot.Load()
	snap.Drops.OfferQueue = s.mail.dropped()
	snap.Drops.Events = s.events.dropped()
	return snap
}
