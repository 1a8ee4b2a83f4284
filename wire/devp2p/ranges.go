package devp2p

import (
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

const (
	// rangeEvery is how often our head is looked at, and rangeStep how far it
	// must have moved for peers to be told (go-ethereum eth: 32 blocks, or
	// backwards).
	rangeEvery = 4 * time.Second
	rangeStep  = 32
	rangeKey   = 2
)

// tellRanges tells peers from eth/69 on which blocks we serve, as that changes.
func (n *node) tellRanges() {
	tick := time.NewTicker(rangeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		st := n.w.cfg.Status()
		head := headOr(st)
		n.mu.Lock()
		var open []*session
		for _, c := range n.peers { // each is told alone: the order has no effect
			if c.claim != nil && c.claim.session != nil {
				open = append(open, c.claim.session)
			}
		}
		n.mu.Unlock()
		for _, s := range open {
			s.tellRange(st.Earliest, head)
		}
	}
}

func (s *session) tellRange(earliest uint64, head chain.Ref) {
	if s.version.HasDifficulty() || earliest > head.Number {
		return
	}
	last := s.told.Load()
	if last == nil {
		s.told.Store(&head)
		return // Status told it, or nearly
	}
	if head.Number >= last.Number && head.Number-last.Number < rangeStep {
		return
	}
	u := eth.BlockRangeUpdate{Earliest: earliest, Latest: head}
	if s.write(s.ctx, wire.LaneHousekeeping, s.share, eth.BlockRangeUpdateMsg, u.Append(nil), rangeKey) == nil {
		s.told.Store(&head)
	}
}
