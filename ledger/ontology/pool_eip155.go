package ontology

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/sha3"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// eip155 is an Ethereum transaction of the kind that EIP-155 describes, as
// newer releases carry it.
type eip155 struct {
	gasPrice, gasLimit uint64
	unsigned           []byte // the items that are signed, without a list's head
	v                  uint64
	r, s               [32]byte
}

// decodeEIP155 reads its RLP: a list of nonce, gas price, gas limit, to, value,
// data, v, r and s.
func decodeEIP155(b []byte) (x eip155, err error) {
	if len(b) > 0 && b[0] < 0x80 { // a typed transaction (EIP-2718)
		return x, errForm
	}
	body, rest, list, err := rlpItem(b)
	if err != nil || !list || len(rest) > 0 {
		return x, fmt.Errorf("%w: it is not a list", errScript)
	}
	const items, signedItems = 9, 6
	var at [items][]byte
	left := body
	for i := range at {
		if i == signedItems {
			x.unsigned = body[:len(body)-len(left)]
		}
		if at[i], left, list, err = rlpItem(left); err != nil || list {
			return x, fmt.Errorf("%w: item %d", errScript, i)
		}
	}
	if len(left) > 0 || len(at[3]) != 0 && len(at[3]) != 20 || len(at[4]) > 32 {
		return x, fmt.Errorf("%w: its items", errScript)
	}
	nonceOK, priceOK, limitOK, vOK := false, false, false, false
	_, nonceOK = rlpUint(at[0])
	x.gasPrice, priceOK = rlpUint(at[1])
	x.gasLimit, limitOK = rlpUint(at[2])
	x.v, vOK = rlpUint(at[6])
	r, s := at[7], at[8]
	if !nonceOK || !priceOK || !limitOK || !vOK || len(r) > 32 || len(s) > 32 || bytes.HasPrefix(r, []byte{0}) || bytes.HasPrefix(s, []byte{0}) {
		return x, fmt.Errorf("%w: its numbers", errScript)
	}
	copy(x.r[32-len(r):], r)
	copy(x.s[32-len(s):], s)
	return x, nil
}

// sender recovers who signed. The signature must be for the chain, unless that
// is 0, and of the two forms of s the lower one. It uses CPU.
func (x eip155) sender(chainID uint64) (a codec.Address, err error) {
	const least = 35 // EIP-155: v is 35 + 2·id + parity
	if x.v < least {
		return a, errForm
	}
	id, parity := (x.v-least)/2, byte((x.v-least)%2)
	if chainID != 0 && id != chainID {
		return a, fmt.Errorf("%w: it is for chain %d, want %d", errProof, id, chainID)
	}
	var s secp256k1.ModNScalar
	if s.SetBytes(&x.s) != 0 || s.IsOverHalfOrder() {
		return a, errProof
	}
	d := sha3.NewLegacyKeccak256()
	d.Write(rlpList(append(rlpNumber(append([]byte(nil), x.unsigned...), id), 0x80, 0x80)))
	const compact = 27
	sig := append([]byte{compact + parity}, x.r[:]...)
	pub, _, err := ecdsa.RecoverCompact(append(sig, x.s[:]...), d.Sum(nil))
	if err != nil {
		return a, errProof
	}
	d.Reset()
	d.Write(pub.SerializeUncompressed()[1:])
	copy(a[:], d.Sum(nil)[12:])
	return a, nil
}

// rlpItem reads one item: its content, what follows, and whether it is a list.
// It takes canonical encodings only.
func rlpItem(b []byte) (content, rest []byte, list bool, err error) {
	if len(b) == 0 {
		return nil, nil, false, errScript
	}
	first := b[0]
	if first < 0x80 {
		return b[:1:1], b[1:], false, nil
	}
	list = first >= 0xc0
	short := first - 0x80
	if list {
		short = first - 0xc0
	}
	n, at := uint64(short), 1
	if short > 55 {
		width := int(short - 55)
		if len(b) < 1+width {
			return nil, nil, false, errScript
		}
		var ok bool
		if n, ok = rlpUint(b[1 : 1+width]); !ok || n <= 55 {
			return nil, nil, false, errScript
		}
		at += width
	}
	if n > uint64(len(b)-at) || !list && n == 1 && b[at] < 0x80 {
		return nil, nil, false, errScript
	}
	end := at + int(n)
	return b[at:end:end], b[end:], list, nil
}

// rlpUint reads a number without leading zeros.
func rlpUint(b []byte) (uint64, bool) {
	if len(b) > 8 || len(b) > 0 && b[0] == 0 {
		return 0, false
	}
	var v [8]byte
	copy(v[8-len(b):], b)
	return binary.BigEndian.Uint64(v[:]), true
}

func rlpNumber(dst []byte, n uint64) []byte {
	b := bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, n), "\x00")
	if len(b) == 1 && b[0] < 0x80 {
		return append(dst, b[0])
	}
	return append(append(dst, 0x80+byte(len(b))), b...)
}

func rlpList(items []byte) []byte {
	if len(items) <= 55 {
		return append([]byte{0xc0 + byte(len(items))}, items...)
	}
	n := bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, uint64(len(items))), "\x00")
	return append(append([]byte{0xf7 + byte(len(n))}, n...), items...)
}
