package devp2p

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// ofChain makes a peer one of that chain.
func ofChain(c *chaintest.Chain) func(*Config) {
	return func(cfg *Config) {
		cfg.Status = c.Status
		cfg.Forks = eth.NewForks(c.Status().Genesis, 0, nil, nil)
	}
}

// startNode runs a whole node as the first peer until stop is called.
func startNode(t *testing.T, n *bed.Net, c *chaintest.Chain, limits starling.Config, change ...func(*Config)) (w *Wire, node *starling.Node, stop func()) {
	t.Helper()
	cfg := configFor(n, 1, "test", testGenesis)
	cfg.Listen = net.JoinHostPort(hostAddr(1).String(), "30303")
	for _, f := range append(change, ofChain(c)) {
		f(&cfg)
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	limits.NoDiscovery, limits.Seed = true, 1
	if node, err = starling.New(limits, c, w); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	<-w.Ready()
	return w, node, func() { cancel(); <-done }
}

// Threat H-12: thousands of links of one address (thirty in the full form), and as
// many of its whole prefix, closed at once or held in silence. At most so many shake hands at a time,
// a link costs little, nobody of the flood is let in, and an honest peer joins
// within 10 s.
func TestAFloodOfLinksKeepsNobodyOut(t *testing.T) {
	links := 3_000
	if os.Getenv("STARLING_FULL") != "" {
		links = 30_000
	}
	for name, from := range map[string]func(i int) byte{
		"one address": func(int) byte { return 1 },
		"a prefix":    func(i int) byte { return byte(i % 256) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				ledger := chaintest.NewChain(chaintest.Config{})
				w, node, stop := startNode(t, n, ledger, starling.Config{MaxPeers: 10}, func(c *Config) { c.InboundPause = 0 })
				b := start(t, n, 2, nil, ofChain(ledger))
				at := w.Addrs()[0]
				_, host, port, _ := parts(at)
				joined := make(chan time.Duration, 1)
				go func() {
					time.Sleep(10 * time.Second) // the flood is under way
					began := time.Now()
					for b.Dial(t.Context(), at) != nil && time.Since(began) < time.Minute {
						time.Sleep(time.Second)
					}
					joined <- time.Since(began)
				}()
				var was, is runtime.MemStats
				runtime.ReadMemStats(&was)
				var silent []net.Conn
				most, refused := 0, 0
				for i := range links {
					ip := netip.AddrFrom4([4]byte{9, 9, 9, from(i)})
					ctx, end := context.WithTimeout(t.Context(), time.Millisecond*100)
					c, err := n.Host(ip).Dial(ctx, "tcp", net.JoinHostPort(host, "30303"))
					end()
					switch {
					case err != nil:
						refused++
					case i%10 == 0:
						silent = append(silent, c)
					default:
						c.Close()
					}
					if held := w.node.Load(); held != nil {
						held.mu.Lock()
						most = max(most, len(held.raw))
						held.mu.Unlock()
					}
				}
				runtime.ReadMemStats(&is)
				if each := (is.TotalAlloc - was.TotalAlloc) / uint64(links); each > 64<<10 {
					t.Errorf("a link costs %d bytes", each)
				}
				if most > 50 || refused > links/2 || port != 30303 {
					t.Errorf("%d links shake hands at once, want at most 50; %d of %d did not come through", most, refused, links)
				}
				if took := <-joined; took > 10*time.Second {
					t.Errorf("an honest peer joined after %v", took)
				}
				for _, p := range node.Client().Peers() {
					if p.Info.ID != b.Self() || p.Info.Direction != peer.Inbound {
						t.Errorf("%+v was let in", p.Info)
					}
				}
				for _, c := range silent {
					c.Close()
				}
				stop()
				b.stop(t)
			})
		})
	}
}
