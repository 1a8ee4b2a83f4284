package devp2p

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// clogs is a Host whose answers fill the lane of a peer that does not read them.
func clogs() *wiretest.Host {
	body := append([]byte{0xf9, 0x40, 0x06}, append([]byte{0xf9, 0x40, 0x02, 0xb9, 0x3f, 0xff}, append(junkOf(0x3fff), 0xc0)...)...)
	return &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		out := wire.Bodies{Hashes: r.(wire.GetBodies).Hashes}
		for range out.Hashes {
			out.Bodies = append(out.Bodies, wire.Body{Body: body})
		}
		return out, nil
	}}
}

// Threats L-08, M-03 and B-05: the ids of our questions can be guessed. A peer
// that reads nothing, so that none leaves, and answers them all the same with
// what is a thousand times as large once it is unpacked, holds no memory of ours
// when it is given up, and pays for answers that nobody asked for.
func TestAnswersToWhatHasNotLeftHoldNoMemory(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		n.SetLink(hostAddr(1), hostAddr(2), bed.Link{Latency: 20 * time.Millisecond, Queue: 64 << 10, Buffer: 64 << 10})
		a := start(t, n, 1, clogs(), func(c *Config) { c.DecodeBudget = 32 << 20 })
		b := dialBare(t, n, 2, a)
		b.shake(t, eth.V69, a)
		time.Sleep(time.Second)
		s := a.host.Sessions()[0]
		many := make([]chain.Hash, 120)
		for i := range uint64(4) {
			b.send(t, b.offset+eth.GetBlockBodiesMsg, eth.GetBlockBodies{ID: i, Hashes: many}.Append(nil))
		}
		time.Sleep(time.Second)
		zeros := make([]byte, eth.MaxMessage-1024)
		const rounds = 5 // of which two fill the budget
		for i := range uint64(rounds) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := s.Request(ctx, wire.GetTxs{Hashes: []chain.Hash{{1}}})
				ended <- err
			}()
			time.Sleep(100 * time.Millisecond)
			b.send(t, b.offset+eth.PooledTransactionsMsg, eth.PooledTransactions{ID: i + 1, Txs: [][]byte{zeros}}.Append(nil))
			time.Sleep(2 * time.Second)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatalf("round %d: Request = %v, though nothing left", i, err)
			}
			if used := a.node.Load().budget.Used(); used != 0 {
				t.Fatalf("round %d: %d bytes of the budget are still taken", i, used)
			}
		}
		charged(t, a, peer.Unasked, peer.Low, rounds)
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}
