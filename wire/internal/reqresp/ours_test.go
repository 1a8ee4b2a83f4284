package reqresp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/wire"
)

// A request that waits for our own place, or has no stream, is not the peer's.
func TestWhatFailsBeforeTheStreamIsOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewShared(0).Peer()
		defer p.Close()
		ask := func(open func(context.Context) (Stream, error)) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := p.Ask(ctx, wire.GetAddrs{}, open, func(string, int, int) {}, func() bool { return false })
			return err
		}
		broken := errors.New("no stream")
		if err := ask(func(context.Context) (Stream, error) { return nil, broken }); !Ours(err) || !errors.Is(err, broken) {
			t.Errorf("without a stream: %v", err)
		}
		for range MaxInFlight {
			p.places <- struct{}{}
		}
		if err := ask(nil); !Ours(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a place: %v", err)
		}
		if Ours(&wire.Refusal{Code: wire.RefusedBusy, Limit: "decode-budget"}) {
			t.Error("a refusal is ours by its limit's name")
		}
	})
}
