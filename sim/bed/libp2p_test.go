package bed

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// node starts a go-libp2p host on the i-th host of the net. The caller closes
// it before the bubble ends.
func node(t *testing.T, n *Net, i int, want Libp2p, more ...libp2p.Option) libhost.Host {
	t.Helper()
	h, err := libp2p.New(append(Options(n.Host(host(i)), Key(uint64(i)), want), more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestLibp2pHostsPing(t *testing.T) {
	for _, up := range []bool{false, true} {
		virtual(t, Config{Link: Link{Latency: 50 * time.Millisecond}}, func(t *testing.T, n *Net) {
			want := Libp2p{Upgraded: up}
			a, b := node(t, n, 1, want), node(t, n, 2, want)
			defer a.Close()
			defer b.Close()
			start := time.Now()
			if err := a.Connect(t.Context(), AddrInfo(host(2), Key(2))); err != nil {
				t.Fatal(err)
			}
			t.Logf("connect took %v", time.Since(start))
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			res := <-ping.Ping(ctx, a, b.ID())
			if res.Error != nil {
				t.Error(res.Error)
			}
			between(t, "ping", res.RTT, 100*time.Millisecond, 100*time.Millisecond)
		})
	}
}
