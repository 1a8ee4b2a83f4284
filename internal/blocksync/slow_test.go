package blocksync

import (
	"fmt"
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

// Threat Z-03: a peer that needs seconds for each block, and is the only one, is
// synced from at its own pace, and is not driven away.
func TestSyncFromPeerThatNeedsSecondsForEachBlock(t *testing.T) {
	full, _ := source(40)
	for _, caps := range []wire.Caps{nativeCaps, rangesCaps, hashCaps, blocksCaps} {
		for _, backward := range []bool{false, true} {
			t.Run(fmt.Sprint(caps.Name, " backward ", backward), func(t *testing.T) {
				w := newWorld(chaintest.NewChain(chaintest.Config{Seed: 7}), CoreConfig{Caps: caps, BackwardOnly: backward})
				busy := w.now // what was cancelled is worked on all the same
				w.add(&actor{id: "slow", chain: full, act: func(_ wire.Request, honest func() (wire.Response, error)) (wire.Response, error, time.Duration) {
					resp, err := honest()
					blocks := 0
					switch resp := resp.(type) {
					case wire.Bodies:
						blocks = len(resp.Bodies)
					case wire.Blocks:
						blocks = len(resp.Blocks)
					}
					busy = latest(busy, w.now).Add(time.Duration(blocks) * 3 * time.Second)
					return resp, err, busy.Sub(w.now) + 50*time.Millisecond
				}}, full.Status())
				if backward {
					w.step(Targeted{full.Head().Ref()})
				}
				began := w.now
				if !w.run(10*time.Minute, func() bool { return w.chain.Status().Head == full.Status().Head }) {
					t.Errorf("after 10 min at %d of 40: %+v", w.chain.Status().Head.Number, w.core.Snapshot())
				}
				t.Logf("%v; charged %v", w.now.Sub(began), w.paid["slow"])
				if w.over != nil {
					t.Error(w.over)
				}
				if n := w.paid["slow"][peer.NoAnswer]; n > 3 || len(w.paid["slow"]) > 1 { // 20 points end a session
					t.Errorf("who is slow was charged with %v", w.paid["slow"])
				}
			})
		}
	}
}
