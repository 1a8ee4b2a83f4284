package keccak

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/ethereum/go-ethereum/crypto"
)

// ways are those in which messages can be hashed on this machine.
func ways() map[string]func([][Size]byte, []Message) {
	w := map[string]func([][Size]byte, []Message){"one": one[[Size]byte], "Sum": Sum[[Size]byte]}
	if wide() {
		w["many"] = many[[Size]byte]
	}
	return w
}

// Whatever the number of messages, their lengths, and where each is cut in two,
// each has the hash that it has alone.
func TestManyHashAsOne(t *testing.T) {
	for name, sum := range ways() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				random := rand.NewChaCha8([32]byte{byte(rapid.IntRange(0, 255).Draw(t, "seed"))})
				of := make([]Message, rapid.IntRange(0, 40).Draw(t, "messages"))
				for i := range of {
					b := make([]byte, rapid.SampledFrom([]int{0, 1, 31, 134, 135, 136, 137, 271, 272, 273, rapid.IntRange(0, 2000).Draw(t, "any")}).Draw(t, "length"))
					random.Read(b)
					cut := rapid.IntRange(0, len(b)).Draw(t, "cut")
					of[i] = Message{b[:cut], b[cut:]}
				}
				out := make([][Size]byte, len(of))
				sum(out, of)
				for i, m := range of {
					if want := crypto.Keccak256Hash(m.Head, m.Tail); out[i] != want {
						t.Fatalf("message %d of %d and %d bytes: %x, want %x", i, len(m.Head), len(m.Tail), out[i], want)
					}
				}
			})
		})
	}
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8, 64} {
		of := make([]Message, n)
		for i := range of {
			of[i].Tail = make([]byte, 4096)
		}
		out := make([][Size]byte, n)
		for name, sum := range ways() {
			b.Run(fmt.Sprintf("%s-%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(n) * 4096)
				b.ReportAllocs()
				for b.Loop() {
					sum(out, of)
				}
			})
		}
	}
}
