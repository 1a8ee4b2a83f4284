package txpool

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/ledger/internal/txjournal"
)

// Holder is a family's pool, as an Intake sees it. All are set.
type Holder struct {
	// Admit checks an encoded transaction and takes it in; what it gives then is
	// accepted. Calls may be concurrent.
	Admit func(b []byte, local bool) (chain.Tx, chain.Verdict)
	// Drop takes a transaction out, and counts why with Intake.Count.
	Drop func(h chain.Hash, reason string)
	// Own lists this node's own transactions, in the order in which they are to
	// be admitted again.
	Own func() []chain.Tx
}

const (
	// subscriberQueue is how many bundles a subscriber may lag behind.
	subscriberQueue = 64
	// maxReasons bounds the reasons that are counted apart. The pools give them,
	// and have a dozen or two.
	maxReasons = 64
)

// Intake is the way into a pool, and the journal of this node's own
// transactions; it counts what the pool turns away. It is safe for concurrent
// use.
type Intake struct {
	pool    Holder
	costly  string
	log     *slog.Logger
	feed    *Feed[[]chain.Tx]
	dropped *meter.Tally[string]

	mu      sync.Mutex         // held while the disk is written
	journal *txjournal.Journal // nil: none
}

// NewIntake makes the way into a pool. After a transaction that is refused for
// the reason costly the rest of its bundle is not looked at: to refuse it cost
// us the most, and must not do so again and again.
func NewIntake(pool Holder, costly string, log *slog.Logger) *Intake {
	return &Intake{
		pool: pool, costly: costly, log: log, feed: NewFeed[[]chain.Tx](subscriberQueue),
		dropped: meter.NewTally(maxReasons, func(string) string { return "other" }),
	}
}

// Count counts transactions that were not taken, or that left the pool without a
// block, under a reason.
func (in *Intake) Count(reason string, n int) { in.dropped.Add(reason, uint64(n)) }

// Dropped is what was counted, and what lagging subscribers lost.
func (in *Intake) Dropped() map[string]uint64 { return in.dropped.Counts() }

// Restore opens the journal at path and admits what is there. The caller calls
// Rotate next, once it has taken out what is no longer wanted. It reads the disk.
func (in *Intake) Restore(fs vfs.FS, path string, maxTx int) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	j, restored, lost, err := txjournal.Open(fs, path, maxTx)
	if err != nil {
		return err
	}
	if lost > 0 {
		in.log.Warn("the end of the transaction journal was torn", "path", path, "bytes", lost)
	}
	in.journal = j
	for _, b := range restored {
		in.pool.Admit(b, true)
	}
	return nil
}

// Add takes in transactions of a peer, and gives those that are new. Publish is
// the caller's.
func (in *Intake) Add(txs []chain.Tx) (added []chain.Tx, vs []chain.Verdict) {
	vs = make([]chain.Verdict, len(txs))
	for i, tx := range txs {
		var got chain.Tx
		if got, vs[i] = in.pool.Admit(tx.Bytes, false); vs[i].Action == chain.Accept {
			added = append(added, got)
		}
		if vs[i].Reason == in.costly {
			for k := i + 1; k < len(txs); k++ {
				vs[k] = chain.Ignored(chain.Unchecked)
			}
			break
		}
	}
	return added, vs
}

// AddLocal takes in this node's own transactions. What is accepted is in the
// journal, synced, when it returns. It blocks on the disk.
func (in *Intake) AddLocal(ctx context.Context, txs []chain.Tx) []chain.Verdict {
	vs := make([]chain.Verdict, len(txs))
	in.mu.Lock()
	defer in.mu.Unlock()
	var added []chain.Tx
	var at []int
	for i, tx := range txs {
		if ctx.Err() != nil {
			vs[i] = chain.Ignored("cancelled")
			continue
		}
		var got chain.Tx
		if got, vs[i] = in.pool.Admit(tx.Bytes, true); vs[i].Action == chain.Accept {
			added, at = append(added, got), append(at, i)
		}
	}
	if in.journal != nil && len(added) > 0 {
		if err := in.journal.Append(added); err != nil {
			in.log.Warn("transactions could not be journalled", "err", err)
			for k, tx := range added {
				in.pool.Drop(tx.Hash, "journal-failed")
				vs[at[k]] = chain.Ignored("journal-failed")
			}
			return vs
		}
	}
	in.Publish(added)
	return vs
}

// SubscriberLags is the reason under which is counted what a subscriber lost.
const SubscriberLags = "subscriber-lags"

// Publish hands new transactions to the subscribers. It does not block.
func (in *Intake) Publish(txs []chain.Tx) {
	if len(txs) == 0 {
		return
	}
	lost := 0
	for _, old := range in.feed.Publish(txs) {
		lost += len(old)
	}
	if lost > 0 {
		in.Count(SubscriberLags, lost)
	}
}

// Subscribe gives new transactions, until ctx ends and the channel is closed. A
// reader that lags by 64 bundles loses the oldest.
func (in *Intake) Subscribe(ctx context.Context) <-chan []chain.Tx { return in.feed.Subscribe(ctx) }

// Rotate writes the journal anew where most of it is no longer in the pool, or
// where it must. It blocks on the disk.
func (in *Intake) Rotate(must bool) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.journal == nil || in.journal.Closed() {
		return nil
	}
	own, size := in.pool.Own(), int64(0)
	for _, tx := range own {
		size += int64(len(tx.Bytes) + txjournal.RecordOverhead)
	}
	if !must && !in.journal.Due(size) {
		return nil
	}
	return in.journal.Rewrite(own)
}

// Close closes the journal.
func (in *Intake) Close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.journal == nil {
		return nil
	}
	return in.journal.Close()
}

// Abandon closes the journal because of an error, and gives both.
func (in *Intake) Abandon(err error) error { return errors.Join(err, in.Close()) }
