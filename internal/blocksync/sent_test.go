package blocksync

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Threat Z-03: a peer is silent from when a request left us. One that our own
// queue holds costs it nothing, however long it does, and one that leaves late is
// waited for as long as any other; the work goes on as soon as requests leave.
func TestTimeInOurOwnQueueIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(100)
		n := start(t, fresh, func(c *Config) { c.Caps.TellsSent = true })
		p := newFake("p", full)
		clear := time.Now().Add(10 * time.Minute) // until then nothing leaves
		var slow atomic.Int32
		p.lie = func(ctx context.Context, _ wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
			late := time.NewTimer(time.Until(clear))
			defer late.Stop()
			select {
			case <-late.C:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			time.Sleep(minStall - time.Millisecond) // the last of what is before it
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			wire.Sent(ctx, time.Now())
			time.Sleep(minStall - time.Millisecond)
			if ctx.Err() == nil {
				slow.Add(1)
			}
			return honest()
		}
		n.join(p)
		n.reaches(100, 15*time.Minute)
		n.innocent(p)
		if slow.Load() == 0 {
			t.Error("nothing left late")
		}

		mute := newFake("mute", full)
		mute.lie = func(ctx context.Context, rq wire.Request, honest func() (wire.Response, error)) (wire.Response, error) {
			wire.Sent(ctx, time.Now())
			return never(ctx, rq, honest)
		}
		_, fresh = source(100)
		m := start(t, fresh, func(c *Config) { c.Caps.TellsSent = true })
		m.join(mute)
		time.Sleep(2 * time.Minute)
		if m.charged("mute")[peer.NoAnswer] == 0 {
			t.Error("two minutes of silence cost nothing")
		}
	})
}
