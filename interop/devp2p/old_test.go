package devp2p

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
)

// startOld runs a geth 1.13.15 on a clique network, which seals once it is told.
func startOld(t *testing.T, period uint64) *gethNode {
	t.Helper()
	at := ip()
	g := runGeth(t, old, map[string]any{
		"chain_id": chainID, "signer": fmt.Sprintf("%064x", signerKey), "faucet": faucet, "period": period,
		"key": fmt.Sprintf("%064x", 0xbeef00+lastKey.Add(1)), "listen": at + ":0",
	})
	g.Enode = strings.Replace(g.Enode, "@127.0.0.1:", "@"+at+":", 1)
	return g
}

// headOf asks geth for its head.
func (g *gethNode) headOf(t *testing.T) (ref chain.Ref, td string) {
	t.Helper()
	var h struct {
		Number   uint64
		Hash, TD string
	}
	g.Do(map[string]any{"do": "head"}, &h)
	hash, err := chain.ParseHash(h.Hash)
	if err != nil {
		t.Fatal(err)
	}
	return chain.Ref{Number: h.Number, Hash: hash}, h.TD
}

// TestOldGethByTotalDifficulty: a geth that seals every second is followed from
// genesis by total difficulty and then block by block; another geth follows the
// same chain from us alone.
func TestOldGethByTotalDifficulty(t *testing.T) {
	sealer := startOld(t, 1)
	sealer.Do(map[string]any{"do": "seal"}, nil)
	sealer.Until("10 blocks", func(e event) bool { return e.Event == "head" && e.Number >= 10 })

	n := startStarling(t, sealer.Genesis)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Client().Connect(ctx, sealer.Enode); err != nil {
		t.Fatal(err)
	}
	follower := startOld(t, 1)
	follower.Do(map[string]any{"do": "connect", "addr": n.wire.Addrs()[0].Text}, nil)
	follower.Until("a peer", func(e event) bool { return e.Event == "peer" && e.What == "add" })

	// It seals on, and the two others follow.
	at, _ := sealer.headOf(t)
	sealer.Until("30 blocks more", func(e event) bool { return e.Event == "head" && e.Number >= at.Number+30 })
	sealer.rest()
	want, td := sealer.headOf(t)
	n.head(t, want)
	if got := n.ledger.Status().Weight.Big().String(); got != td {
		t.Errorf("our total difficulty is %s, geth says %s", got, td)
	}
	follower.Until("the same head", func(e event) bool { return e.Event == "head" && e.Hash == want.Hash.String() })
	if peers := n.Client().Peers(); len(peers) != 2 || peers[0].Score < 0 || peers[1].Score < 0 {
		t.Errorf("peers = %+v", peers)
	}
	for _, g := range []*gethNode{sealer, follower} {
		if d := g.drops(); len(d) > 0 {
			t.Errorf("geth dropped us: %+v", d)
		}
	}
	// Blocks came in full, and went on in full: of one peer the root is one.
	blocks := map[bool]uint64{}
	for k, c := range n.wire.Traffic() {
		if k.Type == "new-block" {
			blocks[k.Inbound] += c.Messages
		}
	}
	if blocks[true] < 20 || blocks[false] < 20 {
		t.Errorf("%d blocks came in full and %d went on", blocks[true], blocks[false])
	}
}

// TestOldGethAnnouncesAndWeFetch: a geth that seals has us and three other geths,
// and we have it alone. Many of its blocks it only announces to us. Our sync waits
// for more peers than there are, so such a block, where it is the last, can come by
// fetching it and in no other way.
func TestOldGethAnnouncesAndWeFetch(t *testing.T) {
	sealer := startOld(t, 1)
	for range 3 { // first: geth walks its table of peers from anywhere, so that the first in it are pushed to more often
		g := startOld(t, 1)
		g.Do(map[string]any{"do": "connect", "addr": sealer.Enode}, nil)
		g.Until("a peer", func(e event) bool { return e.Event == "peer" && e.What == "add" })
	}
	n := startStarlingAs(t, sealer.Genesis, func(c *starling.Config, _ *ethereum.Family, _ *ledger.Ledger) { c.SyncPeers = 50 })
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if err := n.Client().Connect(ctx, sealer.Enode); err != nil {
		t.Fatal(err)
	}
	const rounds = 40
	for round := 1; ; round++ {
		pushed, asked := n.sent("new-block", true), n.sent("get-headers", false)
		at, _ := sealer.headOf(t)
		sealer.Do(map[string]any{"do": "seal"}, nil)
		sealer.Until("a block", func(e event) bool { return e.Event == "head" && e.Number > at.Number })
		sealer.rest()
		want, _ := sealer.headOf(t)
		n.head(t, want)
		if n.sent("new-block", true) == pushed {
			if n.sent("get-headers", false) == asked {
				t.Errorf("block %v came, and nobody was asked for it", want)
			}
			t.Logf("round %d: blocks %d to %d were announced, and fetched", round, at.Number+1, want.Number)
			break
		}
		if round == rounds {
			t.Fatalf("of %d blocks each time the last was pushed to us", rounds)
		}
	}
	if d := sealer.drops(); len(d) > 0 {
		t.Errorf("geth dropped us: %+v", d)
	}
	if peers := n.Client().Peers(); len(peers) != 1 || peers[0].Score < 0 {
		t.Errorf("peers = %+v", peers)
	}
}
