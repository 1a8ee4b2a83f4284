package starling

import (
	"context"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/blocksync"
	"github.com/starlingp2p/starling/internal/relay"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Transactions are taken while the node is in sync: not once it turns out that
// it was not, by what came first or by verified headers far above our head; and
// still while a peer only claims more.
func TestTheGateShutsWhereWeWereNotInSync(t *testing.T) {
	r, err := relay.New(relay.Config{
		Core:   relay.CoreConfig{Policy: relay.Flood()},
		Take:   func(context.Context, wire.Session, []chain.Tx) bool { return true },
		Charge: func(wire.Session, peer.Offense, string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{bus: newBus(), relay: r}
	for _, c := range []struct {
		ev   blocksync.Syncing
		open bool
	}{
		{blocksync.Syncing{Goal: 1 << 40}, true},
		{blocksync.Syncing{Goal: 1 << 40, First: true}, false},
		{blocksync.Syncing{Goal: 1 << 40, Far: true}, false},
	} {
		n.onSync(blocksync.Synced{})
		if n.onSync(c.ev); r.IsOpen() != c.open {
			t.Errorf("after %+v open is %v, want %v", c.ev, r.IsOpen(), c.open)
		}
	}
}
