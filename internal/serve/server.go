package serve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/bucket"
	"github.com/starlingp2p/starling/internal/turns"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Server answers requests. Make one with New. Its methods are safe for
// concurrent use.
type Server struct {
	cfg     Config
	workers chan struct{}
	bulk    chan struct{} // those of them that may be at large answers
	apps    chan struct{}
	counts  counts
	log     cappedLog
	turns   *turns.Turns

	mu       sync.Mutex // held for arithmetic only, never while anything waits
	peers    *accounts[string]
	prefixes *accounts[netip.Prefix]
	global   bucket.Bucket
	each     [numKinds]float64 // bytes an item takes, smoothed
}

// New makes a Server. It panics without a Chain.
func New(cfg Config) *Server {
	if cfg.Chain == nil {
		panic("serve: Config.Chain is nil")
	}
	cfg = cfg.withDefaults()
	b := cfg.Budget
	account := func(rate, burst, share int) func(time.Time) *account {
		return func(now time.Time) *account {
			return &account{
				bytes: bucket.New(float64(rate), float64(burst), now),
				slots: make(chan struct{}, max(cfg.Workers/share, 1)),
				apps:  make(chan struct{}, max(cfg.AppWorkers/share, 1)),
			}
		}
	}
	return &Server{
		cfg:      cfg,
		workers:  make(chan struct{}, cfg.Workers),
		bulk:     make(chan struct{}, max(cfg.Workers/2, 1)),
		apps:     make(chan struct{}, cfg.AppWorkers),
		log:      cappedLog{log: cfg.Logger},
		turns:    turns.New(),
		peers:    newAccounts[string](cfg.MaxPeers, account(b.PeerRate, b.PeerBurst, 4)),
		prefixes: newAccounts[netip.Prefix](cfg.MaxPrefixes, account(b.PrefixRate, b.PrefixBurst, 2)),
		global:   bucket.New(float64(b.GlobalRate), float64(b.GlobalBurst), time.Now()),
		each:     firstGuess,
	}
}

// Serve answers a request of a peer, or fails with a *wire.Refusal that names
// what stood in the way, or with the cause of ctx. It blocks: for at most
// twice MaxWait until its turn, and for the answer.
func (s *Server) Serve(ctx context.Context, sess wire.Session, r wire.Request) (wire.Response, error) {
	ask, items := s.bounded(r)
	_, app := ask.(wire.AppRequest)
	guess := s.estimate(ask, items)
	p, err := s.admit(ctx, sess, guess, app)
	if err != nil {
		s.counts.refused(err)
		return nil, err
	}
	cost := least // until it is known; a panic must settle too
	defer func() { p.done(cost) }()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ServeTime)
	defer cancel()
	rd := &reading{pace: s.pace(guess)}
	resp, err := s.guarded(ctx, sess, ask, rd)
	cost = max(cost, rd.idle)
	if err == nil {
		n, bytes := measure(resp)
		cost = bytes + rd.idle
		if a, ok := ask.(wire.AppRequest); ok {
			cost += len(a.Bytes)
		}
		s.learn(ask, n, cost)
		s.counts.answered(ask, bytes)
		return resp, nil
	}
	err = s.refusal(ctx, ask, err)
	s.counts.refused(err)
	return nil, err
}

// Turn does work on something large that is no reading of the chain's, beside
// which the reading of other large answers waits.
func (s *Server) Turn(work func()) { s.turns.Do(work) }

// pace gives how the parts of an answer are read of which so many bytes are
// expected: in turn if they are many. What is larger than it was thought to be
// is the exception, and read at once.
func (s *Server) pace(guess int) func(read func()) {
	if guess < turns.Bulk {
		return func(read func()) { read() }
	}
	return s.turns.Do
}

// errPanicked: a handler panicked, and the peer was charged for it.
var errPanicked = errors.New("serve: a handler panicked")

// guarded answers, and outlives what panics.
func (s *Server) guarded(ctx context.Context, sess wire.Session, r wire.Request, rd *reading) (resp wire.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.counts.panics.Add(1)
			s.log.warn(logPanic, "a request made a handler panic", "msg", wire.KindOf(r), "err", fmt.Sprintf("%.200v", v), "stack", string(debug.Stack()))
			s.cfg.Charge(sess, peer.BrokeHandler, wire.KindOf(r)+" request")
			resp, err = nil, errPanicked
		}
	}()
	return s.answer(ctx, sess.Peer().ID, r, rd)
}

// refusal is what the peer is told of an error.
func (s *Server) refusal(ctx context.Context, r wire.Request, err error) error {
	var told *wire.Refusal
	internal := &wire.Refusal{Code: wire.RefusedInternal}
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, chain.ErrCorrupt): // our broken disk: never served
		s.log.error(logCorrupt, "stored data is corrupt and is not served", "msg", wire.KindOf(r), "err", err)
		return internal
	case errors.Is(err, errPanicked):
		return internal
	case ctx.Err() != nil:
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return &wire.Refusal{Code: wire.RefusedBusy}
		}
		return context.Cause(ctx)
	case errors.Is(err, chain.ErrNotFound):
		return &wire.Refusal{Code: wire.RefusedNotFound}
	case errors.Is(err, wire.ErrUnsupported):
		return &wire.Refusal{Code: wire.RefusedUnsupported}
	}
	if _, app := r.(wire.AppRequest); app {
		s.cfg.Logger.Debug("the application failed a request", "err", err)
		return internal
	}
	s.log.error(logChain, "the chain failed a request", "msg", wire.KindOf(r), "err", err)
	return internal
}

// measure counts what a response holds.
func measure(resp wire.Response) (items, bytes int) {
	switch r := resp.(type) {
	case wire.Headers:
		for _, h := range r.Headers {
			bytes += len(h.Bytes) + itemOverhead
		}
		return len(r.Headers), bytes
	case wire.Blocks:
		for _, b := range r.Blocks {
			bytes += b.Size() + itemOverhead
		}
		return len(r.Blocks), bytes
	case wire.Bodies:
		for _, b := range r.Bodies {
			bytes += len(b.Body) + len(b.Extra) + itemOverhead
		}
		return len(r.Bodies), bytes
	case wire.Receipts:
		for _, b := range r.Receipts {
			bytes += len(b) + itemOverhead
		}
		return len(r.Receipts), bytes
	case wire.TxList:
		for _, tx := range r.Txs {
			bytes += len(tx.Bytes)
		}
		return len(r.Txs), bytes
	case wire.Addrs:
		for _, a := range r.Addrs {
			bytes += len(a.Scheme) + len(a.Text)
		}
		return len(r.Addrs), bytes
	case wire.AppResponse:
		return 1, len(r.Bytes)
	}
	return 0, 0
}

// itemOverhead is about what number, hash, parent and time of a block take.
const itemOverhead = 96
