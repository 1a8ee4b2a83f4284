package devp2p

import (
	"context"
	"net/netip"
	"sync/atomic"
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
	want := eth.NewForks(testGenesis, 0, nil, nil).ID(0, 0)
	if got := forkTold(t, w); got != want {
		t.Errorf("the record says %v, want %v", got, want)
	}
	if a, err := w.ParseAddr(w.Record()); err != nil || a.Scheme != Scheme {
		t.Errorf("ParseAddr of our record = %v, %v", a, err)
	}
}

// forkTold is the fork identifier that our record has, as geth reads it.
func forkTold(t *testing.T, w *Wire) eth.ForkID {
	t.Helper()
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
	return eth.ForkID{Sum: theirs.ForkID.Hash, Next: theirs.ForkID.Next}
}

// fakeWall is a clock that a test sets.
type fakeWall struct{ unix atomic.Int64 }

func (w *fakeWall) Now() time.Time { return time.Unix(w.unix.Load(), 0) }

// When the chain passes a fork, by its number or by the time, our record tells
// so from the next round on, and a record that still knows nothing of the fork is
// of another chain.
func TestAForkRenewsTheRecord(t *testing.T) {
	const byNumber, byTime = 100, 1_800_000_000
	var head atomic.Uint64
	wall := &fakeWall{}
	wall.unix.Store(byTime - 1)
	forks := eth.NewForks(testGenesis, 0, []uint64{byNumber}, []uint64{byTime})
	w, err := New(Config{
		NetworkID: 5, Key: keyFor(1), Listen: "127.0.0.1:0", Forks: forks, Wall: wall,
		Status: func() chain.Status {
			return chain.Status{Genesis: testGenesis, Head: chain.Ref{Number: head.Load()}}
		},
		Discovery: Discovery{Listen: netip.MustParseAddrPort("127.0.0.1:0")},
	})
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Start(t, w, &wiretest.Host{})
	over, cancel := context.WithCancel(t.Context())
	cancel() // a round that asks nobody
	wanted := func(id eth.ForkID) bool {
		rec, ok := strangersRecord(t, 2, []byte{8, 8, 8, 8}, 30303, 0, entryBytes(t, id))
		if !ok {
			t.Fatal("no record")
		}
		return w.node.Load().wanted(rec)
	}
	seq := uint64(0)
	for _, at := range []struct {
		name  string
		pass  func()
		id    eth.ForkID // that the record has from now on
		stale eth.ForkID // of who does not know the fork
	}{
		{"at first", func() {}, eth.ForkID{Sum: forks.ID(0, 0).Sum, Next: byNumber}, eth.ForkID{Sum: [4]byte{1}}},
		{"at a fork by number", func() { head.Store(byNumber) }, eth.ForkID{Sum: forks.ID(byNumber, 0).Sum, Next: byTime}, eth.ForkID{Sum: forks.ID(0, 0).Sum}},
		{"at a fork by time", func() { wall.unix.Store(byTime) }, eth.ForkID{Sum: forks.ID(byNumber, byTime).Sum}, eth.ForkID{Sum: forks.ID(byNumber, 0).Sum}},
	} {
		if at.name != "at first" && !wanted(at.stale) {
			t.Errorf("before %s who does not know it is refused", at.name)
		}
		at.pass()
		if err := w.Discover(over); err != nil {
			t.Fatal(err)
		}
		if got := forkTold(t, w); got != at.id {
			t.Errorf("%s the record says %v, want %v", at.name, got, at.id)
		}
		if !wanted(at.id) || wanted(at.stale) {
			t.Errorf("%s: wanted are who knows it: %v, who does not: %v", at.name, wanted(at.id), wanted(at.stale))
		}
		now := w.node.Load().finder.pair.Self().Seq()
		if now <= seq {
			t.Errorf("%s the record has number %d after %d", at.name, now, seq)
		}
		seq = now
	}
}
