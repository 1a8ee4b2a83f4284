package devp2p

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
)

// A sub-protocol keeps a place of the node for its peers: others are refused as
// too many when only that is left, those that call and those that are dialled,
// and the node tells why.
func TestASubProtocolKeepsPlacesForItsPeers(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		heard := make(chan string, 4)
		ledger := chaintest.NewChain(chaintest.Config{})
		ours := ofChain(ledger)
		speaks := func(c *Config) {
			p := chat(c.Agent, heard)
			p.Places = 1
			c.Protocols = []Protocol{p}
		}
		w, node, stop := startNode(t, n, ledger, starling.Config{MaxPeers: 3, MaxInbound: 2, PeerGrace: time.Hour, CountLoopback: true, AllowPrivate: true}, speaks)

		wantRefused := func(what string, err error, byRemote bool) {
			t.Helper()
			var refused *peer.RefusedError
			if !errors.As(err, &refused) || refused.Reason != peer.TooManyPeers || refused.Remote != byRemote {
				t.Errorf("%s: %v", what, err)
			}
		}
		var peers []*running
		for i := range uint64(5) {
			change := []func(*Config){ours}
			if i >= 3 {
				change = append(change, speaks)
			}
			peers = append(peers, start(t, n, 2+i, nil, change...))
		}
		if err := peers[0].Dial(t.Context(), w.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		wantRefused("a caller without the protocol", peers[1].Dial(t.Context(), w.Addrs()[0]), true)
		if err := node.Client().Connect(t.Context(), peers[1].Addrs()[0].Text); err != nil {
			t.Fatal(err)
		}
		wantRefused("a peer without it that is dialled", node.Client().Connect(t.Context(), peers[2].Addrs()[0].Text), false)
		if err := peers[3].Dial(t.Context(), w.Addrs()[0]); err != nil {
			t.Errorf("a caller with the protocol: %v", err)
		}
		<-heard
		if err := peers[4].Dial(t.Context(), w.Addrs()[0]); err == nil {
			t.Error("another of those has a place where none is left")
		}

		o := node.Client().Outlook()
		if len(o.Kept) != 1 || o.Kept[0] != (starling.KeptPlaces{Capability: "chat/1", Count: 1, Taken: 1}) {
			t.Errorf("kept places are %+v", o.Kept)
		}
		said := false
		for _, d := range o.Decisions {
			said = said || d.Reason == peer.TooManyPeers && !d.ByRemote && strings.HasSuffix(d.Detail, ", 1 kept for chat/1")
		}
		if !said {
			t.Errorf("no decision says for whom the place is kept: %+v", o.Decisions)
		}
		stop()
		for _, p := range peers {
			p.stop(t)
		}
	})
}

func TestPlacesAreKeptForWhatIsOffered(t *testing.T) {
	for _, tt := range []struct {
		places []wire.Places
		want   string // of the error; empty: none
	}{
		{[]wire.Places{{Capability: "eth", Count: 3}, {Capability: "eth/69", Count: 1}, {Capability: "chat", Count: 1}}, ""},
		{[]wire.Places{{Capability: "snap", Count: 3}}, `3 places are kept for "snap"`},
		{[]wire.Places{{Capability: "eth/67", Count: 3}}, `3 places are kept for "eth/67"`},
		{[]wire.Places{{Capability: "eth", Count: -1}}, `-1 places are kept for "eth"`},
	} {
		cfg := configFor(idleNet(t), 1, "test", testGenesis)
		cfg.Protocols, cfg.Places = []Protocol{chat("alice", nil)}, tt.places
		if _, err := New(cfg); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.places, err, tt.want)
		}
	}
}
