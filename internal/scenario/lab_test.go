package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// full reports whether the long form of a scenario is asked for.
func full() bool { return os.Getenv("STARLING_FULL") != "" }

const (
	interval = 2 * time.Second        // of blocks
	glance   = 100 * time.Millisecond // between two looks at a condition, in virtual time
	latency  = 50 * time.Millisecond
)

// lab is a network of whole nodes. Only the test's goroutine uses it.
type lab struct {
	t     *testing.T
	net   *bed.Net
	nodes []*node
	// hostile are those whose charges and bans are deserved.
	hostile map[peer.ID]bool
	// excused are the faults that a scenario makes honest nodes commit.
	excused map[peer.Offense]bool
	atEnd   []func()
}

// virtual runs a scenario in a bubble, and at its end stops all nodes and
// checks that no honest one was charged.
func virtual(t *testing.T, cfg bed.Config, run func(l *lab)) {
	t.Helper()
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := &lab{t: t, net: bed.NewNet(cfg), hostile: map[peer.ID]bool{}, excused: map[peer.Offense]bool{}}
		defer l.net.Close()
		defer func() {
			l.stopAll()
			l.honest()
			t.Logf("%d nodes, %v in virtual time", len(l.nodes), time.Since(start).Round(time.Second))
		}()
		run(l)
	})
	t.Logf("%v of real time", time.Since(began).Round(10*time.Millisecond))
}

// ordinary is a network of ordinary links.
func ordinary() bed.Config { return bed.Config{Seed: 1, Link: bed.Link{Latency: latency}} }

// addr is the address of the i-th host: public, in a /16 of its own.
func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{60, byte(1 + i), 7, 9}) }

// addrs are those of several.
func addrs(from, to int) (out []netip.Addr) {
	for i := from; i < to; i++ {
		out = append(out, addr(i))
	}
	return out
}

// at is the dialable address of the i-th node.
func at(i int) string {
	info := bed.AddrInfo(addr(i), bed.Key(uint64(i)))
	return fmt.Sprintf("%s/p2p/%s", info.Addrs[0], info.ID)
}

// idOf is the identity of the i-th node.
func idOf(i int) peer.ID { return peer.ID(bed.AddrInfo(addr(i), bed.Key(uint64(i))).ID.String()) }

// only are the addresses of these nodes.
func only(nodes ...int) (out []string) {
	for _, i := range nodes {
		out = append(out, at(i))
	}
	return out
}

// start makes the i-th node and runs it.
func (l *lab) start(i int, s spec) *node {
	l.t.Helper()
	n := l.add(i, s)
	n.run()
	return n
}

// add makes the i-th node and does not run it.
func (l *lab) add(i int, s spec) *node {
	if s.toy == nil {
		s.toy = chaintest.NewChain(chaintest.Config{BlockTime: interval})
	}
	n := &node{lab: l, i: i, id: idOf(i), host: l.net.Host(addr(i)), spec: s, log: newLog()}
	l.nodes = append(l.nodes, n)
	return n
}

// many starts the nodes from and to, which know the seeds.
func (l *lab) many(from, to int, seeds ...int) (out []*node) {
	l.t.Helper()
	for i := from; i < to; i++ {
		out = append(out, l.start(i, spec{seeds: only(seeds...)}))
	}
	return out
}

// await waits in virtual time for a condition, and gives how long it took.
func (l *lab) await(within time.Duration, what string, cond func() bool) time.Duration {
	l.t.Helper()
	start := time.Now()
	for {
		synctest.Wait()
		if cond() {
			took := time.Since(start)
			l.t.Logf("%s: after %v", what, took)
			return took
		}
		if time.Since(start) >= within {
			l.dump()
			l.t.Fatalf("within %v there was not %s", within, what)
		}
		time.Sleep(glance)
	}
}

// awaitPeers waits until each of the nodes has at least so many sessions.
func (l *lab) awaitPeers(within time.Duration, least int, nodes ...*node) time.Duration {
	l.t.Helper()
	return l.await(within, fmt.Sprintf("at least %d sessions at each of %d nodes", least, len(nodes)), func() bool {
		for _, n := range nodes {
			if len(n.client.Peers()) < least {
				return false
			}
		}
		return true
	})
}

// awaitOneTip waits until all the nodes have a head of at least that number
// and it is the same one.
func (l *lab) awaitOneTip(within time.Duration, least uint64, nodes ...*node) time.Duration {
	l.t.Helper()
	return l.await(within, fmt.Sprintf("one tip, of %d or more, at %d nodes", least, len(nodes)), func() bool {
		head := nodes[0].head()
		for _, n := range nodes {
			if n.head() != head {
				return false
			}
		}
		return head.Number >= least
	})
}

// dump tells where each node stands, for a test that failed.
func (l *lab) dump() {
	for _, n := range l.nodes {
		if n.client == nil {
			continue
		}
		st := n.client.Status()
		l.t.Logf("node %d: up %v, head %d, %d in, %d out, %d bans, sync %+v, clock suspect %v", n.i, n.up, st.Chain.Head.Number, st.Inbound, st.Outbound, st.Bans, st.Sync, st.ClockSuspect)
		for _, line := range n.log.last(12) {
			l.t.Logf("   %s", line)
		}
	}
}

// stopAll stops the nodes in the reverse order.
func (l *lab) stopAll() {
	for i := len(l.nodes) - 1; i >= 0; i-- {
		l.nodes[i].stop()
	}
	for _, end := range l.atEnd {
		end()
	}
}

// honest checks that no honest node was banned or charged.
func (l *lab) honest() {
	l.t.Helper()
	for _, n := range l.nodes {
		if n.hostile {
			continue
		}
		for _, b := range n.log.bans() {
			if !l.hostile[peer.ID(b.Who)] {
				l.t.Errorf("node %d banned %s for %q, which is honest", n.i, l.name(peer.ID(b.Who)), b.Reason)
			}
		}
		for _, c := range n.log.charges() {
			if !l.hostile[c.ID] && !l.excused[c.Offense] {
				l.t.Errorf("node %d charged %s, which is honest: %s (%s)", n.i, l.name(c.ID), c.Offense, c.Detail)
			}
		}
	}
}

// name is "node 3" for the identity of that one.
func (l *lab) name(id peer.ID) string {
	for _, n := range l.nodes {
		if n.id == id {
			return fmt.Sprintf("node %d", n.i)
		}
	}
	return id.Short()
}

// produce makes a small block each interval on the node's head, until the node
// stops or stopProducing is called.
func (n *node) produce() { n.produceLike(chaintest.Make{}) }

func (n *node) produceLike(m chaintest.Make) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	n.stopProducing = func() { cancel(); <-done }
	go func() {
		defer close(done)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := n.makeBlock(ctx, m); err != nil && ctx.Err() == nil {
				n.lab.t.Errorf("node %d: block: %v", n.i, err)
				return
			}
		}
	}()
}

// makeBlock submits a block whose time is now.
func (n *node) makeBlock(ctx context.Context, m chaintest.Make) error {
	parent := n.toy.Head().Header
	m.After = max(time.Since(parent.Time).Truncate(time.Millisecond), time.Millisecond)
	b := n.toy.Next(parent, m)
	at := time.Now()
	err := n.client.SubmitBlock(ctx, b)
	if err == nil {
		n.log.made(b.Ref(), at)
	}
	return err
}

// head is where the node's chain stands.
func (n *node) head() chain.Ref { return n.toy.Status().Head }

// branch is a block unlike those of other branches.
func branch(n uint64) chaintest.Make { return chaintest.Make{Branch: n} }

// ref is the canonical block of a number.
func ref(number uint64) chain.Ref { return chain.Ref{Number: number} }
