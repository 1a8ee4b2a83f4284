package starling

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

// outcome is what became of a publication.
type outcome struct {
	receipt wire.Receipt
	err     error
}

// publication is a message of ours that waits for somebody to hear it.
type publication struct {
	kind    string // "block", "txs"
	ref     chain.Ref
	message wire.Message
	bytes   int64
	expires time.Time
	reply   chan outcome // capacity 1
}

// retryEvery is how often a message that nobody heard is tried again without a
// sign of somebody new: a wire may be able to reach a listener a moment after
// it has told of it.
const retryEvery = 50 * time.Millisecond

// outboxBytes bounds what waits in one outbox.
const outboxBytes = 64 << 20

// outbox holds publications of one kind and sends them in order. It is bounded
// in messages and bytes; when it is full the newest is refused, and its
// publisher told. Whoever puts something in never waits for the network.
type outbox struct {
	wire     wire.Publisher // nil: the wire gossips by session
	queue    chan publication
	bytes    atomic.Int64  // of what waits or is being sent
	audience chan struct{} // capacity 1: somebody new may be listening
	done     func(publication, outcome)
}

func newOutbox(w wire.Publisher, capacity int, done func(publication, outcome)) *outbox {
	return &outbox{wire: w, queue: make(chan publication, capacity), audience: make(chan struct{}, 1), done: done}
}

// put queues a message that is worth sending until it expires.
func (o *outbox) put(kind string, ref chain.Ref, m wire.Message, keep time.Duration) <-chan outcome {
	p := publication{
		kind: kind, ref: ref, message: m, bytes: int64(sizeOf(m)),
		expires: time.Now().Add(keep), reply: make(chan outcome, 1),
	}
	if o.wire == nil {
		o.end(p, outcome{err: fmt.Errorf("starling: publish %s: %w", kind, wire.ErrUnsupported)})
		return p.reply
	}
	if held := o.bytes.Add(p.bytes); held > outboxBytes {
		o.bytes.Add(-p.bytes)
		o.end(p, outcome{err: fmt.Errorf("starling: publish %s: %w: %d bytes of at most %d", kind, wire.ErrQueueFull, held, outboxBytes)})
		return p.reply
	}
	select {
	case o.queue <- p:
	default:
		o.bytes.Add(-p.bytes)
		o.end(p, outcome{err: fmt.Errorf("starling: publish %s: %w: %d messages wait already", kind, wire.ErrQueueFull, cap(o.queue))})
	}
	return p.reply
}

// sizeOf is what a message costs a queue.
func sizeOf(m wire.Message) (n int) {
	switch m := m.(type) {
	case wire.Block:
		return m.Block.Size()
	case wire.Txs:
		for _, tx := range m.Txs {
			n += len(tx.Bytes)
		}
	}
	return n
}

// refuse is put for a message that must not be sent: its outcome is err.
func (o *outbox) refuse(kind string, ref chain.Ref, err error) <-chan outcome {
	p := publication{kind: kind, ref: ref, reply: make(chan outcome, 1)}
	o.end(p, outcome{err: err})
	return p.reply
}

func (o *outbox) end(p publication, out outcome) {
	p.reply <- out
	o.done(p, out)
}

// heard says that somebody new may be listening. It never blocks.
func (o *outbox) heard() {
	select {
	case o.audience <- struct{}{}:
	default:
	}
}

// run sends until ctx ends; what waits then is given up.
func (o *outbox) run(ctx context.Context) {
	for {
		select {
		case p := <-o.queue:
			out := o.send(ctx, p)
			o.bytes.Add(-p.bytes)
			o.end(p, out)
		case <-ctx.Done():
			for {
				select {
				case p := <-o.queue:
					o.bytes.Add(-p.bytes)
					o.end(p, outcome{err: context.Cause(ctx)})
				default:
					return
				}
			}
		}
	}
}

// send publishes p, waiting for an audience until p expires.
func (o *outbox) send(ctx context.Context, p publication) outcome {
	ctx, cancel := context.WithDeadlineCause(ctx, p.expires, ErrExpired)
	defer cancel()
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		if ctx.Err() != nil { // it waited too long for what was before it
			return outcome{err: context.Cause(ctx)}
		}
		receipt, err := o.wire.Publish(ctx, p.message)
		if err != nil && ctx.Err() != nil {
			return outcome{receipt, context.Cause(ctx)}
		}
		if !errors.Is(err, wire.ErrUnheard) {
			return outcome{receipt, err}
		}
		select {
		case <-o.audience:
		case <-retry.C:
		case <-ctx.Done():
			return outcome{receipt, context.Cause(ctx)}
		}
	}
}

// Bounds of a bundle of transactions.
const (
	bundleWait  = 20 * time.Millisecond // how long the first waits for company
	bundleBytes = 256 << 10
	bundleTxs   = 256         // a receiver checks as many signatures before it relays
	txsKeep     = time.Minute // how long a bundle waits for an audience
)

// repeatEvery is how often transactions of ours that still wait are told again:
// whoever heard them may have lost them. It is longer than gossip remembers
// what it has seen.
const repeatEvery = 3 * time.Minute

// bundler gathers transactions of ours into bundles.
type bundler struct {
	in    chan []chain.Tx
	out   *outbox
	local func() []chain.Tx // those that still wait; nil: the pool keeps no own
	gone  chan struct{}     // closed when nobody gathers any more
}

func newBundler(out *outbox) *bundler {
	return &bundler{in: make(chan []chain.Tx, 64), out: out, gone: make(chan struct{})}
}

// put queues transactions of ours. It waits while the queue is full, for as
// long as the bundler runs and ctx lasts.
func (b *bundler) put(ctx context.Context, txs []chain.Tx) error {
	select {
	case b.in <- txs:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.gone:
		return ErrNotRunning
	}
	select {
	case <-b.gone: // maybe just before
		b.refuse()
	default:
	}
	return nil
}

// refuse ends what nobody gathers any more, with an event. It is safe for
// concurrent use.
func (b *bundler) refuse() {
	for {
		select {
		case <-b.in:
			b.out.refuse("txs", chain.Ref{}, ErrNotRunning)
		default:
			return
		}
	}
}

// run gathers until ctx ends. What it holds then it hands on: the outbox, which
// stops after it, tells that it was not sent.
func (b *bundler) run(ctx context.Context) {
	var (
		held  []chain.Tx
		bytes int
		due   <-chan time.Time // nil while nothing is held
	)
	repeat := time.NewTicker(repeatEvery)
	defer repeat.Stop()
	flush := func() {
		if len(held) > 0 {
			b.out.put("txs", chain.Ref{}, wire.Txs{Txs: held}, txsKeep)
		}
		held, bytes, due = nil, 0, nil
	}
	take := func(txs []chain.Tx) {
		for _, tx := range txs {
			if len(held) == bundleTxs || (len(held) > 0 && bytes+len(tx.Bytes) > bundleBytes) {
				flush()
			}
			held, bytes = append(held, tx), bytes+len(tx.Bytes)
		}
		if due == nil && len(held) > 0 {
			due = time.After(bundleWait)
		}
	}
	again := func() {
		if b.local != nil {
			take(b.local())
		}
	}
	again() // what the last run could not tell
	for {
		select {
		case txs := <-b.in:
			take(txs)
		case <-repeat.C:
			again()
		case <-due:
			flush()
		case <-ctx.Done():
			flush()
			close(b.gone)
			b.refuse()
			return
		}
	}
}
