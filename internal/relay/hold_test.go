package relay

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// A policy that tells few holds for answers too: who was told may have the
// transaction at once, and the others once they are told. Whoever was given it,
// and whoever comes meanwhile, is told no sooner and no more often than the policy
// says.
func TestAnswersFollowThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := eth
		cfg.Policy = Frugal()
		r := run(t, cfg, 0)
		var all []*session
		for i := range 20 {
			all = append(all, newSession(peer.ID(fmt.Sprint("p", i))))
			r.Join(all[i])
		}
		synctest.Wait()
		r.pool.Add([]chain.Tx{tx(1)})
		told := map[peer.ID]int{}
		for _, s := range all {
			told[s.id] += len(s.got())
		}
		first, asker := 0, peer.ID("")
		for _, s := range all {
			if first += told[s.id]; told[s.id] == 0 {
				asker = s.id
			}
			if may := r.May(s.id, tx(1).Hash); may != (told[s.id] == 1) {
				t.Errorf("%s, told %d times, may have it: %v", s.id, told[s.id], may)
			}
		}
		if first != 6 {
			t.Errorf("%d were told at first, want 6", first)
		}
		if !r.May(asker, tx(2).Hash) {
			t.Error("what nobody keeps back is kept back")
		}
		late := newSession("late")
		r.Join(late)
		r.Have(asker, []chain.Tx{tx(1)}) // it was given it, before the wave
		if n := len(late.got()); n != 0 || r.May("late", tx(1).Hash) {
			t.Errorf("a newcomer was told of %d transactions that are kept back", n)
		}
		time.Sleep(time.Minute)
		for _, s := range append(all, late) {
			told[s.id] += len(s.got())
			want := 1
			if s.id == asker {
				want = 0
			}
			if told[s.id] != want || !r.May(s.id, tx(1).Hash) {
				t.Errorf("%s was told %d times, want %d; it may have it: %v", s.id, told[s.id], want, r.May(s.id, tx(1).Hash))
			}
		}
	})
}

// A newcomer reads the pool, where a transaction may be before we hear that it was
// added: who was told of it so may have it, though it is kept back from others.
func TestWhoWasToldBeforeItIsKeptBackMayHaveIt(t *testing.T) {
	b, k := newBench(t, ethLike(Frugal())), newHeld()
	for i := range 30 {
		b.step(Joined{peer.ID(fmt.Sprint("p", i))})
	}
	b.step(Joined{"late"})
	es := b.step(Pending{To: "late", Txs: []wire.TxID{id(1)}})
	if a := only[Announce](es); len(a) != 1 || a[0].To != "late" {
		t.Fatalf("%v, want an announcement to the newcomer", es)
	}
	added := b.step(Added{[]Tx{{TxID: id(1), Sender: "s"}}})
	if w := only[Withhold](added); len(w) != 1 || w[0].Hash != id(1).Hash {
		t.Fatalf("%v, want it to be kept back", added)
	}
	told := 0
	for _, e := range append(es, added...) {
		k.note(e)
	}
	for _, p := range b.core.peers {
		if knows := b.core.txs.has(p.n, id(1).Hash); knows == k.from(p.id, id(1).Hash) {
			t.Errorf("%s is known to have it: %v, and it is kept back all the same", p.id, knows)
		} else if knows {
			told++
		}
	}
	if k.from("late", id(1).Hash) || told < 6 || told > 7 {
		t.Errorf("%d may have it, the newcomer among them: %v", told, !k.from("late", id(1).Hash))
	}
}

// Whatever is kept back is released in the end: nothing is held for what all
// have, for more than may wait, or without peers.
func TestNothingIsKeptBackForGood(t *testing.T) {
	for _, peers := range []int{0, 1, 6, 30} {
		b := newBench(t, ethLike(Frugal()))
		for i := range peers {
			b.step(Joined{peer.ID(fmt.Sprint("p", i))})
		}
		kept := map[chain.Hash]bool{}
		most := 0
		note := func(out []Effect) {
			for _, e := range out {
				switch e := e.(type) {
				case Withhold:
					if kept[e.Hash] {
						t.Errorf("%v is kept back twice", e.Hash)
					}
					kept[e.Hash] = true
				case Release:
					if !kept[e.Hash] {
						t.Errorf("%v is released, and was not kept back", e.Hash)
					}
					delete(kept, e.Hash)
				}
			}
			most = max(most, len(kept))
		}
		for i := range maxWaves + 100 {
			h := chain.Hash{1, byte(i), byte(i >> 8)}
			note(b.step(Added{[]Tx{{TxID: wire.TxID{Hash: h, Kind: 2, Size: 100}, Sender: "s"}}}))
		}
		for range 10 {
			note(b.wait(10 * time.Second))
		}
		if len(kept) > 0 || most > maxWaves+1 || peers > 6 && most < maxWaves {
			t.Errorf("%d peers: %d are still kept back, of %d at most", peers, len(kept), most)
		}
	}
}
