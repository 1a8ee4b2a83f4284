package codec

// DecodeGetAddr reads a payload, which is empty: the question for addresses.
func DecodeGetAddr(b []byte, d Dialect) error { return newReader("getaddr", b, d).end() }
