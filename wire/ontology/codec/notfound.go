package codec

// NotFound answers a GetData for what its sender does not have.
type NotFound struct{ Hash Hash }

// Append appends the payload.
func (n NotFound) Append(dst []byte) []byte { return append(dst, n.Hash[:]...) }

// DecodeNotFound reads a payload.
func DecodeNotFound(b []byte, d Dialect) (n NotFound, err error) {
	r := newReader("notfound", b, d)
	n.Hash = r.hash("hash")
	return n, r.end()
}
