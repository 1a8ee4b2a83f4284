package p2phost

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// Threat C-02: what is open and a reserve are kept from connections.
func TestConnectionsLeaveDescriptorsForTheRest(t *testing.T) {
	for _, tt := range []struct{ conns, most, open, want int }{
		{1024, 0, 0, 1024},     // not known
		{1024, 4096, 30, 1024}, // plenty
		{1024, 1024, 30, 962},
		{1024, 64, 20, 12},
		{1024, 64, 40, leastDescriptors},
		{4, 64, 20, 4},
	} {
		if got := forConnections(tt.conns, tt.most, tt.open); got != tt.want {
			t.Errorf("of %d descriptors with %d open connections may have %d, want %d", tt.most, tt.open, got, tt.want)
		}
	}
	if most, open := descriptors(); most > 0 && (open <= 0 || open > most) {
		t.Errorf("%d of %d descriptors are open", open, most)
	}
}

// Threat C-02: inbound links are refused while the descriptors for them are
// used up, dials of ours have some of their own, and all comes back.
func TestLinksAreRefusedWhenDescriptorsAreShort(t *testing.T) {
	m, err := Limits{Descriptors: 12}.resourceManager()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	addr := ma.StringCast("/ip4/8.8.8.8/tcp/4001")
	fill := func(dir network.Direction) (all []network.ConnManagementScope) {
		for {
			c, err := m.OpenConnection(dir, true, addr)
			if err != nil {
				return all
			}
			all = append(all, c)
			if len(all) > 100 {
				return all
			}
		}
	}
	for range 2 {
		in := fill(network.DirInbound)
		out := fill(network.DirOutbound)
		if len(in) != 8 || len(out) != 4 {
			t.Errorf("%d inbound and %d outbound links with 12 descriptors, want 8 and 4", len(in), len(out))
		}
		for _, c := range append(in, out...) {
			c.Done()
		}
	}
}
