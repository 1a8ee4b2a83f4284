package rlpx

import (
	"fmt"
	"time"

	"github.com/golang/snappy"
)

// An element of snappy takes three bytes to copy 64, and none does better
// (format description, "Copies").
const ratioNum, ratioDen = 64, 3

// unfold decompresses a payload. Its claim is checked against the bound and
// against what so many bytes can unfold to, before anything is allocated.
func (r *reader) unfold(b []byte) ([]byte, error) {
	n, err := snappy.DecodedLen(b)
	if err != nil {
		return nil, fmt.Errorf("%w: bad snappy length", ErrEncoding)
	}
	if n > r.most || n > (len(b)+1)*ratioNum/ratioDen {
		return nil, fmt.Errorf("%w: %d bytes of %d, at most %d", ErrBomb, n, len(b), r.most)
	}
	if cap(r.plain) < n {
		r.plain = make([]byte, max(n, min(2*cap(r.plain), readBuffer)))
	}
	if n > readBuffer {
		r.large = time.Now()
	}
	out, err := snappy.Decode(r.plain[:cap(r.plain)], b)
	if err != nil {
		return nil, fmt.Errorf("%w: bad snappy", ErrEncoding)
	}
	return out, nil
}
