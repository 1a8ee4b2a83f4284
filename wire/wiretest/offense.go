package wiretest

import (
	"errors"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// OffenseOf is the offense that an error charges its sender with; empty: none.
func OffenseOf(err error) peer.Offense {
	var f *wire.Fault
	if errors.As(err, &f) {
		return f.Offense
	}
	return ""
}
