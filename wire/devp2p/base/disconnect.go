package base

import (
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/peer"
)

// Reason is why a peer disconnects.
type Reason uint8

// The reasons (devp2p, RLPx specification).
const (
	Requested           Reason = 0x00
	NetworkError        Reason = 0x01
	ProtocolBreach      Reason = 0x02
	UselessPeer         Reason = 0x03 // random churn too: no fault
	TooManyPeers        Reason = 0x04
	AlreadyConnected    Reason = 0x05
	IncompatibleVersion Reason = 0x06
	InvalidIdentity     Reason = 0x07
	Quitting            Reason = 0x08
	UnexpectedIdentity  Reason = 0x09
	Self                Reason = 0x0a
	ReadTimeout         Reason = 0x0b
	SubprotocolError    Reason = 0x10
)

// String is the name that geth gives the reason.
func (r Reason) String() string {
	if name, ok := map[Reason]string{
		Requested: "disconnect requested", NetworkError: "network error", ProtocolBreach: "breach of protocol",
		UselessPeer: "useless peer", TooManyPeers: "too many peers", AlreadyConnected: "already connected",
		IncompatibleVersion: "incompatible p2p protocol version", InvalidIdentity: "invalid node identity",
		Quitting: "client quitting", UnexpectedIdentity: "unexpected identity", Self: "connected to self",
		ReadTimeout: "read timeout", SubprotocolError: "subprotocol error",
	}[r]; ok {
		return name
	}
	return fmt.Sprintf("reason %#02x", uint8(r))
}

// Append appends the payload of a Disconnect.
func (r Reason) Append(b []byte) []byte {
	return rlp.AppendUint64(append(b, 0xc0+byte(rlp.IntSize(uint64(r)))), uint64(r))
}

// DecodeDisconnect reads the payload: a list of one, or the bare byte that some
// send. Nothing at all is Requested.
func DecodeDisconnect(b []byte) (Reason, error) {
	if in, _, err := rlp.SplitList(b); err == nil {
		b = in
	}
	if len(b) == 0 {
		return Requested, nil
	}
	n, rest, err := rlp.SplitUint64(b)
	if err != nil && len(b) == 1 && b[0] == 0 {
		return Requested, nil // a zero that is not canonical
	}
	if err != nil || n > 0xff || len(rest) > 0 {
		return 0, bad("disconnect without a reason")
	}
	return Reason(n), nil
}

// ReasonFor is what a peer is told of a reason of ours. What we hold against it
// is nobody's business: that reads as "too many peers".
func ReasonFor(why peer.Reason) Reason {
	switch why {
	case peer.Requested:
		return Requested
	case peer.LinkLost, peer.Internal:
		return NetworkError
	case peer.BadScore:
		return ProtocolBreach
	case peer.Useless, peer.NoCommonProto:
		return UselessPeer
	case peer.Duplicate, peer.AlreadyDialling:
		return AlreadyConnected
	case peer.KeyType:
		return InvalidIdentity
	case peer.Stopping:
		return Quitting
	case peer.WrongIdentity:
		return UnexpectedIdentity
	case peer.Self:
		return Self
	case peer.Idle, peer.Slow, peer.HandshakeSlow:
		return ReadTimeout
	case peer.WrongNetwork, peer.WrongGenesis, peer.HandshakeFailed:
		return SubprotocolError
	}
	return TooManyPeers
}

// Why is what a peer's reason means to us; early says that it came before a
// session was there.
func (r Reason) Why(early bool) peer.Reason {
	switch r {
	case Requested:
		return peer.Requested
	case UselessPeer:
		return peer.Useless
	case TooManyPeers:
		return peer.TooManyPeers
	case AlreadyConnected:
		return peer.Duplicate
	case IncompatibleVersion:
		return peer.NoCommonProto
	case Quitting:
		return peer.Stopping
	case InvalidIdentity, UnexpectedIdentity:
		return peer.WrongIdentity
	case Self:
		return peer.Self
	case ReadTimeout:
		if early {
			return peer.HandshakeSlow
		}
		return peer.Idle
	case SubprotocolError, ProtocolBreach:
		if early {
			return peer.HandshakeFailed
		}
	}
	return peer.ByRemote
}
