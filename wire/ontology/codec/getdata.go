package codec

// GetData asks for one thing by its hash.
type GetData struct {
	Kind Kind
	Hash Hash
}

// Append appends the payload.
func (g GetData) Append(dst []byte) []byte { return append(append(dst, byte(g.Kind)), g.Hash[:]...) }

// DecodeGetData reads a payload.
func DecodeGetData(b []byte, d Dialect) (g GetData, err error) {
	r := newReader("getdata", b, d)
	g.Kind = Kind(r.u8("type"))
	g.Hash = r.hash("hash")
	return g, r.end()
}
