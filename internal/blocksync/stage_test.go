package blocksync

import (
	"context"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/wire"
)

// Threat S-04: what is staged on disk is bounded in bytes. Over the bound a sync
// backwards goes on with headers alone, and reaches its target all the same; a
// stage that was full before a restart counts after it.
func TestStageIsBoundedInBytes(t *testing.T) {
	const bound = 200 << 10
	full := chaintest.NewChain(chaintest.Config{Seed: 7})
	if _, err := full.Import(t.Context(), full.BuildOn(full.Genesis().Header, 600, chaintest.Make{Size: 2 << 10})); err != nil {
		t.Fatal(err)
	}
	for _, caps := range []wire.Caps{nativeCaps, rangesCaps, blocksCaps, hashCaps} {
		t.Run(caps.Name, func(t *testing.T) {
			caps.MaxBatch.Headers = min(caps.MaxBatch.Headers, 32) // bodies are to come before the path is whole
			cfg := CoreConfig{Caps: caps, BackwardOnly: true, MaxStagedBytes: bound, MaxBytes: 1 << 20}
			fresh := chaintest.NewChain(chaintest.Config{Seed: 7})
			w := newWorld(fresh, cfg)
			most := 0
			look := func() bool {
				refs, err := w.chain.Staged(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				most = max(most, len(refs))
				return len(refs) >= 60
			}
			w.add(&actor{id: "p", chain: full, act: honestly(20 * time.Millisecond)}, full.Status())
			w.step(Targeted{full.Head().Ref()})
			w.run(time.Minute, look)
			w = newWorld(fresh.Reopen(), cfg)
			if got := w.core.Snapshot().StagedBytes; got < 60*2<<10 || got > bound {
				t.Errorf("after a restart %d bytes are counted for %d blocks of 2 KiB", got, most)
			}
			w.add(&actor{id: "p", chain: full, act: honestly(20 * time.Millisecond)}, full.Status())
			if !w.run(5*time.Minute, func() bool { look(); return w.chain.Status().Head == full.Status().Head }) {
				t.Errorf("at %d of 600: %+v", w.chain.Status().Head.Number, w.core.Snapshot())
			}
			if w.over != nil {
				t.Error(w.over)
			}
			if most*2<<10 > bound {
				t.Errorf("%d blocks of 2 KiB were staged, bound %d bytes", most, bound)
			}
		})
	}
}
