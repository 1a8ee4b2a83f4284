package devp2p

import (
	"context"
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

// Threat T-07: a transaction with blobs that is pushed, with its sidecar or
// without, alone or among others, costs its deliverer the session before any
// proof is looked at.
func TestPushedBlobsAreABreach(t *testing.T) {
	whole := append([]byte{blobKind, 0xfa, 0x02, 0x00, 0x00}, make([]byte, 128<<10)...)
	for name, txs := range map[string][][]byte{
		"with a sidecar": {whole},
		"without":        {append([]byte{blobKind}, txOf(1).Bytes[1:]...)},
		"behind others":  {txOf(1).Bytes, txOf(2).Bytes, whole},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				h := &wiretest.Host{OnCheck: func(_ context.Context, _ wire.Session, m wire.Message) chain.Verdict {
					t.Errorf("the Host is asked to check a %T", m)
					return chain.Accepted()
				}}
				a, b := besiege(t, n, eth.V69, h)
				go b.drain(t)
				b.send(t, b.offset+eth.TransactionsMsg, eth.Transactions{Txs: txs}.Append(nil))
				closedWith(t, a, peer.BadScore)
				charged(t, a, peer.InvalidGossip, peer.High, 1)
				b.Close()
				a.stop(t)
			})
		})
	}
}

// Gossip that comes quicker than it is checked is let go, and counted.
func TestGossipWithoutRoomIsCounted(t *testing.T) {
	const sent = 100
	bubble(t, func(t *testing.T, n *bed.Net) {
		release := make(chan struct{})
		var checked atomic.Int32
		h := &wiretest.Host{OnCheck: func(context.Context, wire.Session, wire.Message) chain.Verdict {
			<-release
			checked.Add(1)
			return chain.Accepted()
		}}
		a, b := besiege(t, n, eth.V68, h)
		for i := range byte(sent) {
			if i%2 == 0 {
				b.send(t, b.offset+eth.TransactionsMsg, eth.Transactions{Txs: [][]byte{txOf(i).Bytes}}.Append(nil))
			} else {
				b.send(t, b.offset+eth.NewBlockHashesMsg, eth.NewBlockHashes{Blocks: []chain.Ref{{Number: 1, Hash: chain.Hash{i}}}}.Append(nil))
			}
		}
		time.Sleep(time.Second)
		close(release)
		time.Sleep(time.Second)
		dropped := 0
		for _, d := range wiretest.Reports[wire.Dropped](a.host) {
			if d.Queue != "inbox" || d.ID != IDOf(&keyFor(2).PublicKey) {
				t.Errorf("Dropped = %+v", d)
			}
			dropped += d.Count
		}
		if got := int(checked.Load()); got < 64 || got+dropped != sent {
			t.Errorf("of %d messages %d were checked and %d counted as dropped", sent, got, dropped)
		}
		charged(t, a, "", peer.None, 0)
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}
