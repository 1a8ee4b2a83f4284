package relay

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/sim/bed"
)

// TestFrontierOfBytesAndDelay: what telling fewer at once saves in bytes and
// costs in delay, over 26 nodes that are all linked. It tells a table in Markdown,
// which the benchmarks publish, with STARLING_FULL set for the whole frontier; its figures are of virtual time and repeat. Under
// every policy each transaction reaches every node, nobody asks for a body twice,
// and none goes twice over a link; frugal stays within its bounds.
func TestFrontierOfBytesAndDelay(t *testing.T) {
	few := func(push, announce int, widen, arrive time.Duration) Policy {
		return Policy{
			Name: fmt.Sprintf("push %d, announce %d, widen %v", push, announce, widen),
			Push: atMost(push), Announce: announce, Widen: widen, Arrive: arrive,
		}
	}
	const ms = time.Millisecond
	policies := []Policy{Geth(), Frugal()}
	if os.Getenv("STARLING_FULL") != "" {
		policies = append(policies, few(1, 2, 500*ms, 200*ms), few(1, 4, 500*ms, 200*ms), few(2, 2, 500*ms, 200*ms), few(2, 8, 500*ms, 200*ms),
			few(3, 4, 500*ms, 200*ms), few(4, 4, 500*ms, 200*ms), few(2, 4, 250*ms, 100*ms), few(2, 4, time.Second, 400*ms))
	}
	var table strings.Builder
	fmt.Fprintf(&table, "| transactions | policy | bytes in, a node | of geth's | p50 | p99 | of geth's |\n|---|---|---|---|---|---|---|\n")
	for _, size := range []uint32{300, 1024} {
		var geth frontier
		for _, p := range policies {
			f := measure(t, p, size)
			if p.Name == Geth().Name {
				geth = f
			}
			bytes, p99 := f.bytes/geth.bytes, float64(f.p99)/float64(geth.p99)
			fmt.Fprintf(&table, "| %d B | %s | %.0f | %.2f | %v | %v | %.2f |\n", size, p.Name, f.bytes, bytes, f.p50.Round(ms), f.p99.Round(ms), p99)
			if p.Name == Frugal().Name && (bytes > 0.6 || p99 > 3) {
				t.Errorf("%d B: frugal takes %.2f of geth's bytes, at most 0.6 are wanted, and %.2f times its p99, at most 3", size, bytes, p99)
			}
		}
	}
	t.Logf("\n%s", &table)
}

// frontier is what a policy came to.
type frontier struct {
	bytes    float64 // that a node took in, on average
	p50, p99 time.Duration
}

func measure(t *testing.T, p Policy, size uint32) frontier {
	t.Helper()
	w := newWorld(t, 7, 26, bed.Link{Rate: 6e6, Latency: 50 * time.Millisecond}, ethLike(p))
	w.mesh(25)
	w.load(250, 20*time.Millisecond, size)
	w.sim.RunFor(2 * time.Minute)
	if n := w.missing(); n > 0 {
		t.Errorf("%s: %d deliveries are missing", p.Name, n)
	}
	w.sentOnce(p.Name)
	d := w.delays()
	return frontier{w.received(), d[len(d)/2], d[len(d)*99/100]}
}
