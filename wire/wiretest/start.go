package wiretest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/wire"
)

// Runner is a wire that says when it is ready.
type Runner interface {
	wire.Wire
	wire.Readier
}

// Start runs a wire, and returns when it is ready. stop ends it, waits for its
// end, and fails the test where Run gives an error; the end of the test does so
// too, and only the first counts.
func Start(t testing.TB, w Runner, h wire.Host) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, h) }()
	select {
	case <-w.Ready():
	case err := <-done:
		cancel()
		t.Fatalf("Run = %v before it was ready", err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// DialEachOther has two wires dial each other, the second later than the first,
// and looks two seconds after that: whichever dial came first and whichever
// identity is the lower, one link is left, and nobody was charged. It gives what
// the dials gave. Time must be virtual.
func DialEachOther(t testing.TB, a, b wire.Wire, ha, hb *Host, later time.Duration) (errA, errB error) {
	t.Helper()
	done, other := make(chan error, 1), make(chan error, 1)
	go func() { done <- a.Dial(context.Background(), b.Addrs()[0]) }()
	go func() {
		time.Sleep(later)
		other <- b.Dial(context.Background(), a.Addrs()[0])
	}()
	time.Sleep(2*time.Second + later)
	sa, sb := ha.Sessions(), hb.Sessions()
	if len(sa) != 1 || len(sb) != 1 {
		t.Errorf("%d and %d sessions 2 s after the dials", len(sa), len(sb))
	} else if sa[0].Peer().Direction == sb[0].Peer().Direction {
		t.Error("the sides hold different links")
	}
	for _, h := range []*Host{ha, hb} {
		if o := Reports[wire.Offended](h); len(o) > 0 {
			t.Errorf("charged with %+v", o)
		}
	}
	return <-done, <-other
}
