package rlpx

import "github.com/ethereum/go-ethereum/rlp"

// ack is the acceptor's answer to an auth.
type ack struct {
	pub   [pubLen]byte // ephemeral
	nonce [nonceLen]byte
}

func (a *ack) append(b []byte) []byte {
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	w.WriteBytes(a.pub[:])
	w.WriteBytes(a.nonce[:])
	w.WriteUint64(version)
	w.ListEnd(list)
	return w.AppendToBytes(b)
}

// decodeAck reads an ack, as decodeAuth does an auth.
func decodeAck(b []byte) (a ack, ok bool) {
	in, _, err := rlp.SplitList(b)
	if err != nil {
		return a, false
	}
	for _, field := range [][]byte{a.pub[:], a.nonce[:]} {
		if in, ok = fixed(in, field); !ok {
			return a, false
		}
	}
	_, _, err = rlp.SplitUint64(in)
	return a, err == nil
}
