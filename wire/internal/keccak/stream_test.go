package keccak

import (
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/crypto/keccak"
	"pgregory.net/rapid"
)

// However a stream is cut, and whenever its digest is asked for, it is
// go-ethereum's.
func TestDigestsAreGoEthereums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.NewChaCha8([32]byte{byte(rapid.IntRange(0, 255).Draw(t, "seed"))})
		ours, theirs := New(), keccak.NewLegacyKeccak256()
		for range rapid.IntRange(1, 30).Draw(t, "writes") {
			b := make([]byte, rapid.SampledFrom([]int{0, 1, 16, 135, 136, 137, 272, rapid.IntRange(0, 2000).Draw(t, "any")}).Draw(t, "length"))
			random.Read(b)
			ours.Write(b)
			theirs.Write(b)
			if got, want := ours.Sum(nil), theirs.Sum(nil); string(got) != string(want) {
				t.Fatalf("digest %x, want %x", got, want)
			}
		}
		ours.Reset()
		theirs.Reset()
		if got, want := ours.Sum(nil), theirs.Sum(nil); string(got) != string(want) {
			t.Fatalf("digest of nothing %x, want %x", got, want)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	data := make([]byte, 16<<10)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for h := New(); b.Loop(); {
			h.Write(data)
		}
	})
	b.Run("go-ethereum", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for h := keccak.NewLegacyKeccak256(); b.Loop(); {
			h.Write(data)
		}
	})
}
