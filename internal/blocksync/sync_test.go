package blocksync

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/wire"
)

func TestFreshNodeSyncsFromGenesis(t *testing.T) {
	for _, caps := range []wire.Caps{nativeCaps, blocksCaps, rangesCaps, hashCaps} {
		t.Run(caps.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full, fresh := source(1500)
				n := start(t, fresh, func(c *Config) { c.Caps = caps })
				ps := names("p", 3, full)
				n.join(ps...)
				took := n.reaches(1500, time.Minute)
				t.Logf("took %v, most %d bytes", took, n.mostMem)
				n.innocent(ps...)
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if got := n.Status(); got.Mode != ModeSynced || got.BytesHeld != 0 || got.BytesAsked != 0 || got.InFlight != 0 {
					t.Errorf("status at the end = %+v, want synced with nothing held", got)
				}
				given := 0
				for _, p := range ps {
					given += len(p.bodies)
				}
				if given > 1500+1 { // a probe of a whole block is one more
					t.Errorf("%d bodies were fetched for 1500 blocks", given)
				}
			})
		})
	}
}
