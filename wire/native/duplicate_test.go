package native

import (
	"context"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// A peer whose machine lost power dials again before we have missed it: its
// old session must not keep it out.
func TestRestartedPeerTakesItsOwnPlace(t *testing.T) {
	for _, ours := range []bool{false, true} { // who dialled the session that is lost
		for _, swap := range []int{0, 1} { // so that each side is once the lower ID
			inBubble(t, 10*time.Millisecond, func(t *testing.T, n *bed.Net) {
				i, j := 1+swap, 2-swap
				a, b := inBed(t, n, i, nil), inBed(t, n, j, nil)
				from, to := b, a
				if ours {
					from, to = a, b
				}
				if err := from.Dial(within(t, 10*time.Second), to.Addrs()[0]); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				n.Host(hostAddr(j)).Kill(bed.Silent)
				b.stop()
				again := inBed(t, n, j, nil)
				start := time.Now()
				var err error
				for range 4 { // as the node would: 5 s between attempts
					if err = again.Dial(within(t, 10*time.Second), a.Addrs()[0]); err == nil {
						break
					}
					time.Sleep(5 * time.Second)
				}
				if err != nil {
					t.Errorf("ours %v, swap %d: the restarted peer is kept out: %v", ours, swap, err)
				}
				t.Logf("ours %v, swap %d: back after %v", ours, swap, time.Since(start))
				time.Sleep(2 * time.Second)
				if n := len(a.host.Sessions()); n != 1 {
					t.Errorf("%d sessions, want 1", n)
				}
				if o := wiretest.Reports[wire.Offended](a.host); len(o) > 0 {
					t.Errorf("charged with %+v", o)
				}
				again.stop()
				a.stop()
			})
		}
	}
}

func TestSimultaneousDialsOverLoopback(t *testing.T) { // H-08
	for name, quic := range map[string]bool{"tcp": false, "quic": true} {
		t.Run(name, func(t *testing.T) {
			for range 8 {
				a, b := start(t, loopback(quic), &wiretest.Host{}), start(t, loopback(quic), &wiretest.Host{})
				done := make(chan error, 2)
				go func() { done <- a.Dial(context.Background(), b.Addrs()[0]) }()
				go func() { done <- b.Dial(context.Background(), a.Addrs()[0]) }()
				for range 2 {
					if err := <-done; err != nil && !isReason(err, peer.Duplicate) {
						t.Errorf("Dial = %v, want nil or %s", err, peer.Duplicate)
					}
				}
				for _, r := range []*running{a, b} {
					if err := r.host.Until(within(t, 10*time.Second), func() bool { return len(r.host.Sessions()) == 1 }); err != nil {
						t.Errorf("%d sessions, want 1", len(r.host.Sessions()))
					}
				}
				a.stop()
				b.stop()
				for _, r := range []*running{a, b} {
					for _, err := range r.host.Wrong() {
						t.Error(err)
					}
				}
			}
		})
	}
}
