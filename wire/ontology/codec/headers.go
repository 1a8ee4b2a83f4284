package codec

import "encoding/binary"

// Headers answers GetHeaders, in order. It may be empty.
type Headers struct{ Headers []Header }

// Append appends the payload.
func (h Headers) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(h.Headers)))
	for _, x := range h.Headers {
		dst = append(dst, x.Raw...)
	}
	return dst
}

// DecodeHeaders reads a payload: at most MaxHeaders headers, and no more than
// its bytes can hold. v1.0.0 believes the count and ends only with the bytes.
func DecodeHeaders(b []byte, d Dialect) (h Headers, err error) {
	r := newReader("headers", b, d)
	n := r.counted("count", uint64(r.u32("count")), minHeader, MaxHeaders)
	for range n {
		x := r.header()
		if r.err != nil {
			return Headers{}, r.err
		}
		h.Headers = append(h.Headers, x)
	}
	if err := r.end(); err != nil {
		return Headers{}, err
	}
	return h, nil
}
