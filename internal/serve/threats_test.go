package serve_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/internal/serve"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// A question for addresses is small and its answer is not: however many are
// asked for, at most MaxAddrs are given, and who asks again and again gets no
// more than its budget of bytes. Threat row R-08.
func TestAddressesAreGivenInBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ch charges
		var asked atomic.Int64
		s := serve.New(serve.Config{
			Chain: &fakeChain{head: 1}, Charge: ch.charge, Budget: budget(), MaxAddrs: 128,
			Addrs: func(_ context.Context, max int) []peer.Addr {
				asked.Add(1)
				if max < 0 || max > 128 {
					t.Errorf("the node is asked for %d addresses", max)
				}
				out := make([]peer.Addr, 1000) // it gives more than it is asked for
				for i := range out {
					out[i] = peer.Addr{Scheme: "multiaddr", Text: fmt.Sprintf("%s%04d", strings.Repeat("a", 60), i)}
				}
				return out
			},
		})
		for _, max := range []int{-1, 0, 1, 128, 129, 1 << 30} {
			resp, err := s.Serve(t.Context(), alice, wire.GetAddrs{Max: max})
			if err != nil {
				t.Fatal(err)
			}
			if got, most := len(resp.(wire.Addrs).Addrs), min(max, 128); got > most && got > 0 {
				t.Errorf("asked for %d addresses, got %d", max, got)
			}
		}
		bytes, refused := 0, 0
		for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(time.Millisecond) {
			resp, err := s.Serve(t.Context(), alice, wire.GetAddrs{Max: 1 << 30})
			var why *wire.Refusal
			switch {
			case err == nil:
				for _, a := range resp.(wire.Addrs).Addrs {
					bytes += len(a.Scheme) + len(a.Text)
				}
			case !errors.As(err, &why) || why.Code != wire.RefusedLimit:
				t.Fatalf("Serve = %v, want a refusal", err)
			default:
				refused++
			}
		}
		if most := 22 * 100 << 10; bytes > most {
			t.Errorf("%d bytes of addresses in 20 s, want at most %d", bytes, most)
		}
		t.Logf("%d bytes, %d answers, %d refusals", bytes, asked.Load(), refused)
	})
}
