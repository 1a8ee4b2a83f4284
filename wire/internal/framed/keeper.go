package framed

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/starlingp2p/starling/wire"
)

const (
	// pingRate and pingBurst are the pings of one remote that are no flood
	// (threat R-06): one a second, and a few more at once.
	pingRate  = 1
	pingBurst = 12
	// pingsLost is how many unanswered pings are given up for lost.
	pingsLost = 16
)

// Keeper is the keep-alive of one session. The wire sends its pings, and tells
// it of what comes in. Silence ends a Link by itself, after Config.Idle. Pongs
// carry no number: they are taken to come in order. All methods are safe for
// concurrent use.
//
// A pong is queued with Out.Key, so at most one is on its way.
type Keeper struct {
	mu      sync.Mutex // a leaf
	theirs  *rate.Limiter
	sent    uint64 // pings of ours
	got     uint64 // pongs for them
	rtt     time.Duration
	waiting []awaited // by seq
}

// awaited is a ping whose answer is measured.
type awaited struct {
	seq   uint64
	since time.Time
	reply chan time.Duration // of capacity 1; nil: only for RTT
}

// NewKeeper makes the keeper of a session.
func NewKeeper() *Keeper {
	return &Keeper{theirs: rate.NewLimiter(pingRate, pingBurst)}
}

// Run calls ping now and then every so often, until ctx ends. ping must not
// block.
func (k *Keeper) Run(ctx context.Context, every time.Duration, ping func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		k.leaves(nil)
		ping()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// leaves notes a ping of ours, and who waits for its answer. It reports
// whether there was room for it.
func (k *Keeper) leaves(reply chan time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sent-k.got >= pingsLost {
		k.got = k.sent
		k.waiting = slices.DeleteFunc(k.waiting, func(a awaited) bool { return a.reply == nil })
	}
	if reply != nil && len(k.waiting) >= 2*pingsLost {
		return false
	}
	k.sent++
	k.waiting = append(k.waiting, awaited{k.sent, time.Now(), reply})
	return true
}

// Pinged notes a ping of the remote. False: it pings too often; it gets no
// answer, and that is a fault.
func (k *Keeper) Pinged() bool {
	return k.theirs.Allow()
}

// Ponged notes an answer of the remote. False: nothing of ours was unanswered.
func (k *Keeper) Ponged() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.got == k.sent {
		return false
	}
	k.got++
	for len(k.waiting) > 0 && k.waiting[0].seq <= k.got {
		a := k.waiting[0]
		k.waiting = k.waiting[1:]
		k.rtt = time.Since(a.since)
		if a.reply != nil {
			a.reply <- k.rtt
		}
	}
	return true
}

// RTT is the last measured round trip; 0: none yet.
func (k *Keeper) RTT() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rtt
}

// Ping sends one and blocks for its answer, until ctx ends or done is closed
// with the session.
func (k *Keeper) Ping(ctx context.Context, done <-chan struct{}, ping func() error) (time.Duration, error) {
	reply := make(chan time.Duration, 1)
	if !k.leaves(reply) {
		return 0, errors.New("framed: too many pings wait for an answer")
	}
	err := ping()
	if err == nil {
		select {
		case d := <-reply:
			return d, nil
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-done:
			err = wire.ErrClosed
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = slices.DeleteFunc(k.waiting, func(a awaited) bool { return a.reply == reply })
	return 0, err
}
