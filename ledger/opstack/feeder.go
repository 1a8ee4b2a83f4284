package opstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Execution is an execution client, as an Engine calls it.
type Execution interface {
	NewPayload(ctx context.Context, p *codec.Envelope) (PayloadStatus, error)
	Forkchoice(ctx context.Context, v codec.Version, head, safe, final chain.Hash) (PayloadStatus, error)
	Head(ctx context.Context) (chain.Ref, error)
	Block(ctx context.Context, number uint64) (chain.Ref, bool, error)
	Host() string
}

// Source of blocks for a Feeder: a ledger.
type blocks interface {
	State
	Block(ctx context.Context, ref chain.Ref) (chain.Block, error)
}

// FeederConfig configures a Feeder. Engine and Chain are required.
type FeederConfig struct {
	Engine Execution
	Chain  blocks
	Heads  *Heads       // tells the safe head; nil: it is the finalized one
	Logger *slog.Logger // nil: nothing
}

// How often the client is told of a head, though there is no new one.
const (
	refreshEvery = 30 * time.Second // where it has it: it may have been restarted
	syncingEvery = 10 * time.Second // where it is on its way to it
	backFirst    = time.Second      // after a failure; it doubles
	backMost     = 30 * time.Second
)

// Feeder has an execution client follow the unsafe head. It hands over the
// newest block that is known to be authentic, whether the ledger has reached it
// or not, and names it as the head. Where the client lacks blocks before it that
// the ledger has, it gets them from here, in order; what is missing here too it
// fetches from its own peers.
//
// It works at the client's pace on a goroutine of its own: one block waits, the
// newest, and blocks that a newer one replaces are counted and not handed over.
// Nothing that gossip or the ledger does ever waits for it.
type Feeder struct {
	c    FeederConfig
	wake chan struct{} // capacity 1

	mu      sync.Mutex // a leaf
	offered chain.Block
	fresh   bool // offered was not handed over yet

	state     atomic.Pointer[FeedState]
	tellFill  time.Time // when the log was told of a filling last; Run's own
	coalesced atomic.Uint64
	calls     *meter.Tally[FeedCall]
}

// FeedCall is a call by what it was and how it ended: a status in lower case, or
// the code of a failure.
type FeedCall struct{ Call, Result string }

// maxFeedCalls bounds the keys of what is counted.
const maxFeedCalls = 64

// NewFeeder makes a Feeder that does nothing until Run.
func NewFeeder(c FeederConfig) (*Feeder, error) {
	if c.Engine == nil || c.Chain == nil {
		return nil, errors.New("opstack: FeederConfig needs Engine and Chain")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Feeder{c: c, wake: make(chan struct{}, 1), calls: meter.NewTally(maxFeedCalls, func(k FeedCall) FeedCall { return FeedCall{k.Call, "other"} })}
	f.state.Store(&FeedState{Code: FeedStarting, Since: time.Now()})
	return f, nil
}

// Offer gives a block that is authentic by its signature, though its parent may
// be missing. It never blocks; the block must not change afterwards.
func (f *Feeder) Offer(b chain.Block) {
	f.mu.Lock()
	newer := b.Ref().Number > f.offered.Ref().Number
	if newer {
		if f.fresh {
			f.coalesced.Add(1)
		}
		f.offered, f.fresh = b, true
	}
	f.mu.Unlock()
	if newer {
		f.Wake()
	}
}

// Wake says that the ledger may have a new head. It never blocks.
func (f *Feeder) Wake() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// State is how it stands. It never blocks.
func (f *Feeder) State() FeedState { return *f.state.Load() }

// Counts are the calls since the start, and the blocks that were replaced by a
// newer one before their turn. It never blocks.
func (f *Feeder) Counts() (calls map[FeedCall]uint64, coalesced uint64) {
	return f.calls.Counts(), f.coalesced.Load()
}

// Run feeds the client until ctx ends, and gives its cause. It must be called
// once. That the client is away, refuses us or refuses a block stops nothing.
func (f *Feeder) Run(ctx context.Context) error {
	var (
		wait time.Duration
		back = backFirst
		wake <-chan struct{} // nil while it backs off
	)
	for {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-wake:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
		err := f.round(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		st := f.judge(err)
		switch {
		case err == nil, st.Code == FeedStarting:
			wait, back, wake = refreshEvery, backFirst, f.wake
		case st.Code == FeedSyncing:
			wait, back, wake = syncingEvery, backFirst, f.wake
		case st.Code == FeedInvalid: // another block may be better
			wait, back, wake = refreshEvery, backFirst, f.wake
		default:
			wait, wake = back, nil
			back = min(2*back, backMost)
		}
	}
}

// newest is the block to be followed: the head of the ledger, or one that came
// by gossip and that it has not reached. ok is false where there is none.
func (f *Feeder) newest(ctx context.Context) (b chain.Block, ok bool, err error) {
	st := f.c.Chain.Status()
	f.mu.Lock()
	if f.offered.Ref().Number <= st.Head.Number {
		f.offered, f.fresh = chain.Block{}, false
	}
	b, f.fresh = f.offered, false
	f.mu.Unlock()
	if b.Ref().Number > 0 {
		return b, true, nil
	}
	if st.Head.Hash == st.Genesis {
		return b, false, nil
	}
	b, err = f.c.Chain.Block(ctx, st.Head)
	return b, err == nil, err
}

// round brings the client to the newest block, as far as it goes.
func (f *Feeder) round(ctx context.Context) error {
	b, ok, err := f.newest(ctx)
	if err != nil {
		return &ledgerError{err}
	}
	if !ok {
		return errNothing
	}
	switch err := f.payload(ctx, b); {
	case err == nil:
		return f.choose(ctx, b)
	case !errors.Is(err, errMissing):
		return err
	}
	last, err := f.fill(ctx)
	switch {
	case err != nil:
		return err
	case last.Ref().Number == 0: // it has all that we have
		return f.choose(ctx, b)
	}
	return f.choose(ctx, last)
}

// errMissing: the client lacks the parent of a block, or its state.
var errMissing = errors.New("opstack: the execution client is on its way to the head")

// errNothing: there is no block yet.
var errNothing = errors.New("opstack: no block is known yet")

// invalidError: the client has executed a block and found it wrong.
type invalidError struct {
	ref    chain.Ref
	reason string
}

func (e *invalidError) Error() string {
	return fmt.Sprintf("opstack: the execution client says that block %v is not valid: %s", e.ref, e.reason)
}

// ledgerError: our own blocks could not be read.
type ledgerError struct{ err error }

func (e *ledgerError) Error() string { return fmt.Sprintf("opstack: ledger: %v", e.err) }
func (e *ledgerError) Unwrap() error { return e.err }

// payload hands a block over.
func (f *Feeder) payload(ctx context.Context, b chain.Block) error {
	p, err := codec.EnvelopeOf(b)
	if err != nil {
		return &ledgerError{err}
	}
	st, err := f.c.Engine.NewPayload(ctx, p)
	f.count(ctx, "payload", st, err)
	return verdict(b.Ref(), st, err)
}

// choose names a block as the head.
func (f *Feeder) choose(ctx context.Context, b chain.Block) error {
	p, err := codec.EnvelopeOf(b)
	if err != nil {
		return &ledgerError{err}
	}
	final := f.c.Chain.Status().Finalized
	safe := final
	if f.c.Heads != nil {
		if safe, err = f.c.Heads.Safe(ctx); err != nil {
			return &ledgerError{err}
		}
	}
	if final.Number > b.Ref().Number {
		final = chain.Ref{}
	}
	if safe.Number > b.Ref().Number {
		safe = final
	}
	st, err := f.c.Engine.Forkchoice(ctx, p.Version, b.Ref().Hash, safe.Hash, final.Hash)
	f.count(ctx, "forkchoice", st, err)
	if err = verdict(b.Ref(), st, err); err == nil {
		f.reached(b.Ref())
	}
	return err
}

// verdict is what an answer means; nil: the client has the block.
func verdict(ref chain.Ref, st PayloadStatus, err error) error {
	switch {
	case err != nil:
		return err
	case st.Status == StatusValid:
		return nil
	case st.Status == StatusSyncing, st.Status == StatusAccepted:
		return errMissing
	}
	return &invalidError{ref, st.ValidationError}
}
