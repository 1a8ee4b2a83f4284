package native

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var genesis = chain.Hash{1, 2, 3, 4, 5, 6, 7, 8}

func status() chain.Status { return chain.Status{Network: "test", Genesis: genesis} }

// running is a wire that runs with a recording Host.
type running struct {
	*Wire
	host *wiretest.Host
	stop func()
}

// start runs a wire and stops it when the test ends.
func start(t *testing.T, cfg Config, h *wiretest.Host) *running {
	t.Helper()
	if cfg.Status == nil {
		cfg.Status = status
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &running{Wire: w, host: h, stop: wiretest.Start(t, w, h)}
}

// patience ends a test on the real clock that hangs; no result depends on it.
const patience = 2 * time.Minute

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func loopback(quic bool) Config {
	listen := "/ip4/127.0.0.1/tcp/0"
	if quic {
		listen = "/ip4/127.0.0.1/udp/0/quic-v1"
	}
	return Config{Listen: []string{listen}, AllowPrivate: true}
}

func TestTwoNodesOverLoopback(t *testing.T) {
	for name, quic := range map[string]bool{"tcp": false, "quic": true} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, patience)
			served := chain.Header{Ref: chain.Ref{Number: 7, Hash: chain.Hash{7}}, Bytes: []byte("header")}
			a := start(t, loopback(quic), &wiretest.Host{})
			b := start(t, loopback(quic), &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
				return wire.Headers{Headers: []chain.Header{served}}, nil
			}})
			t0 := time.Now()
			if err := a.Dial(ctx, b.Addrs()[0]); err != nil {
				t.Fatal(err)
			}
			t.Logf("dial took %v; %s", time.Since(t0), b.Addrs()[0])
			s := a.host.Session(b.Self())
			if s == nil {
				t.Fatal("no session at the dialler")
			}
			resp, err := s.Request(ctx, wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 7}, Count: 1}})
			if err != nil {
				t.Fatal(err)
			}
			if h := resp.(wire.Headers).Headers; len(h) != 1 || h[0].Ref != served.Ref {
				t.Errorf("headers = %v", h)
			}
			if err := b.host.Until(ctx, func() bool { return b.host.Session(a.Self()) != nil }); err != nil {
				t.Fatal("no session at the listener")
			}
			topicUp := func(r *running, topic string) func() bool {
				return func() bool {
					for _, c := range wiretest.Reports[wire.TopicChanged](r.host) {
						if strings.Contains(c.Topic, topic) && c.Joined {
							return true
						}
					}
					return false
				}
			}
			if err := a.host.Until(ctx, topicUp(a, "/block/")); err != nil {
				t.Fatal("no block topic")
			}
			block := chain.Block{Header: chain.Header{Ref: chain.Ref{Number: 8, Hash: chain.Hash{8}}, Bytes: []byte("h")}, Body: []byte("body")}
			r, err := a.Publish(ctx, wire.Block{Block: block})
			if err != nil || r.Queued != 1 {
				t.Fatalf("Publish = %+v, %v", r, err)
			}
			if err := b.host.Until(ctx, func() bool { return len(b.host.Checked()) == 1 }); err != nil {
				t.Fatal("block did not arrive")
			}
			if got := b.host.Checked()[0].Message.(wire.Block).Block; got.Ref() != block.Ref() || string(got.Body) != "body" {
				t.Errorf("block = %+v", got)
			}
			if err := s.Send(ctx, wire.LaneConsensus, wire.Consensus{Bytes: []byte("vote")}); err != nil {
				t.Fatal(err)
			}
			if err := b.host.Until(ctx, func() bool { return len(b.host.Checked()) == 2 }); err != nil {
				t.Fatal("consensus did not arrive")
			}
			t0 = time.Now()
			b.stop()
			t.Logf("stop took %v", time.Since(t0))
			if err := a.host.Until(ctx, func() bool { return len(wiretest.Reports[wire.Closed](a.host)) == 1 }); err != nil {
				t.Fatal("no Closed")
			}
			if c := wiretest.Reports[wire.Closed](a.host)[0]; c.Reason != "quitting" || !c.ByRemote {
				t.Errorf("Closed = %+v, want quitting by remote", c)
			}
			for _, r := range []*running{a, b} {
				for _, err := range r.host.Wrong() {
					t.Error(err)
				}
				if o := wiretest.Reports[wire.Offended](r.host); len(o) > 0 {
					t.Errorf("offended: %+v", o)
				}
			}
		})
	}
}
