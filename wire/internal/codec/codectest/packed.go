package codectest

import (
	"bufio"

	"github.com/starlingp2p/starling/wire/internal/codec"
)

// Pack is body as a packed frame, sealed as the product does it.
func Pack(body []byte) []byte {
	room := append(make([]byte, codec.PackedHead, codec.PackedHead+len(body)), body...)
	return codec.SealPacked(room, new(codec.Buffer))
}

// Unpack reads a packed frame whose body has at most max bytes, and gives the
// body. It blocks like r.
func Unpack(r *bufio.Reader, max int) ([]byte, error) {
	n, err := codec.ReadLength(r, codec.MaxPacked(max))
	if err != nil {
		return nil, err
	}
	return codec.ReadPackedBody(r, n, max, nil)
}
