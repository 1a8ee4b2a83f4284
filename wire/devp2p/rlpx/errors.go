package rlpx

import (
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Errors that callers branch on.
var (
	// ErrHandshake is all that is said of a handshake that failed for another
	// reason than its link: which check it was helps only an attacker.
	ErrHandshake = errors.New("rlpx: handshake failed")
	// ErrMAC: a frame's header or body is not what the other side sent. A line
	// can do that too, so it is nobody's fault.
	ErrMAC = errors.New("rlpx: frame fails its MAC")
)

// fault is an error that only the other side can have caused.
func fault(o peer.Offense, format string, args ...any) error {
	return &wire.Fault{Offense: o, Err: fmt.Errorf("rlpx: "+format, args...)}
}
