package base

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Message codes of the base protocol. Those of the others begin at Offset.
const (
	HelloMsg      = 0
	DisconnectMsg = 1
	PingMsg       = 2
	PongMsg       = 3
	Offset        = 16
)

const (
	// Version is that of the base protocol. From SnappyVersion on what follows
	// Hello is compressed (EIP-706).
	Version       = 5
	SnappyVersion = 5
	// MaxCaps is how many capabilities a Hello may have (threat H-11).
	MaxCaps = 64
	// idLen is the length of a public key without its format byte.
	idLen = 64
)

// Cap is a protocol in one version.
type Cap struct {
	Name    string
	Version uint
}

func (c Cap) String() string { return fmt.Sprintf("%s/%d", c.Name, c.Version) }

// Hello is how the two sides of a connection greet.
type Hello struct {
	Version uint64
	Agent   string
	Caps    []Cap
	Port    uint64 // where it listens; 0: it does not say
	ID      [idLen]byte
}

// Append appends the payload.
func (h Hello) Append(b []byte) []byte {
	w := rlp.NewEncoderBuffer(nil)
	all := w.List()
	w.WriteUint64(h.Version)
	w.WriteString(h.Agent)
	caps := w.List()
	for _, c := range h.Caps {
		one := w.List()
		w.WriteString(c.Name)
		w.WriteUint64(uint64(c.Version))
		w.ListEnd(one)
	}
	w.ListEnd(caps)
	w.WriteUint64(h.Port)
	w.WriteBytes(h.ID[:])
	w.ListEnd(all)
	return w.AppendToBytes(b)
}

// DecodeHello reads the payload. Fields behind the last are ignored (EIP-8).
// Agent and names are cleaned.
func DecodeHello(b []byte) (h Hello, err error) {
	in, rest, err := rlp.SplitList(b)
	if err != nil || len(rest) > 0 {
		return h, bad("hello is no list")
	}
	if h.Version, in, err = rlp.SplitUint64(in); err != nil {
		return h, bad("hello has no version")
	}
	agent, in, err := rlp.SplitString(in)
	if err != nil {
		return h, bad("hello has no agent")
	}
	h.Agent = peer.Clean(string(agent))
	caps, in, err := rlp.SplitList(in)
	if err != nil {
		return h, bad("hello has no capabilities")
	}
	if n, err := rlp.CountValues(caps); err != nil || n > MaxCaps {
		return h, bad("%w: %d, at most %d", ErrManyCaps, n, MaxCaps)
	}
	for len(caps) > 0 {
		var c Cap
		if c, caps, err = splitCap(caps); err != nil {
			return h, err
		}
		h.Caps = append(h.Caps, c)
	}
	if h.Port, in, err = rlp.SplitUint64(in); err != nil {
		return h, bad("hello has no port")
	}
	id, _, err := rlp.SplitString(in)
	if err != nil || len(id) != idLen {
		return h, bad("hello has an identity of %d bytes, want %d", len(id), idLen)
	}
	copy(h.ID[:], id)
	return h, nil
}

func splitCap(b []byte) (c Cap, rest []byte, err error) {
	in, rest, err := rlp.SplitList(b)
	if err != nil {
		return c, nil, bad("a capability is no list")
	}
	name, in, err := rlp.SplitString(in)
	if err != nil {
		return c, nil, bad("a capability has no name")
	}
	version, in, err := rlp.SplitUint64(in)
	if err != nil || len(in) > 0 {
		return c, nil, bad("a capability has no version")
	}
	return Cap{peer.Clean(string(name)), uint(version)}, rest, nil
}

// ErrManyCaps is inside the fault of a Hello with more than MaxCaps capabilities.
var ErrManyCaps = errors.New("hello has too many capabilities")

func bad(format string, args ...any) error {
	return &wire.Fault{Offense: peer.BadEncoding, Err: fmt.Errorf("base: "+format, args...)}
}
