package native

import (
	"context"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
)

var (
	_ wire.Locator = (*Wire)(nil)
	_ wire.Pinger  = (*session)(nil)
)

// Locate implements wire.Locator.
func (w *Wire) Locate(a peer.Addr) (wire.Endpoint, peer.ID, bool) { return p2phost.Locate(a) }

// Ping implements wire.Pinger.
func (s *session) Ping(ctx context.Context) (time.Duration, error) {
	return s.node.p2p.Ping(ctx, s.link.Conn)
}

// Protocols lists the protocol ids that this wire speaks beside those of libp2p.
func Protocols() []string {
	return []string{codec.StatusProtocol, codec.RequestProtocol, codec.ConsensusProtocol, codec.GoodbyeProtocol}
}
