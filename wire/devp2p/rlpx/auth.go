package rlpx

import (
	"github.com/ethereum/go-ethereum/rlp"
)

// version is that of the handshake (EIP-8). What the other side says is not
// compared, so that versions can grow.
const version = 4

// auth is the initiator's message.
type auth struct {
	sig   [sigLen]byte // by the ephemeral key, over shared secret ^ nonce
	pub   [pubLen]byte
	nonce [nonceLen]byte
}

func (a *auth) append(b []byte) []byte {
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	w.WriteBytes(a.sig[:])
	w.WriteBytes(a.pub[:])
	w.WriteBytes(a.nonce[:])
	w.WriteUint64(version)
	w.ListEnd(list)
	return w.AppendToBytes(b)
}

// decodeAuth reads an auth. What follows in the list, and behind it, is
// ignored (EIP-8).
func decodeAuth(b []byte) (a auth, ok bool) {
	in, _, err := rlp.SplitList(b)
	if err != nil {
		return a, false
	}
	for _, field := range [][]byte{a.sig[:], a.pub[:], a.nonce[:]} {
		if in, ok = fixed(in, field); !ok {
			return a, false
		}
	}
	_, _, err = rlp.SplitUint64(in)
	return a, err == nil
}

// fixed takes a string that is exactly as long as field.
func fixed(in, field []byte) (rest []byte, ok bool) {
	s, rest, err := rlp.SplitString(in)
	if err != nil || len(s) != len(field) {
		return nil, false
	}
	copy(field, s)
	return rest, true
}
