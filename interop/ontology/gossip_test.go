package ontology

import (
	"fmt"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/chain"
)

// Transactions of one real node reach another that knows only us.
func TestTransactionsTravelBothWays(t *testing.T) {
	o := start(t, solo(t), options{pool: true, masked: true})
	a := runV1(t, map[string]any{"keys": []string{key}})
	b := runV1(t, map[string]any{"keys": []string{key}})
	connect(t, o, a)
	connect(t, o, b)
	for _, p := range []*v1{a, b} {
		polls(t, "a session", func() bool { return p.established() == 1 })
	}
	// Both count their transactions from one and sign with one key, so of the
	// second's ten the first five are those of the first.
	for _, way := range []struct {
		from, to *v1
		count    int
	}{{a, b, 5}, {b, a, 10}} {
		var hashes []string
		way.from.Do(map[string]any{"do": "send", "count": way.count}, &hashes)
		for _, h := range hashes {
			hash, err := chain.ParseHash(h)
			if err != nil {
				t.Fatal(err)
			}
			polls(t, "a transaction in our pool", func() bool { _, ok := o.pool.Get(hash); return ok })
			polls(t, "a transaction at the other node", func() bool {
				var has bool
				way.to.Do(map[string]any{"do": "has", "mode": h}, &has)
				return has
			})
		}
	}
	if n, _ := o.pool.Len(); n != 10 {
		t.Errorf("our pool has %d transactions, dropped %v", n, o.pool.Dropped())
	}
	unharmed(t, o)
}

// Real nodes learn of each other through us, and we of others through them.
func TestAddressesTravelBothWays(t *testing.T) {
	o := start(t, solo(t), options{})
	a := runV1(t, map[string]any{"keys": []string{key}})
	connect(t, o, a)
	polls(t, "a session", func() bool { return a.established() == 1 })
	b := runV1(t, map[string]any{"keys": []string{key}, "seeds": []string{o.addr}})
	polls(t, "that both know each other", func() bool { return strings.Contains(b.neighbours(), fmt.Sprint(a.Port)) })
	c := runV1(t, map[string]any{"keys": []string{key}, "seeds": []string{a.addr()}})
	polls(t, "the third with the first", func() bool { return strings.Contains(c.neighbours(), fmt.Sprint(a.Port)) })
	polls(t, "that we have learnt of the third", func() bool {
		return len(o.Client().Peers()) == 3 || o.knows(c.addr())
	})
	unharmed(t, o)
}

func (o *ours) knows(addr string) bool {
	for _, k := range o.Client().KnownPeers(100) {
		if strings.Contains(fmt.Sprint(k), addr) {
			return true
		}
	}
	return false
}

// met is whether a session is open with the peer that listens there.
func (o *ours) met(addr string) bool {
	for _, p := range o.Client().Peers() {
		if strings.Contains(fmt.Sprint(p.Info.Addr, p.Info.Listen), addr) {
			return true
		}
	}
	return false
}

// established is how many peers it has a session with.
func (p *v1) established() int {
	var ps struct{ Established int }
	p.Do(map[string]any{"do": "peers"}, &ps)
	return ps.Established
}

// neighbours are the addresses of those.
func (p *v1) neighbours() string {
	var ps struct{ Addrs []string }
	p.Do(map[string]any{"do": "peers"}, &ps)
	return strings.Join(ps.Addrs, " ")
}

// unharmed checks that no real node was charged.
func unharmed(t *testing.T, o *ours) {
	t.Helper()
	for _, p := range o.Client().Peers() {
		if p.Score < 0 {
			t.Errorf("a real node has a score of %v", p.Score)
		}
	}
}
