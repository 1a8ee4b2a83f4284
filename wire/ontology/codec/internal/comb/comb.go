package comb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"math/big"

	"filippo.io/nistec"
)

const (
	width   = 8  // bits of a scalar that one addition covers
	windows = 33 // of so many bits in 256, and a carry
	size    = 32 // bytes of a scalar
	entries = 1 << (width - 1)
)

// Key is a public key with its multiples, 400 KiB in all. It does not change,
// and is safe for concurrent use.
type Key struct {
	table [windows][entries]nistec.P256Point
	order *big.Int
}

// New computes the multiples of a key, which takes one or two milliseconds.
func New(pub *ecdsa.PublicKey) (*Key, error) {
	if pub.Curve != elliptic.P256() {
		return nil, errors.New("comb: the key is not on P-256")
	}
	b, err := pub.Bytes()
	if err != nil {
		return nil, fmt.Errorf("comb: %w", err)
	}
	base, err := nistec.NewP256Point().SetBytes(b)
	if err != nil {
		return nil, fmt.Errorf("comb: %w", err)
	}
	k := &Key{order: elliptic.P256().Params().N}
	for w := range k.table {
		row := &k.table[w]
		row[0].Set(base)
		for i := 1; i < entries; i++ {
			row[i].Add(&row[i-1], base)
		}
		base.Double(&row[entries-1])
	}
	return k, nil
}

// multiple is the key's point times a scalar, big-endian. Its bytes are taken as
// digits from -127 to 128, so that half a window's multiples will do.
func (k *Key) multiple(scalar *[size]byte) *nistec.P256Point {
	sum, less := nistec.NewP256Point(), nistec.NewP256Point()
	carry := 0
	for w := range windows {
		d := carry
		if w < size {
			d += int(scalar[size-1-w])
		}
		if carry = 0; d > entries {
			d, carry = d-1<<width, 1
		}
		switch {
		case d > 0:
			sum.Add(sum, &k.table[w][d-1])
		case d < 0:
			sum.Add(sum, less.Negate(&k.table[w][-d-1]))
		}
	}
	return sum
}

// Verify reports whether r and s are the key's signature of a digest, of which
// the first 32 bytes count (FIPS 186-5, 6.4.2).
func (k *Key) Verify(digest, r, s []byte) bool {
	n := k.order
	rv, sv := new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)
	if len(digest) == 0 || rv.Sign() == 0 || sv.Sign() == 0 || rv.Cmp(n) >= 0 || sv.Cmp(n) >= 0 {
		return false
	}
	e := new(big.Int).SetBytes(digest[:min(len(digest), size)])
	inverse := new(big.Int).ModInverse(sv, n)
	var u1, u2 [size]byte
	e.Mul(e, inverse).Mod(e, n).FillBytes(u1[:])
	inverse.Mul(inverse, rv).Mod(inverse, n).FillBytes(u2[:])
	sum, err := nistec.NewP256Point().ScalarBaseMult(u1[:])
	if err != nil {
		return false
	}
	x, err := sum.Add(sum, k.multiple(&u2)).BytesX()
	if err != nil {
		return false // infinity
	}
	v := new(big.Int).SetBytes(x)
	return v.Mod(v, n).Cmp(rv) == 0
}
