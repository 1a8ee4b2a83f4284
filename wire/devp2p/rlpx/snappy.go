package rlpx

import (
	"github.com/golang/snappy"

	"github.com/starlingp2p/starling/peer"
)

// An element of snappy takes three bytes to copy 64, and none does better
// (format description, "Copies").
const ratioNum, ratioDen = 64, 3

// unfold decompresses a payload. Its claim is checked against the bound and
// against what so many bytes can unfold to, before anything is allocated.
func (c *Codec) unfold(b []byte, more func(int) error) ([]byte, error) {
	n, err := snappy.DecodedLen(b)
	if err != nil {
		return nil, fault(peer.BadEncoding, "a payload has no snappy length")
	}
	if n > c.most || n > (len(b)+1)*ratioNum/ratioDen {
		return nil, fault(peer.Bomb, "%d bytes of snappy claim to be %d, at most %d", len(b), n, c.most)
	}
	if err := more(n); err != nil {
		return nil, err
	}
	out, err := snappy.Decode(nil, b)
	if err != nil {
		return nil, fault(peer.BadEncoding, "a payload is no snappy")
	}
	return out, nil
}
