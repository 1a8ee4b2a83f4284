package blocksync

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Blocks that grow along the chain are asked for in batches that were sized by
// small ones. Over slow links the answers come after every deadline, unless
// who fell silent is asked for less.
func TestSyncOverSlowLinksWithGrowingBlocks(t *testing.T) {
	const rate = 20 << 10 // bytes a second of each peer's link
	full := chaintest.NewChain(chaintest.Config{Seed: 7})
	full.Extend(100)
	blocks := full.BuildOn(full.Head().Header, 60, chaintest.Make{Size: 16 << 10})
	if _, err := full.Import(t.Context(), blocks); err != nil {
		t.Fatal(err)
	}
	w := newWorld(chaintest.NewChain(chaintest.Config{Seed: 7}), CoreConfig{Caps: nativeCaps})
	for _, id := range []peer.ID{"one", "two", "three", "four"} {
		busy := w.now // until then the link carries what was asked for before
		w.add(&actor{id: id, chain: full, act: func(_ wire.Request, honest func() (wire.Response, error)) (wire.Response, error, time.Duration) {
			resp, err := honest()
			bytes := 0
			switch resp := resp.(type) {
			case wire.Headers:
				bytes = 140 * len(resp.Headers)
			case wire.Bodies:
				for _, b := range resp.Bodies {
					bytes += len(b.Body)
				}
			case wire.Blocks:
				for _, b := range resp.Blocks {
					bytes += b.Size()
				}
			}
			// What was cancelled is on the link all the same.
			busy = latest(busy, w.now).Add(time.Duration(bytes) * time.Second / rate)
			return resp, err, busy.Sub(w.now) + 100*time.Millisecond
		}}, full.Status())
	}
	if !w.run(5*time.Minute, func() bool { return w.chain.Status().Head == full.Status().Head }) {
		t.Errorf("after 5 min at %d of %d", w.chain.Status().Head.Number, full.Status().Head.Number)
	}
	if w.over != nil {
		t.Error(w.over)
	}
	for id, paid := range w.paid {
		if paid[peer.NoAnswer] > 3 || len(paid) > 1 { // 20 points end a session
			t.Errorf("%s, which is slow, was charged with %v", id, paid)
		}
	}
}
