package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// list is an RLP list of some content.
func list(content []byte) []byte {
	if len(content) < 56 {
		return append([]byte{0xc0 + byte(len(content))}, content...)
	}
	return append(append([]byte{0xf9}, binary.BigEndian.AppendUint16(nil, uint16(len(content)))...), content...)
}

// Threat M-08: a header of lists in lists, or of nothing many times, is refused
// without being gone through, at next to no memory (fatal).
func TestNestedHeadersAreRefused(t *testing.T) {
	deep := []byte{0xc0}
	for len(deep) < codec.MaxHeader-8 {
		deep = list(deep)
	}
	for name, header := range map[string][]byte{
		"lists in lists":     deep,
		"empty lists":        list(bytes.Repeat([]byte{0xc0}, codec.MaxHeader-8)),
		"empty strings":      list(bytes.Repeat([]byte{0x80}, codec.MaxHeader-8)),
		"too long":           list(bytes.Repeat([]byte{0xc0}, 60_000)),
		"a length of itself": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		var err error
		if n := allocated(func() { _, _, err = codec.ParseHeader(header) }); n > 4<<10 {
			t.Errorf("%s: %d bytes are allocated for %d", name, n, len(header))
		}
		var fault *wire.Fault
		if !errors.As(err, &fault) || fault.Offense != peer.BadEncoding || fault.Offense.Severity() != peer.Fatal {
			t.Errorf("%s: %v, want %s (%s)", name, err, peer.BadEncoding, peer.Fatal)
		}
	}
}
