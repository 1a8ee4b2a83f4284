package relay

import (
	"context"
	"fmt"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Half of the peers announce without end while the owner is busy: what the
// others announce is heard, and little is held for those.
func TestGreedyPeersLoseTheirOwnLetters(t *testing.T) {
	r, err := New(Config{
		Core: CoreConfig{Policy: Geth()}, Take: func(context.Context, wire.Session, []chain.Tx) bool { return true },
		Charge: func(wire.Session, peer.Offense, string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	many := ids(maxAnnounced)
	for n := range 100 {
		for liar := range 25 {
			id := peer.ID(fmt.Sprint("liar", liar))
			r.Announced(id, many)
			r.Announced(id, many[:1])
			r.BlockSeen(id, chain.Hash{byte(n)})
		}
	}
	for honest := range 25 {
		id := peer.ID(fmt.Sprint("honest", honest))
		r.Announced(id, many)
		r.Announced(id, many[:100])
		r.BlockSeen(id, chain.Hash{1})
	}
	heard, items := map[peer.ID]int{}, 0
	for _, l := range r.mail.take() {
		switch ev := l.event.(type) {
		case Announced:
			heard[ev.From]++
			items += len(ev.Txs)
		case BlockSeen:
			heard[ev.From]++
		}
	}
	for honest := range 25 {
		if id := peer.ID(fmt.Sprint("honest", honest)); heard[id] != 3 {
			t.Errorf("%d letters of %s were kept, want all 3", heard[id], id)
		}
	}
	if most := 50 * peerItems; items > most {
		t.Errorf("%d announcements wait, want at most %d", items, most)
	}
	if r.Announced("liar1", many); len(r.mail.take()) != 1 {
		t.Error("what is past is still counted")
	}
}
