package book

import (
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
)

// CloseCode is the libp2p code nearest to a reason: for peers that read no
// other word.
func CloseCode(why peer.Reason) network.ConnErrorCode {
	switch {
	case why == peer.Stopping:
		return network.ConnShutdown
	case why == peer.Duplicate:
		return network.ConnSupplanted
	case slices.Contains([]peer.Reason{peer.TooManyPeers, peer.TooManyInbound, peer.Useless, peer.Idle}, why):
		return network.ConnGarbageCollected
	case why == peer.BadScore:
		return network.ConnProtocolViolation
	}
	return network.ConnNoError
}

// ByRemote tells why the remote closed a connection, if an error says so by one
// of its codes; nil: it does not.
func ByRemote(err error) *peer.RefusedError {
	var conn *network.ConnError
	if !errors.As(err, &conn) || !conn.Remote {
		return nil
	}
	switch conn.ErrorCode {
	case network.ConnSupplanted:
		return &peer.RefusedError{Reason: peer.Duplicate, Remote: true}
	case network.ConnGated:
		return &peer.RefusedError{Reason: peer.ByRemote, Remote: true, Detail: "its gater refused the connection"}
	}
	return nil
}
