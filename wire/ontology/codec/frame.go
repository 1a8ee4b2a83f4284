package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Magics of the known networks; another's is its network id.
const (
	MagicMain    uint32 = 0x8c77ab60
	MagicPolaris uint32 = 0xdf29882d // from v2.5.8
)

// HeadSize is the length of a frame's header: magic, command, length, checksum.
const HeadSize = 4 + commandSize + 4 + checksumSize

const (
	commandSize  = 12
	checksumSize = 4
)

// ErrChecksum marks a fault that may be line noise: the payload does not have
// the checksum of its header.
var ErrChecksum = errors.New("codec: wrong checksum")

// ErrMagic marks a frame of another network.
var ErrMagic = errors.New("codec: frame of another network")

// Head is a frame's header.
type Head struct {
	Command  Command
	Name     string // of the command, cleaned; for people
	Size     int    // of the payload
	checksum [checksumSize]byte
}

// DecodeHead reads the header of a frame, of HeadSize bytes. The length is
// checked against the bound of the command.
func DecodeHead(b []byte, magic uint32) (Head, error) {
	if got := binary.LittleEndian.Uint32(b); got != magic {
		return Head{}, fmt.Errorf("%w: its magic is %#08x, ours is %#08x", ErrMagic, got, magic)
	}
	name := b[4 : 4+commandSize]
	if end := bytes.IndexByte(name, 0); end >= 0 {
		if len(bytes.Trim(name[end:], "\x00")) > 0 {
			return Head{}, fault(peer.BadFrame, "command %q has something behind its end", peer.Clean(string(name)))
		}
		name = name[:end]
	}
	h := Head{Command: commandOf(string(name)), Name: peer.Clean(string(name))}
	size := binary.LittleEndian.Uint32(b[4+commandSize:])
	if most := h.Command.MaxPayload(); uint64(size) > uint64(most) {
		return Head{}, fault(peer.BadFrame, "%q of %d bytes, at most %d", h.Name, size, most)
	}
	h.Size = int(size)
	copy(h.checksum[:], b[8+commandSize:])
	return h, nil
}

// Check compares a payload with the checksum of its header.
func (h Head) Check(payload []byte) error {
	sum := double(payload)
	if !bytes.Equal(sum[:checksumSize], h.checksum[:]) {
		return &wire.Fault{Offense: peer.BadFrame, Err: fmt.Errorf("%w of %q: %x, want %x", ErrChecksum, h.Name, h.checksum, sum[:checksumSize])}
	}
	return nil
}

// AppendFrame appends a whole frame. It refuses what no peer of ours would take.
func AppendFrame(dst []byte, magic uint32, c Command, payload []byte) ([]byte, error) {
	if most := c.MaxPayload(); len(payload) > most {
		return nil, fmt.Errorf("codec: %s: %w: %d bytes, at most %d", c, wire.ErrTooLarge, len(payload), most)
	}
	var name [commandSize]byte
	copy(name[:], c.String())
	sum := double(payload)
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	dst = append(dst, name[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, sum[:checksumSize]...)
	return append(dst, payload...), nil
}
