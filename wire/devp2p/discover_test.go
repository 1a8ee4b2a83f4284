package devp2p

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/forkid"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// onLoopback runs a wire on the machine's own network.
func onLoopback(t *testing.T, i uint64, genesis chain.Hash, boot ...string) (*Wire, *wiretest.Host) {
	t.Helper()
	w, err := New(Config{
		NetworkID: 5, Key: keyFor(i), Listen: "127.0.0.1:0", Forks: eth.NewForks(genesis, 0, nil, nil),
		Status:    func() chain.Status { return chain.Status{Genesis: genesis} },
		Discovery: Discovery{Listen: netip.MustParseAddrPort("127.0.0.1:0"), BootnodesV4: boot, BootnodesV5: boot},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &wiretest.Host{}
	wiretest.Start(t, w, h)
	return w, h
}

// TestDiscoveryFindsPeersOfOurChain finds a node by its fork identifier through
// a third, and not one of another chain.
func TestDiscoveryFindsPeersOfOurChain(t *testing.T) {
	boot, _ := onLoopback(t, 1, testGenesis)
	other, _ := onLoopback(t, 2, chain.Hash{9}, boot.Record())
	b, _ := onLoopback(t, 3, testGenesis, boot.Record())
	a, h := onLoopback(t, 4, testGenesis, boot.Record())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	found := func() *wire.FoundPeer {
		for _, f := range wiretest.Reports[wire.Found](h) {
			for _, p := range f.Peers {
				if p.ID == other.Self() || f.Source != wire.SourceDiscv {
					t.Fatalf("found %+v from %s", p, f.Source)
				}
				if p.ID == b.Self() {
					return &p
				}
			}
		}
		return nil
	}
	for found() == nil {
		round, end := context.WithTimeout(ctx, time.Second)
		err := a.Discover(round)
		end()
		if err != nil || ctx.Err() != nil {
			t.Fatalf("Discover = %v, %v", err, ctx.Err())
		}
	}
	if err := a.Dial(ctx, found().Addrs[0]); err != nil {
		t.Errorf("Dial of what was found: %v", err)
	}
}

// TestOurRecordIsReadByGeth decodes the entry of our record with geth's types.
func TestOurRecordIsReadByGeth(t *testing.T) {
	w, _ := onLoopback(t, 1, testGenesis)
	n, err := enode.Parse(enode.ValidSchemes, w.Record())
	if err != nil {
		t.Fatal(err)
	}
	var theirs struct {
		ForkID forkid.ID
		Rest   []enr.Entry `rlp:"-"`
	}
	if err := n.Load(enr.WithEntry("eth", &theirs)); err != nil {
		t.Fatal(err)
	}
	want := eth.NewForks(testGenesis, 0, nil, nil).ID(0, 0)
	if theirs.ForkID.Hash != want.Sum || theirs.ForkID.Next != want.Next {
		t.Errorf("the record says %+v, want %v", theirs.ForkID, want)
	}
	if a, err := w.ParseAddr(w.Record()); err != nil || a.Scheme != Scheme {
		t.Errorf("ParseAddr of our record = %v, %v", a, err)
	}
}
