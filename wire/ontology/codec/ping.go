package codec

import "encoding/binary"

// Ping and Pong carry their sender's block height.
type (
	Ping struct{ Height uint64 }
	Pong struct{ Height uint64 }
)

// Append appends the payload.
func (p Ping) Append(dst []byte) []byte { return binary.LittleEndian.AppendUint64(dst, p.Height) }

// Append appends the payload.
func (p Pong) Append(dst []byte) []byte { return binary.LittleEndian.AppendUint64(dst, p.Height) }

// DecodePing reads a payload.
func DecodePing(b []byte, d Dialect) (p Ping, err error) {
	r := newReader("ping", b, d)
	p.Height = r.u64("height")
	return p, r.end()
}

// DecodePong reads a payload.
func DecodePong(b []byte, d Dialect) (p Pong, err error) {
	r := newReader("pong", b, d)
	p.Height = r.u64("height")
	return p, r.end()
}
