package devp2p

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// A request for one header, which peers ask for most often, costs few
// allocations from frame to frame. About 30 are those of the network under test
// and of whoever asks.
func TestAllocsOfServingAHeader(t *testing.T) {
	const requests, most = 2000, 60
	bubble(t, func(t *testing.T, n *bed.Net) {
		header := chain.Header{Bytes: make([]byte, 500)}
		a, b := besiege(t, n, eth.V69, &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
			return wire.Headers{Headers: []chain.Header{header}}, nil
		}})
		ask := eth.GetBlockHeaders{ID: 1, Origin: chain.Ref{Number: 1}, Amount: 1}.Append(nil)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range requests {
			b.send(t, b.offset+eth.GetBlockHeadersMsg, ask)
			for answered := false; !answered; {
				f, err := b.Read(t.Context(), time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				answered = f.Code == b.offset+eth.BlockHeadersMsg
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.Mallocs - before.Mallocs) / requests; got > most {
			t.Errorf("%d allocations for a header, want at most %d", got, most)
		}
		b.Close()
		a.stop(t)
	})
}
