package codec

// MaxHeaders is how many headers an answer holds.
const MaxHeaders = 500

// GetHeaders asks for headers. The names are the protocol's, and inverted: the
// answer follows End, as far as Start if that is set. Both zero: from number 1.
type GetHeaders struct{ Start, End Hash }

// Append appends the payload.
func (g GetHeaders) Append(dst []byte) []byte {
	dst = append(dst, 1)
	dst = append(dst, g.Start[:]...)
	return append(dst, g.End[:]...)
}

// DecodeGetHeaders reads a payload.
func DecodeGetHeaders(b []byte, d Dialect) (g GetHeaders, err error) {
	r := newReader("getheaders", b, d)
	r.u8("length") // always 1, and read by nobody
	g.Start = r.hash("start")
	g.End = r.hash("end")
	return g, r.end()
}
