package devp2p

import (
	"context"
	"strings"
	"testing"
)

// sent is how many messages of a type went out, or came in.
func (n *node) sent(kind string, inbound bool) (count uint64) {
	for k, c := range n.wire.Traffic() {
		if k.Type == kind && k.Inbound == inbound {
			count += c.Messages
		}
	}
	return count
}

// rest has a geth seal no more, and waits for the block that it is at.
func (g *gethNode) rest() { g.Do(map[string]any{"do": "rest"}, nil) }

// TestBlocksGoInFullToTheRootAndByHashToTheRest: a geth seals every second and has
// us alone; four others have us alone. Of each block two get the whole and two its
// hash, which they fetch. Then two of them meet the sealer too, so that it has three
// that lack a block, and whom of them it only tells of one is drawn: we
// are among them now and then.
func TestBlocksGoInFullToTheRootAndByHashToTheRest(t *testing.T) {
	const blocks = 12
	sealer := startOld(t, 1)
	n := startStarling(t, sealer.Genesis)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if err := n.Client().Connect(ctx, sealer.Enode); err != nil {
		t.Fatal(err)
	}
	geths := []*gethNode{sealer}
	for range 4 {
		g := startOld(t, 1)
		g.Do(map[string]any{"do": "connect", "addr": n.wire.Addrs()[0].Text}, nil)
		geths = append(geths, g)
	}
	if err := n.Client().WaitForPeers(ctx, len(geths)); err != nil {
		t.Fatal(err)
	}
	all := func(number uint64) {
		t.Helper()
		for _, g := range geths {
			g.Until("a block", func(e event) bool { return e.Event == "head" && e.Number >= number })
		}
	}
	sealer.Do(map[string]any{"do": "seal"}, nil)
	all(3) // from here on each of them takes part in gossip
	full, hashes := n.sent("new-block", false), n.sent("new-block-hashes", false)
	first, _ := sealer.headOf(t)
	all(first.Number + blocks)
	sealer.rest()
	last, _ := sealer.headOf(t)
	n.head(t, last)
	all(last.Number)
	full, hashes = n.sent("new-block", false)-full, n.sent("new-block-hashes", false)-hashes
	sealed := last.Number - first.Number
	t.Logf("of %d blocks %d went out in full and %d by hash", sealed, full, hashes)
	// One may have been under way when the count began, and the last may be yet.
	if least, most := 2*(sealed-1), 2*(sealed+1); full < least || full > most || hashes < least || hashes > most {
		t.Errorf("of %d blocks %d went in full and %d by hash, want two of each", sealed, full, hashes)
	}
	if in := n.sent("new-block", true); in < sealed {
		t.Errorf("of %d blocks %d came in full from the sealer, which has us alone", sealed, in)
	}

	for _, g := range geths[1:3] {
		sealer.Do(map[string]any{"do": "connect", "addr": g.Enode}, nil)
	}
	sealer.Until("more peers", func(e event) bool {
		return e.Event == "peer" && e.What == "add" && !strings.Contains(e.Peer, string(n.wire.Self())[:8])
	})
	before := n.sent("new-block-hashes", true)
	sealer.Do(map[string]any{"do": "seal"}, nil)
	for number := last.Number + 1; n.sent("new-block-hashes", true) == before; number++ {
		sealer.Until("a block", func(e event) bool { return e.Event == "head" && e.Number >= number })
		if number > last.Number+60 {
			t.Fatal("of 60 blocks none was announced to us")
		}
	}
	sealer.rest()
	last, _ = sealer.headOf(t)
	n.head(t, last)
	all(last.Number)
	kept(t, geths, &pooled{node: n})
}

// TestAHeavierForkIsFollowed: we, and a geth that has us alone, are on a chain that
// one geth sealed. Another with the same key has sealed a longer one from genesis:
// once we meet it we change over, and so does the geth behind us.
func TestAHeavierForkIsFollowed(t *testing.T) {
	const short, long = 5, 9
	seal := func(g *gethNode, blocks uint64) {
		g.Do(map[string]any{"do": "seal"}, nil)
		g.Until("blocks", func(e event) bool { return e.Event == "head" && e.Number >= blocks })
		g.rest()
	}
	light := startOld(t, 1)
	seal(light, short)
	n := startStarling(t, light.Genesis)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if err := n.Client().Connect(ctx, light.Enode); err != nil {
		t.Fatal(err)
	}
	first, _ := light.headOf(t)
	n.head(t, first) // before others hear what we have
	behind := startOld(t, 1)
	behind.Do(map[string]any{"do": "connect", "addr": n.wire.Addrs()[0].Text}, nil)
	behind.Until("the first chain", func(e event) bool { return e.Event == "head" && e.Hash == first.Hash.String() })

	heavy := startOld(t, 1) // later, so that its blocks have other times
	seal(heavy, long)
	if err := n.Client().Connect(ctx, heavy.Enode); err != nil {
		t.Fatal(err)
	}
	want, _ := heavy.headOf(t)
	n.head(t, want)
	seal(heavy, want.Number+1) // the others hear of it with the next block
	want, td := heavy.headOf(t)
	n.head(t, want)
	for _, g := range []*gethNode{behind, light} {
		g.Until("the heavier chain", func(e event) bool { return e.Event == "head" && e.Hash == want.Hash.String() })
	}
	if got := n.ledger.Status().Weight.Big().String(); got != td {
		t.Errorf("our total difficulty is %s, geth says %s", got, td)
	}
	if at, err := n.ledger.Header(ctx, first); err != nil || at.Ref != first {
		t.Errorf("the lighter head is gone: %v", err)
	}
	kept(t, []*gethNode{light, heavy, behind}, &pooled{node: n})
}
