package codec

import (
	"fmt"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// fault is a checkable fault of whoever sent the bytes.
func fault(o peer.Offense, format string, args ...any) error {
	return &wire.Fault{Offense: o, Err: fmt.Errorf("codec: "+format, args...)}
}
