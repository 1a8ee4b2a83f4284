package codec

import (
	"encoding/binary"
	"errors"
)

// GetMembers asks for the members of the consensus subnet. A member signs it; a
// seed says so with a zero Time.
type GetMembers struct {
	From, To PeerID
	Time     uint32 // Unix seconds; 0: its sender is a seed
	Key, Sig []byte // with a Time only
}

// AppendUnsigned appends what the signature covers.
func (g GetMembers) AppendUnsigned(dst []byte) []byte {
	dst = append(append(dst, g.From[:]...), g.To[:]...)
	return binary.LittleEndian.AppendUint32(dst, g.Time)
}

// Append appends the payload.
func (g GetMembers) Append(dst []byte) []byte {
	dst = g.AppendUnsigned(dst)
	if g.Time == 0 {
		return dst
	}
	return appendVarbytes(appendVarbytes(dst, g.Key), g.Sig)
}

// DecodeGetMembers reads a payload. The signature is not checked.
func DecodeGetMembers(b []byte) (g GetMembers, err error) {
	r := newReader("getmembers", b, Strict)
	g.From, g.To = PeerID(r.address("from")), PeerID(r.address("to"))
	if g.Time = r.u32("time"); g.Time != 0 {
		g.Key = r.varbytes("key", maxKey)
		g.Sig = r.varbytes("signature", maxSig)
	}
	if err := r.end(); err != nil {
		return GetMembers{}, err
	}
	return g, nil
}

// Verify checks the signature of a member. It uses CPU.
func (g GetMembers) Verify() error {
	key, err := ParseKey(g.Key)
	if err != nil {
		return err
	}
	if !key.Verify(g.AppendUnsigned(nil), g.Sig) {
		return errors.New("codec: getmembers is not signed by its key")
	}
	return nil
}
