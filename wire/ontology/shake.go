package ontology

import (
	"fmt"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// frame is a message to be sent.
type frame struct {
	cmd     codec.Command
	payload []byte
}

// shake is one side of a handshake, which decides and does no I/O:
//
//	dialler   V>       [K>]      A>
//	listener     <V       [<K]      <A
//
// V is version, A verack; K, updatekadid, is sent where both SoftVersions are
// 1.9.1-beta or newer. The listener's <A is not part of it: the listener sends
// it when the Host has taken the session. Anything else ends the handshake.
type shake struct {
	ours    codec.Version
	key     []byte // our node key; nil: we have none, and our SoftVersion is older
	selves  func(nonce uint64) bool
	dialled bool

	next   codec.Command // what must come
	theirs codec.Version
	soft   codec.Soft
	kad    codec.PeerID
	hasKad bool
	done   bool
}

// newShake begins a handshake. For a consensus link ours.Consensus is set.
func newShake(ours codec.Version, key []byte, dialled bool, selves func(uint64) bool) (*shake, []frame) {
	s := &shake{ours: ours, key: key, dialled: dialled, selves: selves, next: codec.CmdVersion}
	if dialled {
		return s, []frame{s.version()}
	}
	return s, nil
}

func (s *shake) version() frame { return frame{codec.CmdVersion, s.ours.Append(nil)} }
func (s *shake) verack() frame {
	return frame{codec.CmdVerAck, codec.VerAck{Consensus: s.ours.Consensus}.Append(nil)}
}

func (s *shake) kadID() frame {
	return frame{codec.CmdUpdateKadID, codec.UpdateKadID{Key: s.key}.Append(nil)}
}

// kadToo reports whether both sides tell their node keys.
func (s *shake) kadToo() bool { return s.key != nil && s.soft.Kad() }

// take takes in a message and says what to send, even beside an error. Errors are *wire.Fault or
// *peer.RefusedError.
func (s *shake) take(cmd codec.Command, payload []byte) ([]frame, error) {
	if s.done || cmd != s.next {
		return nil, &wire.Fault{Offense: peer.UnknownMessage, Err: fmt.Errorf("ontology: %s in a handshake that waits for %s", cmd, s.next)}
	}
	switch cmd {
	case codec.CmdVersion:
		return s.takeVersion(payload)
	case codec.CmdUpdateKadID:
		u, err := codec.DecodeUpdateKadID(payload)
		if err != nil {
			return nil, err
		}
		s.kad, s.hasKad, s.next = u.ID, true, codec.CmdVerAck
		if s.dialled {
			return []frame{s.verack()}, nil
		}
		return []frame{s.kadID()}, nil
	default:
		if _, err := codec.DecodeVerAck(payload, s.soft.Dialect()); err != nil {
			return nil, err
		}
		s.done = true
		return nil, nil
	}
}

func (s *shake) takeVersion(payload []byte) ([]frame, error) {
	v, err := codec.DecodeVersion(payload)
	if err != nil {
		return nil, err
	}
	s.theirs, s.soft = v, codec.ParseSoft(v.Soft)
	switch {
	case s.selves(v.Nonce):
		var out []frame
		if !s.dialled { // so that we know whom we have dialled (threat H-07)
			out = []frame{s.version()}
		}
		return out, &peer.RefusedError{Reason: peer.Self, Detail: "its nonce is ours"}
	case s.dialled && v.Consensus != s.ours.Consensus:
		return nil, &peer.RefusedError{Reason: peer.NoCommonProto, Detail: "it answers on the port for the other kind of link"}
	}
	s.kad = codec.PseudoID(v.Nonce)
	s.next = codec.CmdVerAck
	if s.kadToo() {
		s.next = codec.CmdUpdateKadID
	}
	if !s.dialled {
		return []frame{s.version()}, nil
	}
	if s.kadToo() {
		return []frame{s.kadID()}, nil
	}
	return []frame{s.verack()}, nil
}
