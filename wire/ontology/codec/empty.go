package codec

// DecodeGetAddr reads a payload, which is empty: the question for addresses.
func DecodeGetAddr(b []byte, d Dialect) error { return newReader("getaddr", b, d).end() }

// DecodeDisconnect reads a payload, which is empty. Inside v1.0.0 it tells of a
// link that ended; from the wire it is obeyed by nobody here (defect D8).
func DecodeDisconnect(b []byte, d Dialect) error { return newReader("disconnect", b, d).end() }
