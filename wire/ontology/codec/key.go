package codec

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	//lint:ignore SA1019 one of the protocol's signature schemes
	"golang.org/x/crypto/ripemd160"
	legacy "golang.org/x/crypto/sha3"

	"github.com/starlingp2p/starling/wire/ontology/codec/internal/comb"
)

// Algorithms and curves of keys that are not ECDSA on P-256.
const (
	keyECDSA = 0x12
	keySM2   = 0x13
	keyEdDSA = 0x14
	keyEth   = 0x15

	curveP224    = 1
	curveP256    = 2
	curveP384    = 3
	curveP521    = 4
	curveSecp    = 5
	curveEd25519 = 25
)

// ErrKeyKind: a key of an algorithm that is not spoken here, such as SM2.
var ErrKeyKind = errors.New("codec: key of an unsupported kind")

// Key is a public key. Make one with ParseKey.
type Key struct {
	raw    []byte
	kind   byte
	curve  byte
	ec     *ecdsa.PublicKey     // NIST curves
	secp   *secp256k1.PublicKey // of either kind
	ed     ed25519.PublicKey
	sx, sy *big.Int
	comb   *comb.Key // nil: not hastened
}

// Bytes is the key's encoding.
func (k Key) Bytes() []byte { return k.raw }

// Hasten gives the key in a form that verifies several times as fast, for one
// that signs much: it takes a millisecond or two, and 400 KiB while it is kept. A
// key that is not on P-256 is given as it is.
func (k Key) Hasten() Key {
	if k.kind == keyECDSA && k.curve == curveP256 && k.comb == nil {
		k.comb, _ = comb.New(k.ec) // a key that was parsed is on its curve
	}
	return k
}

// ParseKey reads a key and checks that it is on its curve (threat H-03). It
// keeps b and uses some CPU.
func ParseKey(b []byte) (Key, error) {
	if len(b) <= 3 || len(b) > maxKey {
		return Key{}, fmt.Errorf("codec: key of %d bytes", len(b))
	}
	k := Key{raw: b, kind: b[0]}
	switch b[0] {
	case 2, 3, 4:
		k.kind, k.curve = keyECDSA, curveP256
		return k.onCurve(elliptic.P256(), b)
	case keyECDSA:
		k.curve = b[1]
		switch b[1] {
		case curveP224:
			return k.onCurve(elliptic.P224(), b[2:])
		case curveP256:
			return k.onCurve(elliptic.P256(), b[2:])
		case curveP384:
			return k.onCurve(elliptic.P384(), b[2:])
		case curveP521:
			return k.onCurve(elliptic.P521(), b[2:])
		case curveSecp:
			return k.onSecp(b[2:])
		}
	case keyEdDSA:
		if b[1] == curveEd25519 && len(b) == 2+ed25519.PublicKeySize {
			k.curve, k.ed = curveEd25519, ed25519.PublicKey(b[2:])
			return k, nil
		}
	case keyEth:
		return k.onSecp(b[1:])
	case keySM2:
		return Key{}, fmt.Errorf("%w: SM2", ErrKeyKind)
	}
	return Key{}, fmt.Errorf("%w: %x…", ErrKeyKind, b[:2])
}

var errOffCurve = errors.New("codec: key is not on its curve")

func (k Key) onCurve(c elliptic.Curve, b []byte) (Key, error) {
	size := (c.Params().BitSize + 7) / 8
	switch {
	case len(b) == 1+size && (b[0] == 2 || b[0] == 3):
		k.sx, k.sy = elliptic.UnmarshalCompressed(c, b)
	case len(b) == 1+2*size && b[0] == 4:
		// Whole points are read by ecdsa, which checks them.
	default:
		return Key{}, errOffCurve
	}
	point := b
	if b[0] != 4 {
		if k.sx == nil {
			return Key{}, errOffCurve
		}
		point = make([]byte, 1+2*size)
		point[0] = 4
		k.sx.FillBytes(point[1 : 1+size])
		k.sy.FillBytes(point[1+size:])
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(c, point)
	if err != nil {
		return Key{}, errOffCurve
	}
	k.ec = pub
	k.sx, k.sy = new(big.Int).SetBytes(point[1:1+size]), new(big.Int).SetBytes(point[1+size:])
	return k, nil
}

func (k Key) onSecp(b []byte) (Key, error) {
	pub, err := secp256k1.ParsePubKey(b)
	if err != nil {
		return Key{}, errOffCurve
	}
	k.curve, k.secp = curveSecp, pub
	k.sx, k.sy = pub.X(), pub.Y()
	return k, nil
}

// compareKeys is the order of keys in a script: by algorithm, curve, X and Y.
func compareKeys(a, b Key) int {
	if c := cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.curve, b.curve)); c != 0 {
		return c
	}
	if a.ed != nil {
		return bytes.Compare(a.ed, b.ed)
	}
	return cmp.Or(a.sx.Cmp(b.sx), a.sy.Cmp(b.sy))
}

// Schemes of signatures. A signature of 64 bytes has no scheme byte and is
// SHA-256 with ECDSA.
const (
	schemeSHA256 = 1
	schemeEdDSA  = 10
	schemeKeccak = 11
)

// digest hashes a message as a scheme says; nil if there is no such ECDSA scheme.
func digest(scheme byte, msg []byte) []byte {
	var h hash.Hash
	switch scheme {
	case 0:
		h = sha256.New224()
	case schemeSHA256:
		h = sha256.New()
	case 2:
		h = sha512.New384()
	case 3:
		h = sha512.New()
	case 4:
		h = sha3.New224()
	case 5:
		h = sha3.New256()
	case 6:
		h = sha3.New384()
	case 7:
		h = sha3.New512()
	case 8:
		h = ripemd160.New()
	case schemeKeccak:
		if len(msg) == 32 {
			return msg // it is a digest already
		}
		h = legacy.NewLegacyKeccak256()
	default:
		return nil
	}
	h.Write(msg)
	return h.Sum(nil)
}

// Verify reports whether sig is the key's signature of msg. It uses CPU.
func (k Key) Verify(msg, sig []byte) bool {
	if len(sig) < 2 || len(msg) == 0 {
		return false
	}
	scheme, value := byte(schemeSHA256), sig
	if len(sig) != 64 {
		scheme, value = sig[0], sig[1:]
	}
	switch {
	case k.ed != nil:
		return scheme == schemeEdDSA && len(value) == ed25519.SignatureSize && ed25519.Verify(k.ed, msg, value)
	case (k.kind == keyEth) != (scheme == schemeKeccak):
		return false
	}
	d := digest(scheme, msg)
	if d == nil {
		return false
	}
	if k.secp != nil {
		return k.verifySecp(d, value)
	}
	if len(value)%2 != 0 {
		return false
	}
	r, s := value[:len(value)/2], value[len(value)/2:]
	if k.comb != nil {
		return k.comb.Verify(d, r, s)
	}
	return ecdsa.Verify(k.ec, d, new(big.Int).SetBytes(r), new(big.Int).SetBytes(s))
}

// verifySecp takes 65 bytes: an Ethereum key's r, s and recovery id, or a
// Bitcoin compact signature, which has the id first.
func (k Key) verifySecp(d, value []byte) bool {
	if len(value) != 65 {
		return false
	}
	rs := value[1:]
	if k.kind == keyEth {
		rs = value[:64]
	}
	var r, s secp256k1.ModNScalar
	if r.SetByteSlice(rs[:32]) || s.SetByteSlice(rs[32:]) || r.IsZero() || s.IsZero() {
		return false
	}
	return secpecdsa.NewSignature(&r, &s).Verify(d, k.secp)
}
