package codec

import (
	"encoding/binary"
	"errors"
)

// Consensus is a message of the consensus. Its signature covers everything
// before Owner; whether Owner may speak is for the chain to say.
type Consensus struct {
	Version    uint32
	Prev       Hash
	Height     uint32
	Bookkeeper uint16
	Time       uint32
	Data       []byte
	Owner      []byte // a public key
	Sig        []byte
}

// AppendUnsigned appends what the signature covers.
func (c Consensus) AppendUnsigned(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, c.Version)
	dst = append(dst, c.Prev[:]...)
	dst = le.AppendUint32(dst, c.Height)
	dst = le.AppendUint16(dst, c.Bookkeeper)
	dst = le.AppendUint32(dst, c.Time)
	return appendVarbytes(dst, c.Data)
}

// Append appends the payload.
func (c Consensus) Append(dst []byte) []byte {
	return appendVarbytes(appendVarbytes(c.AppendUnsigned(dst), c.Owner), c.Sig)
}

// DecodeConsensus reads a payload.
func DecodeConsensus(b []byte, d Dialect) (c Consensus, err error) {
	r := newReader("consensus", b, d)
	c.Version = r.u32("version")
	c.Prev = r.hash("parent")
	c.Height = r.u32("height")
	c.Bookkeeper = r.u16("bookkeeper")
	c.Time = r.u32("time")
	c.Data = r.varbytes("data", MaxConsensus)
	c.Owner = r.varbytes("owner", maxKey)
	c.Sig = r.varbytes("signature", maxSig)
	if err := r.end(); err != nil {
		return Consensus{}, err
	}
	return c, nil
}

// ErrForged: a consensus message is not signed by the key that it names.
var ErrForged = errors.New("codec: consensus message is not signed by its owner")

// Verify checks the signature against the key in the message. It uses CPU.
func (c Consensus) Verify() error {
	key, err := ParseKey(c.Owner)
	if err != nil {
		return err
	}
	if !key.Verify(c.AppendUnsigned(nil), c.Sig) {
		return ErrForged
	}
	return nil
}
