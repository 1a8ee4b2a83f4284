package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Config says what to spread and with whom to talk.
type Config struct {
	Core CoreConfig   // Rand nil: drawn
	Pool chain.TxPool // nil: no transactions
	// Take judges transactions that s delivered on our request, charges it and
	// offers them to the pool. It may block until ctx ends. It calls Have, and
	// tells whether the pool looked at them and found no fault: those that are
	// not in the pool are asked of others otherwise.
	Take   func(ctx context.Context, s wire.Session, txs []chain.Tx) (settled bool)
	Charge func(s wire.Session, o peer.Offense, detail string) // never blocks
	// Blocks judges announced blocks that were fetched, on wires where headers and
	// bodies can be asked for by hash; nil: none are fetched.
	Blocks BlockTaker
	Logger *slog.Logger
	// TellsSent: the sessions' requests tell when they leave (wire.OnSent).
	TellsSent bool
	// Queue bounds the events of each kind that wait for the owner; 0: 1024.
	// What is over it is dropped and counted; the end of a session never is.
	Queue int
}

// Relay is a handle. All methods are safe for concurrent use and none blocks.
type Relay struct {
	cfg   Config
	mail  mailbox
	drops atomic.Pointer[map[string]uint64]
	ran   atomic.Bool
	open  atomic.Bool
	gate  sync.Mutex // a leaf: of open and what the core is told of it, in step
	loop  *meter.Loop
	held  *held

	// Only Run touches what follows.
	core     *Core
	couriers map[peer.ID]*courier
	workers  sync.WaitGroup
	listing  bool      // the pool is being read
	readers  []peer.ID // who waits for that
}

// New makes a relay that does nothing until Run.
func New(cfg Config) (*Relay, error) {
	if cfg.Core.Policy.Push == nil {
		return nil, errors.New("relay: config: Policy is missing")
	}
	if cfg.Take == nil || cfg.Charge == nil {
		return nil, errors.New("relay: config: Take and Charge are needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Core.Rand == nil {
		cfg.Core.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if cfg.Queue == 0 {
		cfg.Queue = 1024
	}
	r := &Relay{cfg: cfg, core: NewCore(cfg.Core), couriers: make(map[peer.ID]*courier), loop: newLoop(), held: newHeld()}
	r.mail.init(cfg.Queue)
	r.drops.Store(&map[string]uint64{})
	return r, nil
}

// Join tells of an open session.
func (r *Relay) Join(s wire.Session) {
	r.mail.force(letter{event: Joined{s.Peer().ID}, session: s})
}

// Leave tells that the session of a peer has ended.
func (r *Relay) Leave(id peer.ID) { r.mail.force(letter{event: Left{id}}) }

// Open opens the gate: the chain is in sync.
func (r *Relay) Open() { r.turn(true) }

// Shut shuts it again: that the chain was in sync was not so.
func (r *Relay) Shut() { r.turn(false) }

func (r *Relay) turn(open bool) {
	r.gate.Lock()
	defer r.gate.Unlock()
	if r.open.CompareAndSwap(!open, open) {
		r.mail.force(letter{event: Gate{open}})
	}
}

// Synced tells that a sync has ended at a head. It opens the gate.
func (r *Relay) Synced(head chain.Ref) {
	r.Open()
	r.mail.offer("synced", letter{event: Synced{head}})
}

// IsOpen reports whether the gate is open.
func (r *Relay) IsOpen() bool { return r.open.Load() }

// Have tells that a peer has delivered transactions, before they are offered to
// the pool, or was given them as an answer: it need not be told of them. Those that the pool takes it tells of
// itself.
func (r *Relay) Have(from peer.ID, txs []chain.Tx) {
	r.mail.offer("seen", letter{event: Seen{From: from, Hashes: hashesOf(txs)}, from: from, items: len(txs)})
}

// Settled tells that the pool has looked at transactions and found no fault:
// nobody is asked for them any more, whether it took them or not.
func (r *Relay) Settled(txs []chain.Tx) {
	r.mail.offer("settled", letter{event: Settled{hashesOf(txs)}})
}

func hashesOf(txs []chain.Tx) []chain.Hash {
	out := make([]chain.Hash, len(txs))
	for i, tx := range txs {
		out[i] = tx.Hash
	}
	return out
}

// Announced tells what a peer says it has. It asks the pool what is known.
func (r *Relay) Announced(from peer.ID, txs []wire.TxID) {
	ev := Announced{From: from, Txs: txs}
	for _, tx := range txs {
		if r.cfg.Pool != nil && r.cfg.Pool.Has(tx.Hash) {
			ev.Known = append(ev.Known, tx.Hash)
		}
	}
	r.mail.offer("announced", letter{event: ev, from: from, items: len(txs)})
}

// Checked tells of a block that passed its check and whose parent is known;
// from is empty for our own.
func (r *Relay) Checked(from peer.ID, b chain.Block, w chain.Weight) {
	r.mail.offer("block", letter{event: Checked{from, b, w}})
}

// BlockSeen tells that a peer has a block.
func (r *Relay) BlockSeen(from peer.ID, h chain.Hash) {
	r.mail.offer("block-seen", letter{event: BlockSeen{from, h}, from: from})
}

// Imported tells of blocks that became part of our chain.
func (r *Relay) Imported(refs []chain.Ref) {
	if len(refs) > memory { // a batch of the sync: at most the end of it is news
		refs = refs[len(refs)-memory:]
	}
	r.mail.offer("imported", letter{event: Imported{refs}})
}

// Drops counts what was let go, by a fixed reason.
func (r *Relay) Drops() map[string]uint64 {
	out := r.mail.dropped()
	for reason, n := range *r.drops.Load() {
		out[reason] += n
	}
	return out
}

// Loop tells how busy the owner is. It never waits for it.
func (r *Relay) Loop() meter.LoopStat { return r.loop.Stat() }

func newLoop() *meter.Loop {
	return meter.NewLoop([]time.Duration{
		100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 500 * time.Millisecond, time.Second,
	})
}

// Run owns the core until ctx ends, and returns when all that it started has
// ended. It must be called once.
func (r *Relay) Run(ctx context.Context) error {
	if !r.ran.CompareAndSwap(false, true) {
		return errors.New("relay: Run was called twice")
	}
	ctx, stop := context.WithCancel(ctx)
	defer r.workers.Wait()
	defer stop()
	var fresh <-chan []chain.Tx // nil: never
	if r.cfg.Pool != nil {
		fresh = r.cfg.Pool.Subscribe(ctx)
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case txs, ok := <-fresh:
			if !ok {
				fresh = nil
				continue
			}
			r.loop.Wake()
			r.deliverMail(ctx) // who has them came before them
			r.step(ctx, addedOf(txs))
		case <-r.mail.wake:
			r.loop.Wake()
			r.deliverMail(ctx)
		case <-timer.C:
			r.loop.Wake()
			r.step(ctx, Tick{})
		}
		drops := r.core.Drops()
		r.drops.Store(&drops)
		if next := r.core.Next(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(next), 10*time.Millisecond))
		}
		r.loop.Rest()
	}
}

// addedOf is the event of transactions that entered our pool.
func addedOf(txs []chain.Tx) Added {
	ev := Added{Txs: make([]Tx, len(txs))}
	for i, tx := range txs {
		ev.Txs[i] = Tx{wire.TxID{Hash: tx.Hash, Kind: tx.Kind, Size: uint32(len(tx.Bytes))}, tx.Sender}
	}
	return ev
}

// deliverMail takes all that waits to the core.
func (r *Relay) deliverMail(ctx context.Context) {
	for _, l := range r.mail.take() {
		r.handle(ctx, l)
	}
}

// handle takes one letter to the core.
func (r *Relay) handle(ctx context.Context, l letter) {
	switch ev := l.event.(type) {
	case Joined:
		r.dismiss(ev.Peer)
		r.couriers[ev.Peer] = r.hire(ctx, l.session)
	case Left:
		r.dismiss(ev.Peer)
	}
	if l.by != nil && r.couriers[l.by.id] != l.by {
		return // of a session that has ended
	}
	if list, ok := l.event.(Pending); ok {
		r.listed(ctx, list)
		return
	}
	r.step(ctx, l.event)
}

func (r *Relay) step(ctx context.Context, ev Event) {
	for _, e := range r.core.Step(time.Now(), ev) {
		r.carry(ctx, e)
	}
}

// carry does one effect. A courier has room for all that the core has under
// way with its peer.
func (r *Relay) carry(ctx context.Context, e Effect) {
	r.held.note(e)
	switch e := e.(type) {
	case Push:
		r.couriers[e.To].send <- e
	case Announce:
		r.couriers[e.To].send <- e
	case Withhold, Release: // noted
	case PushBlock:
		r.couriers[e.To].send <- e
	case AnnounceBlock:
		r.couriers[e.To].send <- e
	case Fetch:
		r.couriers[e.From].fetch <- e
	case FetchHeader:
		r.couriers[e.From].seek <- e
	case FetchBodies:
		r.couriers[e.From].seek <- e
	case Hint:
		r.cfg.Blocks.Hint(e.From, e.Ref, e.Weight)
	case ReadPending:
		r.list(ctx, e.To)
	case Charge:
		r.cfg.Charge(r.couriers[e.Peer].session, e.Offense, e.Detail)
	default:
		panic(fmt.Sprintf("relay: no way to carry out a %T", e))
	}
}

// list reads the pool, once for all who wait for it.
func (r *Relay) list(ctx context.Context, to peer.ID) {
	if r.cfg.Pool == nil {
		return
	}
	r.readers = append(r.readers, to)
	if r.listing {
		return
	}
	r.listing = true
	r.workers.Go(func() {
		txs := r.cfg.Pool.Pending(maxPending, 0)
		ids := make([]wire.TxID, len(txs))
		for i, tx := range txs {
			ids[i] = wire.TxID{Hash: tx.Hash, Kind: tx.Kind, Size: uint32(len(tx.Bytes))}
		}
		if ctx.Err() == nil {
			r.mail.force(letter{event: Pending{Txs: ids}})
		}
	})
}

// listed hands what the pool held to all who wait for it. They share the list:
// nobody changes it.
func (r *Relay) listed(ctx context.Context, list Pending) {
	readers := r.readers
	r.listing, r.readers = false, nil
	for _, id := range readers {
		r.step(ctx, Pending{To: id, Txs: list.Txs})
	}
}
