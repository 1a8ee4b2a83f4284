package codec

import (
	"fmt"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Bounds of the protocol, in bytes, as op-node has them (op-node/p2p/gossip.go,
// op-service/eth/ssz.go).
const (
	MaxMessage     = 10 << 20 // of gossip, compressed and not; and of an answer, compressed and not
	MinMessage     = 66       // of gossip, not compressed: a signature and something
	MaxExtraData   = 32
	MaxTxs         = 1 << 20 // in a payload
	MaxWithdrawals = 16
)

// ErrTooLarge: what was to be encoded is over MaxMessage.
var ErrTooLarge = fmt.Errorf("opstack: %w", wire.ErrTooLarge)

// fault is an error that whoever sent the bytes is answerable for.
func fault(o peer.Offense, format string, args ...any) error {
	return &wire.Fault{Offense: o, Err: fmt.Errorf("opstack: "+format, args...)}
}

// bad is a fault of encoding.
func bad(format string, args ...any) error { return fault(peer.BadEncoding, format, args...) }
