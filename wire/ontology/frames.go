package ontology

import (
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// frames is framed.Codec for one link.
type frames struct {
	magic   uint32
	traffic *meter.Traffic
	// Of the reader.
	head    codec.Head
	shaking bool               // a handshake is under way: it takes little memory
	unknown func(string) error // is told of commands that nobody knows; nil: they are faults
	// unwanted tells what is read past; nil: nothing.
	unwanted func(c codec.Command, size int) bool
}

var _ framed.Codec = (*frames)(nil)

// count notes a message. The names are of the package's own table.
func (f *frames) count(c codec.Command, inbound bool, payload int) {
	f.traffic.Count(Name, c.String(), inbound, payload+codec.HeadSize)
}

// HeadSize implements framed.Codec.
func (*frames) HeadSize() int { return codec.HeadSize }

// Head implements framed.Codec.
func (f *frames) Head(b []byte) (framed.Head, error) {
	h, err := codec.DecodeHead(b, f.magic)
	if err != nil {
		return framed.Head{}, err
	}
	f.head = h
	switch c := h.Command; {
	case f.shaking && c != codec.CmdVersion && c != codec.CmdVerAck && c != codec.CmdUpdateKadID:
		return framed.Head{}, &wire.Fault{Offense: peer.UnknownMessage, Err: fmt.Errorf("ontology: %q in a handshake", h.Name)}
	case c == codec.Unknown:
		f.count(c, true, h.Size)
		return framed.Head{Size: h.Size, Skip: true}, f.unknown(h.Name)
	case f.unwanted != nil && f.unwanted(c, h.Size):
		f.count(c, true, h.Size)
		return framed.Head{Size: h.Size, Skip: true}, nil
	}
	return framed.Head{Size: h.Size}, nil
}

// Open implements framed.Codec.
func (f *frames) Open(body []byte, _ func(int) error) (uint64, []byte, error) {
	if err := f.head.Check(body); err != nil {
		return 0, nil, err
	}
	f.count(f.head.Command, true, len(body))
	return uint64(f.head.Command), body, nil
}

// Seal implements framed.Codec.
func (f *frames) Seal(dst []byte, code uint64, payload []byte) ([]byte, error) {
	f.count(codec.Command(code), false, len(payload))
	return codec.AppendFrame(dst, f.magic, codec.Command(code), payload)
}

// severity is what a fault costs where the table's would be wrong: a checksum
// may be line noise (threat M-06).
func severity(err error) peer.Severity {
	if errors.Is(err, codec.ErrChecksum) {
		return peer.Mid
	}
	return peer.None
}
