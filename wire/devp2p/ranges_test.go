package devp2p

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// What was imported right after the handshake is told too: Status is what the
// peer knows, not what was here when the head was first looked at.
func TestABlockRangeIsMeasuredFromStatus(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		var at atomic.Uint64
		at.Store(5)
		a := start(t, n, 1, nil, func(c *Config) {
			c.Status = func() chain.Status {
				return chain.Status{Genesis: testGenesis, Head: chain.Ref{Number: at.Load(), Hash: chain.Hash{byte(at.Load())}}}
			}
		})
		b := start(t, n, 2, nil)
		join(t, a, b)
		at.Store(45)
		time.Sleep(2 * rangeEvery)
		if c := wiretest.Reports[wire.Claimed](b.host); len(c) != 1 || c[0].Status.Head.Number != 45 {
			t.Errorf("Claimed = %+v, want 45", c)
		}
		a.stop(t)
		b.stop(t)
	})
}

// Of many block ranges the node is told of the newest, once a second, and a
// flood is charged mildly.
func TestAFloodOfBlockRangesIsBounded(t *testing.T) {
	for over, charges := range map[int]int{0: 0, 2*rangeUnit + 1: 2} {
		bubble(t, func(t *testing.T, n *bed.Net) {
			a, b := besiege(t, n, eth.V69, nil)
			began, last := time.Now(), uint64(rangeMost+over)
			for i := range last {
				b.send(t, b.offset+eth.BlockRangeUpdateMsg, eth.BlockRangeUpdate{Latest: chain.Ref{Number: i + 1, Hash: chain.Hash{1}}}.Append(nil))
				if i%100 == 0 {
					time.Sleep(100 * time.Millisecond)
				}
			}
			time.Sleep(3 * time.Second)
			c := wiretest.Reports[wire.Claimed](a.host)
			if most := int(time.Since(began)/time.Second) + 1; len(c) == 0 || len(c) > most || c[len(c)-1].Status.Head.Number != last {
				t.Errorf("%d ranges: the node was told of %d, want at most %d, the last of them %d", last, len(c), most, last)
			}
			charged(t, a, peer.AnnounceFlood, peer.Low, charges)
			b.Close()
			time.Sleep(time.Second)
			a.stop(t)
		})
	}
}
