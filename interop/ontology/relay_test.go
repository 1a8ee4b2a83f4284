package ontology

import (
	"context"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology"
)

// Threat T-08: between two nodes that relay to each other, and to a real one,
// each transaction travels at most once over a link.
func TestTransactionsDoNotLoop(t *testing.T) {
	a, b := start(t, solo(t), options{pool: true}), start(t, solo(t), options{pool: true})
	real := runV1(t, map[string]any{"keys": []string{key}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.Client().Connect(ctx, b.addr); err != nil {
		t.Fatal(err)
	}
	connect(t, a, real)
	connect(t, b, real)
	polls(t, "both sessions", func() bool { return real.established() == 2 })
	const count = 20
	var hashes []string
	real.Do(map[string]any{"do": "send", "count": count}, &hashes)
	for _, h := range hashes {
		hash, err := chain.ParseHash(h)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []*ours{a, b} {
			polls(t, "a transaction in a pool", func() bool { _, ok := o.pool.Get(hash); return ok })
		}
	}
	// The last of what is on its way is not told: traffic rests when two looks a
	// second apart find the same.
	sent := func(o *ours) uint64 {
		return o.wire.Traffic()[wire.TrafficKey{Protocol: ontology.Name, Type: "tx"}].Messages
	}
	before := [2]uint64{}
	looked := time.Now()
	polls(t, "rest", func() bool {
		if time.Since(looked) < time.Second {
			return false
		}
		now := [2]uint64{sent(a), sent(b)}
		still := now == before
		before, looked = now, time.Now()
		return still
	})
	for i, o := range []*ours{a, b} { // to each of two peers, never back
		if got := before[i]; got > 2*count {
			t.Errorf("node %d sent %d copies of %d transactions over two links", i, got, count)
		}
		unharmed(t, o)
	}
	t.Logf("%d transactions: %d and %d copies sent", count, before[0], before[1])
}

// A real node that goes away and comes back is dialled again.
func TestARealNodeIsMetAgain(t *testing.T) {
	o := start(t, solo(t), options{})
	dir, port := t.TempDir(), steertest.Port(t)
	node := map[string]any{"keys": []string{key}, "dir": dir, "port": port, "height": 3}
	first := runV1(t, node)
	first.Port = port
	connect(t, o, first)
	o.reaches(t, 3, first.Head)
	first.Stop()
	polls(t, "no session", func() bool { return len(o.Client().Peers()) == 0 })
	node["height"] = 5
	again := runV1(t, node)
	again.Port = port
	began := time.Now()
	o.reaches(t, 5, again.Head)
	t.Logf("met again and in sync after %v", time.Since(began).Round(time.Millisecond))
	unharmed(t, o)
}
