package devp2p

import (
	"context"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// A dial that becomes a session while the wire stops: Run returns when that
// session has ended and is reported, not before.
func TestRunWaitsForADialThatBecomesASession(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		opening := make(chan struct{})
		h := &wiretest.Host{OnOpen: func(ctx context.Context, _ wire.Session, _ chain.Status) error {
			close(opening)
			<-ctx.Done()
			time.Sleep(time.Second) // the owner decides when it comes to it
			return nil
		}}
		a, b := start(t, n, 1, h), start(t, n, 2, nil)
		dialled := make(chan error, 1)
		go func() { dialled <- a.Dial(t.Context(), b.Addrs()[0]) }()
		<-opening
		a.stop(t)
		if opened, closed := len(h.Opened()), len(wiretest.Reports[wire.Closed](h)); opened != 1 || closed != 1 {
			t.Errorf("Run returned with %d sessions opened, of which %d had ended", opened, closed)
		}
		<-dialled
		time.Sleep(time.Second)
		b.stop(t)
	})
}
