package eth

// BlockHeaders answers GetBlockHeaders; each header in its own encoding.
type BlockHeaders struct {
	ID      uint64
	Headers [][]byte
}

// Append appends the payload.
func (m BlockHeaders) Append(b []byte) []byte { return appendIDRaw(b, m.ID, m.Headers) }

// DecodeBlockHeaders reads the payload: at most most headers, as many as were
// asked for.
func DecodeBlockHeaders(b []byte, most int) (m BlockHeaders, err error) {
	c := message(b)
	m.ID = c.uint()
	in := c.list()
	m.Headers = in.lists(most)
	c.nested(&in)
	return m, c.end("headers")
}
