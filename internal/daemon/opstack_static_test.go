package daemon

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/starlingp2p/starling"
)

// A static peer may be named by a host name, is under protection, and is dialled
// again when it is gone.
func TestOPStaticPeersAreProtectedAndRedialled(t *testing.T) {
	a := serveOP(t)
	named := strings.Replace(a.ready.Addrs[0], "/ip4/127.0.0.1/", "/dns4/localhost/", 1)
	if named == a.ready.Addrs[0] {
		t.Fatalf("%s is not on 127.0.0.1", named)
	}
	b := serveOP(t, func(c *Config) { c.Networks[0].Static = []string{named} })
	ctx := inTime(t)
	opened := b.node.node.Client().Subscribe(ctx, 0)
	for _, side := range []*served{a, b} { // one may have it a moment before the other
		if err := side.node.node.Client().WaitForPeers(ctx, 1); err != nil {
			t.Fatal(err)
		}
	}
	var dump OPPeers
	if err := json.Unmarshal(askOP(t, b.dial(t), "opp2p_peers", true), &dump); err != nil {
		t.Fatal(err)
	}
	if p := dump.Peers[a.ready.ID]; p.Connectedness != 1 || !p.Protected {
		t.Errorf("opp2p_peers has it as %+v, want it under protection", p)
	}
	if got := b.dial(t).Call(ctx, "opp2p_blockPeer", nil, a.ready.ID); got == nil {
		t.Error("a static peer was blocked")
	}
	askOP(t, a.dial(t), "opp2p_disconnectPeer", b.ready.ID)
	closed := false
	for ev := range opened.C() {
		switch ev.(type) {
		case starling.PeerClosed:
			closed = true
		case starling.PeerOpened:
			if closed {
				return
			}
		}
	}
	t.Error("it was not dialled again")
}
