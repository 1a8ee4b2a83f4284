package opstack

import (
	"errors"

	"golang.org/x/sync/semaphore"

	"github.com/starlingp2p/starling/wire/internal/intake"
)

// What answers to our requests may hold in memory while they come in: those of
// one peer, and those of all. A block has rarely a megabyte.
const (
	heldByPeer = 24 << 20
	leastHeld  = 64 << 20 // by all, where the memory limit is small
)

// errStarved: an answer was given up for want of memory. It is nobody's fault.
var errStarved = errors.New("opstack: there is no memory for the answer")

// held is the memory of answers that come in. Nobody waits for it: to hold some
// and wait for more is how all would wait for each other.
type held struct{ all, own *semaphore.Weighted }

func newHeld() *semaphore.Weighted {
	return semaphore.NewWeighted(max(intake.DefaultBudget(), leastHeld))
}

// answer gives the memory of one answer: grow takes more, free gives all back.
func (h held) answer() (grow func(int) error, free func()) {
	taken := int64(0)
	grow = func(more int) error {
		n := int64(more)
		if !h.own.TryAcquire(n) {
			return errStarved
		}
		if !h.all.TryAcquire(n) {
			h.own.Release(n)
			return errStarved
		}
		taken += n
		return nil
	}
	return grow, func() { h.own.Release(taken); h.all.Release(taken) }
}
