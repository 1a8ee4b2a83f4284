package bed

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/starlingp2p/starling/env"
)

// mesh is a group of hosts with the real gossipsub, joined at random.
type mesh struct {
	net    *Net
	hosts  []libhost.Host
	topics []*pubsub.Topic
	subs   []*pubsub.Subscription
	links  [][2]int
	stop   context.CancelFunc

	wg  sync.WaitGroup
	mu  sync.Mutex
	got map[string]map[int]time.Time // message, host: when
}

// newMesh makes a ring of n hosts with a few chords, and waits until the topic
// has formed. close it before the bubble ends.
func newMesh(t *testing.T, n *Net, count int, want Libp2p) *mesh {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	m := &mesh{net: n, stop: stop, got: map[string]map[int]time.Time{}}
	for i := range count {
		h := node(t, n, i, want)
		ps, err := pubsub.NewGossipSub(ctx, h)
		if err != nil {
			t.Fatal(err)
		}
		topic, err := ps.Join("blocks")
		if err != nil {
			t.Fatal(err)
		}
		sub, err := topic.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		m.hosts = append(m.hosts, h)
		m.topics = append(m.topics, topic)
		m.subs = append(m.subs, sub)
		m.wg.Go(func() { m.listen(ctx, i, sub) })
	}
	synctest.Wait() // pubsub and identify are up: see the doc of this package
	rng := env.NewRand(1)
	for i := range count {
		m.links = append(m.links, [2]int{i, (i + 1) % count}, [2]int{i, (i + 2 + rng.IntN(count-3)) % count})
	}
	m.connect(t)
	time.Sleep(5 * time.Second)
	for i, h := range m.hosts {
		if a, b := len(m.topics[i].ListPeers()), len(h.Network().Peers()); a != b || b < 2 {
			t.Errorf("host %d has %d topic peers and %d connections", i, a, b)
		}
	}
	return m
}

func (m *mesh) connect(t *testing.T) {
	t.Helper()
	for _, l := range m.links {
		if m.hosts[l[0]].Network().Connectedness(m.hosts[l[1]].ID()) == network.Connected {
			continue
		}
		ctx := network.WithForceDirectDial(t.Context(), "the bed decides when to dial")
		if err := m.hosts[l[0]].Connect(ctx, AddrInfo(host(l[1]), Key(uint64(l[1])))); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *mesh) listen(ctx context.Context, i int, sub *pubsub.Subscription) {
	for {
		msg, err := sub.Next(ctx)
		if err != nil {
			return
		}
		m.mu.Lock()
		if m.got[string(msg.Data[:8])] == nil {
			m.got[string(msg.Data[:8])] = map[int]time.Time{}
		}
		m.got[string(msg.Data[:8])][i] = time.Now()
		m.mu.Unlock()
	}
}

// publish sends size bytes from a host and returns, after wait, how many hosts
// have them and when the last one got them.
func (m *mesh) publish(t *testing.T, from, number, size int, wait time.Duration) (int, time.Duration) {
	t.Helper()
	name := fmt.Sprintf("%08d", number)
	data := append([]byte(name), make([]byte, size-8)...)
	start := time.Now()
	if err := m.topics[from].Publish(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	time.Sleep(wait)
	m.mu.Lock()
	defer m.mu.Unlock()
	var last time.Duration
	for _, at := range m.got[name] {
		last = max(last, at.Sub(start))
	}
	return len(m.got[name]), last
}

func (m *mesh) close() {
	m.stop()
	m.wg.Wait()
	for _, h := range m.hosts {
		h.Close()
	}
}

func TestGossipReachesAllAndHealsInVirtualTime(t *testing.T) {
	const count = 20
	latency := 50 * time.Millisecond
	virtual(t, Config{Up: 6_250_000, Down: 6_250_000, Link: Link{Latency: latency}}, func(t *testing.T, n *Net) {
		m := newMesh(t, n, count, Libp2p{})
		defer m.close()
		// A small message: at most the ring's and the chords' way round.
		for i := range 5 {
			got, last := m.publish(t, i, i, 200, 5*time.Second)
			if got != count {
				t.Errorf("message %d reached %d of %d", i, got, count)
			}
			between(t, "delivery of 200 B", last, latency, 6*latency)
		}
		// A block: each hop takes its transmission times a few copies more.
		got, last := m.publish(t, 0, 100, 128<<10, 10*time.Second)
		if got != count {
			t.Errorf("block reached %d of %d", got, count)
		}
		t.Logf("128 KiB reached the last of %d after %v", count, last)
		between(t, "delivery of 128 KiB", last, 100*time.Millisecond, 2*time.Second)

		var half []netip.Addr
		for i := range count / 2 {
			half = append(half, host(i))
		}
		for _, mode := range []Mode{Silent, Break} {
			n.Partition(mode, half)
			time.Sleep(time.Second)
			if got, _ := m.publish(t, 0, 200+int(mode), 200, 5*time.Second); got != count/2 {
				t.Errorf("in a %v partition a message reached %d, want %d", mode, got, count/2)
			}
			n.Heal()
			m.connect(t)
			time.Sleep(70 * time.Second) // prune back-off is a minute
			if got, last := m.publish(t, count-1, 300+int(mode), 200, 5*time.Second); got != count {
				t.Errorf("after a %v partition a message reached %d of %d in %v", mode, got, count, last)
			}
		}
	})
}

func TestGossipOverNoiseAndYamux(t *testing.T) {
	virtual(t, Config{Link: Link{Latency: 50 * time.Millisecond, Loss: 0.01}}, func(t *testing.T, n *Net) {
		m := newMesh(t, n, 6, Libp2p{Upgraded: true})
		defer m.close()
		if got, last := m.publish(t, 0, 1, 1000, 10*time.Second); got != 6 {
			t.Errorf("message reached %d of 6 in %v", got, last)
		}
	})
}

func TestHostsAreFoundByKey(t *testing.T) {
	id, err := peer.IDFromPrivateKey(Key(7))
	if err != nil || id != AddrInfo(host(7), Key(7)).ID {
		t.Errorf("id = %v, %v", id, err)
	}
}
