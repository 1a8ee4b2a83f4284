package codec

import (
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"

	"github.com/starlingp2p/starling/peer"
)

// A snappy element makes at most 64 bytes out of 3, so a block that claims
// more than maxRatio times its length cannot decode.
const (
	maxRatio      = 22
	ratioSlack    = 64
	overheadBase  = 32 // what snappy adds to n bytes at most: overheadBase + n/6
	overheadShare = 6
)

// MaxCompressed is the longest snappy block of n bytes.
func MaxCompressed(n int) int { return overheadBase + n + n/overheadShare }

// Compress appends src as one snappy block.
func Compress(dst, src []byte) []byte {
	n := s2.MaxEncodedLen(len(src))
	if cap(dst)-len(dst) < n {
		grown := make([]byte, len(dst), len(dst)+n)
		copy(grown, dst)
		dst = grown
	}
	out := s2.EncodeSnappy(dst[len(dst):cap(dst)], src)
	return dst[:len(dst)+len(out)]
}

// Decompress decodes one snappy block of at most max decoded bytes. The
// decoded length is checked before memory is taken. The result is its
// caller's and shares nothing with src.
func Decompress(src []byte, max int) ([]byte, error) {
	if _, err := decodedLen(src, max); err != nil {
		return nil, err
	}
	out, err := snappy.DecodeStrict(nil, src)
	if err != nil {
		return nil, fault(peer.BadEncoding, "snappy block: %w", err)
	}
	return out, nil
}

// decodedLen is what a snappy block decodes to, if that can be and is at most max.
func decodedLen(src []byte, max int) (int, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return 0, fault(peer.BadEncoding, "snappy header: %w", err)
	}
	if n > max {
		return 0, fault(peer.Bomb, "snappy block of %d bytes claims %d, bound %d", len(src), n, max)
	}
	if n > maxRatio*len(src)+ratioSlack {
		return 0, fault(peer.Bomb, "snappy block of %d bytes claims %d: cannot be", len(src), n)
	}
	return n, nil
}
