package comb_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/starlingp2p/starling/wire/ontology/codec/internal/comb"
)

// keyOf is the key of a private scalar.
func keyOf(t testing.TB, d byte) (*ecdsa.PrivateKey, *comb.Key) {
	t.Helper()
	raw := make([]byte, 32)
	raw[0], raw[31] = 7, d
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	c, err := comb.New(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k, c
}

// agree checks that the comb says what crypto/ecdsa says.
func agree(t *testing.T, k *ecdsa.PrivateKey, c *comb.Key, digest, r, s []byte) bool {
	t.Helper()
	want := ecdsa.Verify(&k.PublicKey, digest, new(big.Int).SetBytes(r), new(big.Int).SetBytes(s))
	if got := c.Verify(digest, r, s); got != want {
		t.Fatalf("Verify(%x, %x, %x) = %v, crypto/ecdsa says %v", digest, r, s, got, want)
	}
	return want
}

func TestVerifySaysWhatECDSASays(t *testing.T) {
	n := elliptic.P256().Params().N
	for d := range byte(4) {
		k, c := keyOf(t, d+1)
		good := 0
		for i := range 200 {
			digest := sha256.Sum256([]byte{byte(i), d})
			rv, sv, err := ecdsa.Sign(rand.Reader, k, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			r, s := rv.FillBytes(make([]byte, 32)), sv.FillBytes(make([]byte, 32))
			if agree(t, k, c, digest[:], r, s) {
				good++
			}
			agree(t, k, c, digest[:], r, new(big.Int).Sub(n, sv).Bytes()) // as good
			agree(t, k, c, append(digest[:], 1, 2, 3), r, s)              // the rest does not count
			agree(t, k, c, digest[:20], r, s)
			agree(t, k, c, digest[:], s, r)
			for _, b := range [][]byte{digest[:], r, s} {
				b[i%32] ^= 1 << (i % 8)
				agree(t, k, c, digest[:], r, s)
				b[i%32] ^= 1 << (i % 8)
			}
		}
		if good != 200 {
			t.Errorf("%d of 200 signatures are good", good)
		}
	}
}

// Scalars at the borders of digits and of the group.
func TestVerifyAtBorders(t *testing.T) {
	k, c := keyOf(t, 1)
	n := elliptic.P256().Params().N
	add := func(d int64) []byte { return new(big.Int).Add(n, big.NewInt(d)).Bytes() }
	values := [][]byte{nil, {0}, {1}, {2}, {127}, {128}, {129}, {255}, {1, 0}, add(-1), add(-2), add(0), add(1), add(128), make([]byte, 32), make([]byte, 40)}
	ones := make([]byte, 32)
	for i := range ones {
		ones[i] = 0xff
	}
	values = append(values, ones, append([]byte{1}, ones...))
	for _, d := range values {
		if len(d) == 0 {
			continue // nothing was signed
		}
		for _, r := range values {
			for _, s := range values {
				agree(t, k, c, d, r, s)
			}
		}
	}
	// e/s = -x·r/s, where x is the private key: the sum is infinity.
	private, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	r := big.NewInt(5)
	e := new(big.Int).Mul(r, new(big.Int).SetBytes(private))
	e.Mod(e.Neg(e), n)
	if agree(t, k, c, e.FillBytes(make([]byte, 32)), r.Bytes(), []byte{9}) {
		t.Error("a signature without a point is good")
	}
}

func TestOnlyP256(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := comb.New(&k.PublicKey); err == nil {
		t.Error("New takes a key of another curve")
	}
}

func FuzzVerify(f *testing.F) {
	k, c := keyOf(f, 1)
	digest := sha256.Sum256([]byte("block"))
	r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(digest[:], r.Bytes(), s.Bytes())
	f.Add(digest[:], []byte{1}, []byte{1})
	f.Fuzz(func(t *testing.T, digest, r, s []byte) {
		if len(digest) > 0 && len(r) <= 64 && len(s) <= 64 {
			agree(t, k, c, digest, r, s)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	k, c := keyOf(b, 1)
	digest := sha256.Sum256([]byte("block"))
	r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	rb, sb := r.Bytes(), s.Bytes()
	b.Run("comb", func(b *testing.B) {
		for b.Loop() {
			c.Verify(digest[:], rb, sb)
		}
	})
	b.Run("ecdsa", func(b *testing.B) {
		for b.Loop() {
			ecdsa.Verify(&k.PublicKey, digest[:], r, s)
		}
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			if _, err := comb.New(&k.PublicKey); err != nil {
				b.Fatal(err)
			}
		}
	})
}
