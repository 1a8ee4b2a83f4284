package devp2p

import (
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/peer"
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

// What a peer may say of its own. One an epoch is enough (EIP-7642); geth tells
// at each batch that it imports, which are many a minute while it syncs.
const (
	rangeHeard = time.Second // between two that the node is told of; only the newest counts
	rangeMost  = 1200        // in a minute, before they cost
	rangeUnit  = 200         // over that, which cost one charge
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
	if head.Number >= last.Number && head.Number-last.Number < rangeStep {
		return
	}
	u := eth.BlockRangeUpdate{Earliest: earliest, Latest: head}
	if s.write(s.ctx, wire.LaneHousekeeping, s.share, eth.BlockRangeUpdateMsg, u.Append(nil), rangeKey) == nil {
		s.told.Store(&head)
	}
}

// onRange takes what the peer now serves, on the goroutine that reads.
func (s *session) onRange(payload []byte) error {
	u, err := eth.DecodeBlockRangeUpdate(payload)
	if err != nil {
		return err
	}
	s.served.Store(&u)
	if over := s.ranges.Add() - rangeMost; over > 0 && over%rangeUnit == 0 {
		s.charge(peer.AnnounceFlood, peer.None, fmt.Sprintf("%d block ranges over the %d of a minute", over, rangeMost))
	}
	select {
	case s.news <- struct{}{}:
	default: // it takes the newest
	}
	return nil
}

// hearRanges tells the node of the newest range, at its own pace.
func (s *session) hearRanges() {
	for {
		select {
		case <-s.news:
		case <-s.ctx.Done():
			return
		}
		u, st := s.served.Load(), s.node.w.cfg.Status()
		s.claims(chain.Status{Network: fmt.Sprint(s.node.w.cfg.NetworkID), Genesis: st.Genesis, Head: u.Latest, Earliest: u.Earliest})
		if pause.For(s.ctx, rangeHeard) != nil {
			return
		}
	}
}
