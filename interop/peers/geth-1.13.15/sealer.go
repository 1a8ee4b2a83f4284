package main

import (
	"context"
	"errors"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/rlp"
)

// sealer knows what clique has had signed. A block is signed at once and kept back
// until it is due, and so it may come after geth was told to stop. It is safe for
// concurrent use.
type sealer struct {
	mu      sync.Mutex
	resting bool
	refused bool   // something since it rests
	last    uint64 // number of the last block that was signed
}

// sign notes a header, as clique has it for signing; it refuses one while the
// sealer rests.
func (s *sealer) sign(header []byte) error {
	var fields []rlp.RawValue
	var number big.Int
	if err := rlp.DecodeBytes(header, &fields); err != nil {
		return err
	}
	if len(fields) < 9 {
		return errors.New("a header of too few fields")
	}
	if err := rlp.DecodeBytes(fields[8], &number); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resting {
		s.refused = true
		return errors.New("the sealer rests")
	}
	s.last = number.Uint64()
	return nil
}

// rest waits until the last block that was signed is the chain's: from then on
// none comes.
func (s *sealer) rest(ctx context.Context, of *core.BlockChain) error {
	s.mu.Lock()
	s.resting = true
	last := s.last
	s.mu.Unlock()
	for of.CurrentBlock().Number.Uint64() < last {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// wake lets it sign again. geth does not try again what was refused until it is
// another block, with a later time.
func (s *sealer) wake(ctx context.Context) error {
	s.mu.Lock()
	refused := s.refused
	s.resting, s.refused = false, false
	s.mu.Unlock()
	if !refused {
		return nil
	}
	return pause(ctx, 2*time.Second)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
