package codec_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"
	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// plain is a list of transactions as go-ethereum takes one.
type plain [][]byte

func (l plain) Len() int                           { return len(l) }
func (l plain) EncodeIndex(i int, w *bytes.Buffer) { w.Write(l[i]) }

func (l plain) root() chain.Hash { return chain.Hash(types.DeriveSha(l, trie.NewStackTrie(nil))) }

// drawn makes a list; of short ones most nodes are no longer than a hash.
func drawn(random *rand.Rand, n, most int) plain {
	l := make(plain, n)
	for i := range l {
		l[i] = make([]byte, 1+random.IntN(most))
		for k := range l[i] {
			l[i][k] = byte(random.Uint32())
		}
	}
	return l
}

// The root of a list is go-ethereum's, wherever its indices change their
// length in RLP, and however short its items are.
func TestRootsAreThoseOfGoEthereum(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 15, 16, 17, 18, 32, 126, 127, 128, 129, 130, 131, 144, 145, 255, 256, 257, 258, 272, 273, 511, 512, 513, 1000, 1024} {
		for _, most := range []int{1, 2, 20, 31, 60, 300} {
			l := drawn(random, n, most)
			got, err := codec.TxRoot(codec.AppendTxs(nil, l))
			if want := l.root(); err != nil || got != want {
				t.Errorf("%d items of at most %d bytes: %v, %v, want %v", n, most, got, err, want)
			}
		}
	}
	for _, n := range []int{4095, 4096, 4097, 9000} {
		l := drawn(random, n, 100)
		got, err := codec.TxRoot(codec.AppendTxs(nil, l))
		if want := l.root(); err != nil || got != want {
			t.Errorf("%d items: %v, %v, want %v", n, got, err, want)
		}
	}
}

// Many lists at once have the roots and the hashes that each has alone.
func TestRootsOfManyLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var lists [][]byte
		var all []plain
		for range rapid.IntRange(0, 12).Draw(t, "lists") {
			l := drawn(random, rapid.SampledFrom([]int{0, 1, 1, 1, 2, 5, 130, 300, 900, 3000}).Draw(t, "items"), 80)
			all = append(all, l)
			lists = append(lists, codec.AppendTxs(nil, l))
		}
		bad := -1
		if len(lists) > 0 && rapid.Bool().Draw(t, "one has an empty item") {
			bad = rapid.IntRange(0, len(lists)-1).Draw(t, "which")
			all[bad] = plain{{1}, {}, {2}}
			lists[bad] = codec.AppendTxs(nil, all[bad])
		}
		roots, errs := codec.TxRoots(lists)
		hashes := codec.TxHashesOf(lists)
		for i, l := range all {
			if (errs[i] != nil) != (i == bad) {
				t.Fatalf("list %d of %d items: %v", i, len(l), errs[i])
			}
			if errs[i] == nil && roots[i] != l.root() {
				t.Errorf("list %d of %d items: %v, want %v", i, len(l), roots[i], l.root())
			}
			if len(hashes[i]) != len(l) {
				t.Fatalf("list %d of %d items has %d hashes", i, len(l), len(hashes[i]))
			}
			for k, tx := range l {
				if hashes[i][k] != codec.HeaderHash(tx) {
					t.Errorf("item %d of list %d: %v", k, i, hashes[i][k])
				}
			}
		}
	})
}

func BenchmarkTxRoot200(b *testing.B) {
	l := drawn(rand.New(rand.NewPCG(1, 2)), 200, 500)
	list := codec.AppendTxs(nil, l)
	b.Run("forest", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := codec.TxRoot(list); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("go-ethereum", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.root()
		}
	})
}
