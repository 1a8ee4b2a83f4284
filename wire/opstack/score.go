package opstack

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// The application score is op-node's (op-node/p2p/app_params.go, "light").
const (
	validWeight, validCap       = 0.5, 10
	errorWeight, errorCap       = -1, 9
	rejectedWeight, rejectedCap = -20, 20
	scoreToZero                 = 0.01
	decayEpochs                 = 10
	epochSlots                  = 6
	retainEpochs                = 100 // a peer that is gone is remembered for so long
	maxScores                   = 4096
)

// AppScore is what requests showed of a peer: counts that fade, and the score
// that op-node's weights make of them.
type AppScore struct {
	ValidResponses   float64
	ErrorResponses   float64
	RejectedPayloads float64
	Total            float64
}

// scores keeps the application scores. A peer's fades only while it is
// connected, and is kept as long as its gossip score when it is not.
type scores struct {
	slot time.Duration

	mu sync.Mutex // a leaf
	of map[peer.ID]*score
}

type score struct {
	valid, errors, rejected float64
	sessions                int
	left                    time.Time // when the last session ended
}

func newScores(slot time.Duration) *scores {
	return &scores{slot: slot, of: map[peer.ID]*score{}}
}

func (s *scores) change(id peer.ID, f func(*score)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.of[id]
	if e == nil {
		if len(s.of) >= maxScores {
			return // so many peers within minutes: the node bounds sessions by far less
		}
		e = &score{left: time.Now()}
		s.of[id] = e
	}
	f(e)
}

func (s *scores) joined(id peer.ID) { s.change(id, func(e *score) { e.sessions++ }) }
func (s *scores) gone(id peer.ID) {
	s.change(id, func(e *score) { e.sessions, e.left = max(e.sessions-1, 0), time.Now() })
}

func (s *scores) valid(id peer.ID) {
	s.change(id, func(e *score) { e.valid = min(e.valid+1, validCap) })
}

func (s *scores) error(id peer.ID) {
	s.change(id, func(e *score) { e.errors = min(e.errors+1, errorCap) })
}

func (s *scores) rejected(id peer.ID) {
	s.change(id, func(e *score) { e.rejected = min(e.rejected+1, rejectedCap) })
}

// Rejected implements wire.Grader.
func (s *session) Rejected() { s.node.w.scores.rejected(s.info.ID) }

func (e *score) total() float64 {
	return validWeight*e.valid + errorWeight*e.errors + rejectedWeight*e.rejected
}

// Score is the application score of a peer; zero where nothing is known.
func (w *Wire) Score(id peer.ID) AppScore {
	w.scores.mu.Lock()
	defer w.scores.mu.Unlock()
	e := w.scores.of[id]
	if e == nil {
		return AppScore{}
	}
	return AppScore{e.valid, e.errors, e.rejected, e.total()}
}

// decay lets scores fade, each slot, until ctx ends.
func (s *scores) decay(ctx context.Context) {
	tick := time.NewTicker(s.slot)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.step(now)
		case <-ctx.Done():
			return
		}
	}
}

func (s *scores) step(now time.Time) {
	factor := math.Pow(scoreToZero, 1.0/(decayEpochs*epochSlots))
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, e := range s.of { // each is looked at alone: the order has no effect
		if e.sessions == 0 {
			if now.Sub(e.left) > retainEpochs*epochSlots*s.slot {
				delete(s.of, id)
			}
			continue
		}
		for _, v := range []*float64{&e.valid, &e.errors, &e.rejected} {
			if *v *= factor; *v < scoreToZero {
				*v = 0
			}
		}
	}
}
