package relay

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Whoever delivers first must not keep us from what others have: neither by
// delivering so much that nobody looks at it, nor by spoiling what the hash
// does not cover.
func TestWhatNobodyLookedAtIsAskedOfOthers(t *testing.T) {
	b := newBench(t, eth, "liar", "honest")
	for _, who := range []peer.ID{"liar", "honest"} {
		b.step(Announced{From: who, Txs: []wire.TxID{id(1)}})
	}
	b.step(Seen{From: "liar", Hashes: []chain.Hash{id(1).Hash}}) // and it ends there
	first := only[Fetch](b.wait(time.Second))
	if len(first) != 1 {
		t.Fatalf("asked %v, want one of those who announced it", first)
	}
	second := only[Fetch](b.step(Fetched{From: first[0].From, Got: []wire.TxID{id(1)}, Open: []chain.Hash{id(1).Hash}}))
	if len(second) != 1 || second[0].From == first[0].From || second[0].Txs[0].Hash != id(1).Hash {
		t.Fatalf("after %s delivered what was no good, %v, want the other to be asked", first[0].From, second)
	}
	b.step(Settled{Hashes: []chain.Hash{id(1).Hash}})
	b.step(Fetched{From: second[0].From, Got: []wire.TxID{id(1)}})
	if len(b.core.wants) != 0 {
		t.Errorf("%d are wanted still", len(b.core.wants))
	}
}

// A peer that rests goes on announcing what its friend delivers.
func TestClaimsThatAreDoneDoNotPileUp(t *testing.T) {
	b := newBench(t, eth, "a", "friend")
	b.step(Announced{From: "a", Txs: ids(1)})
	b.wait(time.Second)
	b.step(Fetched{From: "a", Failed: true})
	p := b.core.byID["a"]
	for n := range 10_000 {
		h := chain.Hash{9, byte(n), byte(n >> 8)}
		b.step(Announced{From: "a", Txs: []wire.TxID{{Hash: h}}})
		b.step(Settled{Hashes: []chain.Hash{h}})
	}
	if most := 2*p.announced + 65; len(p.claims) > most {
		t.Errorf("%d claims are kept of %d, want at most %d", len(p.claims), p.announced, most)
	}
	// Announced, not delivered, and announced again.
	b.step(Announced{From: "friend", Txs: ids(200)})
	for range 100 {
		b.step(Announced{From: "a", Txs: ids(200)})
		for range 200 { // one after the other, as if each were asked for alone
			w := p.claims[len(p.claims)-1]
			b.core.disclaim(w, p)
			b.core.claim(p, wire.TxID{Hash: w.hash})
		}
	}
	if most := 2*p.announced + 65; len(p.claims) > most {
		t.Errorf("%d claims are kept of %d that were made again, want at most %d", len(p.claims), p.announced, most)
	}
}

// A peer whose claims are not looked through again has none that it could be
// asked for.
func TestIdlePeersHaveNothingToBeAskedFor(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := eth
		cfg.OnlyAnnounced = 3
		b := newBench(t, cfg, "a", "b", "c")
		who := rapid.SampledFrom([]peer.ID{"a", "b", "c"})
		some := func() (out []wire.TxID) {
			for range rapid.IntRange(1, 4).Draw(rt, "n") {
				out = append(out, wire.TxID{Hash: chain.Hash{rapid.Byte().Draw(rt, "hash") % 16, 1}, Kind: rapid.Byte().Draw(rt, "kind") % 4, Size: 100})
			}
			return out
		}
		hashes := func() (out []chain.Hash) {
			for _, tx := range some() {
				out = append(out, tx.Hash)
			}
			return out
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			from := who.Draw(rt, "who")
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0, 1:
				b.step(Announced{From: from, Txs: some()})
			case 2:
				b.step(Settled{Hashes: hashes()})
			case 3:
				b.step(Fetched{From: from, Got: some(), Open: hashes()})
			case 4:
				b.step(Fetched{From: from, Failed: true})
			case 5:
				b.wait(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
			case 6:
				b.step(Left{from})
				b.step(Joined{from})
			}
			for _, p := range b.core.peers {
				if p.asked != nil || p.rests.After(b.now) {
					continue
				}
				for _, w := range p.claims {
					if !w.done && w.line == nil && w.asked == nil && slices.ContainsFunc(w.from, func(cl claim) bool { return cl.by == p }) {
						rt.Fatal(fmt.Sprintf("%s could be asked for %x and is not", p.id, w.hash[:2]))
					}
				}
			}
		}
	})
}

// Some wires refuse to ask for many at once: all that was announced is asked
// for, a few at a time.
func TestNoMoreAreAskedForThanTheWireTakes(t *testing.T) {
	cfg := eth
	cfg.FetchTxs = 16
	b := newBench(t, cfg, "a")
	b.step(Announced{From: "a", Txs: ids(40)})
	asked, es := 0, b.wait(time.Second)
	for f := only[Fetch](es); len(f) > 0; f = only[Fetch](es) {
		if len(f) != 1 || len(f[0].Txs) > 16 {
			t.Fatalf("asked for %d in %d requests, want 16 in one", len(f[0].Txs), len(f))
		}
		asked += len(f[0].Txs)
		es = b.step(Fetched{From: "a", Got: f[0].Txs})
	}
	if asked != 40 {
		t.Errorf("%d were asked for, want 40", asked)
	}
}
