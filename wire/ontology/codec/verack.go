package codec

// VerAck ends a side's part of the handshake.
type VerAck struct{ Consensus bool }

// Append appends the payload.
func (v VerAck) Append(dst []byte) []byte { return appendFlag(dst, v.Consensus) }

// DecodeVerAck reads a payload.
func DecodeVerAck(b []byte, d Dialect) (v VerAck, err error) {
	r := newReader("verack", b, d)
	v.Consensus = r.flag("consensus")
	return v, r.end()
}
